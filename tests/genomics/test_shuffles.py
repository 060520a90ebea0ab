from collections import Counter
from itertools import pairwise, permutations

import pytest

from bigbird.genomics.shuffles import dinucleotide_shuffled, parts_permuted, substituted
from helpers import dna


def parts(sequence):
    size = len(sequence) // 20
    return [sequence[start : start + size] for start in range(0, len(sequence), size)]


@pytest.mark.parametrize("length", [300, 2_000, 8_000])
def test_substitution_replaces_twelve_parts_by_even_random_letters_and_keeps_eight(length):
    sequence = "A" * length
    changed = [substituted(sequence, 7, number) for number in range(20)]
    for text in changed:
        assert sum(part == "A" * (length // 20) for part in parts(text)) == 8
    filler = Counter("".join(part for text in changed for part in parts(text) if set(part) != {"A"}))
    share = filler["A"] / filler.total()
    assert 0.23 < share < 0.27
    assert len(set(changed)) == 20
    assert substituted(sequence, 7, 0) == changed[0]


def test_permutation_moves_only_whole_parts_and_at_most_twelve():
    sequence = dna(400, 1)
    for number in range(20):
        text = parts_permuted(sequence, number)
        assert sorted(parts(text)) == sorted(parts(sequence))
        kept = sum(one == other for one, other in zip(parts(text), parts(sequence), strict=True))
        assert 8 <= kept < 20


def test_a_length_that_twenty_does_not_divide_is_kept():
    sequence = dna(309, 2)
    assert len(substituted(sequence, 1)) == 309
    assert Counter(parts_permuted(sequence, 1)) == Counter(sequence)


def dinucleotides(sequence):
    return Counter(pairwise(sequence))


@pytest.mark.parametrize("sequence", [dna(2_000, 3), dna(300, 4) + "NN" + dna(50, 5), "A" * 40, "ACGT", "AC", "G", ""])
def test_a_dinucleotide_shuffle_keeps_every_count_of_neighbours_exactly(sequence):
    for number in range(5):
        text = dinucleotide_shuffled(sequence, number)
        assert dinucleotides(text) == dinucleotides(sequence)
        assert Counter(text) == Counter(sequence)
        assert (text[:1], text[-1:]) == (sequence[:1], sequence[-1:])
    if len(sequence) > 100:
        assert dinucleotide_shuffled(sequence, 0) != dinucleotide_shuffled(sequence, 1)


def test_every_order_with_the_same_neighbours_is_equally_likely():
    sequence = "ACAGATCA"
    wanted = {
        "".join(order)
        for order in set(permutations(sequence))
        if dinucleotides(order) == dinucleotides(sequence) and order[0] == "A"
    }
    drawn = Counter(dinucleotide_shuffled(sequence, number) for number in range(100 * len(wanted)))
    assert set(drawn) == wanted
    assert max(drawn.values()) < 150
    assert min(drawn.values()) > 60
