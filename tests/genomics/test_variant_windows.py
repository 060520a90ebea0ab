import pytest

from bigbird.genomics.variant_windows import REASONS, allele_window, check_ref, shifts, why_unscored
from bigbird.genomics.vcf import Variant
from variant_cases import CHR1, base, genome_in, other


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return genome_in(tmp_path_factory.mktemp("genome"))


def window_of(genome, variant, allele, window_bp):
    return allele_window(variant, allele, genome, contig="chr1", window_bp=window_bp)


@pytest.mark.parametrize("window_bp", [1, 2, 7, 8, 100, 101])
def test_the_reference_window_is_the_genome_with_ref_in_the_middle(genome, window_bp):
    for length in (1, 2, 3, 7):
        if length > window_bp:
            continue
        variant = Variant("chr1", 1_001, base(1_001, count=length), ("A",))
        sequence, first, last = window_of(genome, variant, variant.ref, window_bp)
        start = 1_000 - (window_bp - length) // 2
        assert sequence == CHR1[start : start + window_bp]
        assert sequence[first:last] == variant.ref
        assert first in (window_bp - last, window_bp - last - 1)


@pytest.mark.parametrize("alt", ["C", "ACGTAC", "", "A" * 40])
def test_an_alternative_window_has_the_same_length_and_the_genome_around_ref(genome, alt):
    variant = Variant("chr1", 1_001, base(1_001, count=4), (alt,))
    sequence, first, last = window_of(genome, variant, alt, 40)
    assert len(sequence) == 40
    assert sequence[first:last] == alt
    assert sequence[:first] == CHR1[1_000 - first : 1_000]
    assert sequence[last:] == CHR1[1_004 : 1_004 + 40 - last]


def test_the_picture_in_the_docstring_is_true(tmp_path):
    (tmp_path / "genome.fa").write_text(">chr1\nacgtACGttac\n")
    genome = genome_in.__globals__["Genome"].open(tmp_path / "genome.fa")
    variant = Variant("chr1", 5, "ACG", ("A",))
    assert window_of(genome, variant, "ACG", 7) == ("GTACGTT", 2, 5)
    assert window_of(genome, variant, "A", 7) == ("CGTATTA", 3, 4)


def test_beyond_the_ends_of_a_contig_there_is_n(genome):
    first, last = Variant("chr1", 1, base(1), ("A",)), Variant("chr1", 3_000, base(3_000), ("A",))
    assert window_of(genome, first, first.ref, 9).sequence == "NNNN" + CHR1[:5]
    assert window_of(genome, last, "T" * 3, 9).sequence == CHR1[-4:-1] + "TTT" + "NNN"


@pytest.mark.parametrize(
    ("placements", "bases_per_token", "expected"),
    [
        (1, 16, [0]),
        (2, 16, [-4, 4]),
        (4, 16, [-6, -2, 2, 6]),
        (3, 1, [-1, 0, 1]),
        (4, 1, [-1, 0, 1, 2]),
        (3, 2, [-1, 0, 1]),
    ],
)
def test_several_windows_of_an_allele_part_its_tokens_evenly(genome, placements, bases_per_token, expected):
    moved = shifts(placements, bases_per_token=bases_per_token)
    assert moved == expected
    variant = Variant("chr1", 1_001, base(1_001), ("A",))
    for shift in moved:
        found = allele_window(variant, "GG", genome, contig="chr1", window_bp=40, shift_bp=shift)
        assert (len(found.sequence), found.first) == (40, 19 + shift)
        assert found.sequence == CHR1[981 - shift : 1_000] + "GG" + CHR1[1_001 : 1_020 - shift]


def test_a_long_allele_is_moved_no_further_than_it_can(genome):
    variant = Variant("chr1", 1_001, base(1_001), ("A",))
    for shift, first in ((-6, 0), (6, 2)):
        found = allele_window(variant, "G" * 38, genome, contig="chr1", window_bp=40, shift_bp=shift)
        assert (found.first, found.last, len(found.sequence)) == (first, first + 38, 40)


def test_lower_case_alleles_are_the_same_bases(genome):
    variant = Variant("chr1", 1_001, base(1_001).lower(), ("t",))
    assert window_of(genome, variant, "t", 5).sequence[2] == "T"
    assert check_ref(variant, genome, "chr1").state == "agrees"


@pytest.mark.parametrize(
    ("ref", "alt", "reason"),
    [
        ("A", "C", None),
        ("a", "ACGTN"[:4].lower(), None),
        ("A", ".", "no_alt"),
        ("A", "*", "spanning_deletion"),
        ("A", "<DEL>", "symbolic"),
        ("A", "<*>", "symbolic"),
        ("N", "<DEL>", "symbolic"),
        ("A", "A<ctg>", "symbolic"),
        ("A", "A[chr2:5[", "breakend"),
        ("A", "]<ctg>:5]A", "breakend"),
        ("A", ".A", "breakend"),
        ("A", "A.", "breakend"),
        ("A", "N", "ambiguous_alt"),
        ("A", "ACR", "ambiguous_alt"),
        ("N", "A", "ambiguous_ref"),
        ("ACy", "A", "ambiguous_ref"),
        ("A", "", "not_dna"),
        ("A", "A-", "not_dna"),
        ("C", "CU", "not_dna"),
        ("C", "cu", "not_dna"),
        ("CU", "C", "not_dna"),
        ("CN", "CUN", "ambiguous_ref"),
        ("1", "A", "not_dna"),
        ("", "A", "not_dna"),
        ("A" * 20, "A", None),
        ("A" * 21, "A", "too_long"),
        ("A", "A" * 20, None),
        ("A", "A" * 21, "too_long"),
    ],
)
def test_why_an_allele_has_no_score(ref, alt, reason):
    assert why_unscored(Variant("1", 5, ref, (alt, "*")), window_bp=20) == [reason, "spanning_deletion"]
    assert reason is None or reason in REASONS


@pytest.mark.parametrize(
    ("contig", "position", "ref", "state"),
    [
        ("chr1", 1, base(1, count=3), "agrees"),
        ("chr1", 3_000, base(3_000), "agrees"),
        ("chr1", 5, other(base(5)), "differs"),
        ("chr1", 2_999, base(2_999, count=2) + "A", "outside"),
        ("chr1", 3_001, "A", "outside"),
        ("chr1", 0, "A", "outside"),
        ("chr2", 1_001, "A", "unknown"),
        ("chr2", 1_000, base(1_000, "chr2") + "A", "agrees"),
        ("chr2", 1_000, other(base(1_000, "chr2")) + "A", "differs"),
        ("chr3", 101, "G", "unknown"),
    ],
)
def test_ref_is_held_against_the_genome(genome, contig, position, ref, state):
    assert check_ref(Variant(contig, position, ref, ("T",)), genome, contig).state == state
