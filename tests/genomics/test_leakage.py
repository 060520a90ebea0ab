import numpy as np
import pytest

from bigbird.data.intervals import Interval
from bigbird.data.records import Record
from bigbird.genomics.kmer_words import shared_words, words_of
from bigbird.genomics.leakage import leakage_lines, leakage_report
from bigbird.genomics.window_sets import SetWindow
from bigbird.tokenizers import reverse_complement
from helpers import dna


def placed(start, *, kind="promoter", length=100, contig="chr1", letters=None):
    interval = Interval(contig, start, start + length, "+")
    sequence = dna(length, f"{contig} {start} {kind}") if letters is None else letters
    return SetWindow(Record(sequence=sequence, interval=interval), kind, 0)


def canonical(sequence):
    return {min(w, reverse_complement(w)) for w in (sequence[i : i + 32] for i in range(len(sequence) - 31))}


def test_words_are_those_of_either_strand_and_hold_no_n():
    sequence = dna(200, 1)
    words, owners = words_of([sequence, sequence[:40] + "N" + sequence[40:80], dna(20, 2)])
    assert len(set(words[owners == 0].tolist())) == len(canonical(sequence)) == 169
    assert np.bincount(owners, minlength=3).tolist() == [169, 9 + 9, 0]
    turned, _ = words_of([reverse_complement(sequence)])
    assert turned.tolist() == words[owners == 0][::-1].tolist()
    assert words_of([])[0].tolist() == []


def test_the_share_of_words_that_occur_elsewhere_is_exact():
    sequences = [dna(300, number) for number in range(4)]
    half = sequences[1][:150] + dna(150, 9)
    others = [reverse_complement(sequences[0]), half, sequences[3][100:131]]  # the last has only 31 bases in common
    expected = [1.0, 119 / 269, 0.0, 0.0]
    np.testing.assert_allclose(shared_words(sequences, others), expected)
    assert shared_words(["ACGT"], others).tolist() == [0.0]
    assert shared_words(sequences, []).tolist() == [0.0] * 4


def test_batches_change_nothing(monkeypatch):
    sequences, others = [dna(300, 1), dna(300, 2)], [dna(300, 3), dna(300, 1), dna(300, 2)[:100]]
    whole = shared_words(sequences, others)
    monkeypatch.setattr("bigbird.genomics.kmer_words._BASES_AT_ONCE", 1)
    assert shared_words(sequences, others).tolist() == whole.tolist()
    assert whole[0] == 1


def test_overlap_of_parts_is_counted_by_kind():
    train = [placed(1_000), placed(5_000, length=400)]
    validation = [
        placed(1_099),  # one base
        placed(1_050),  # half of it
        placed(1_100),  # none
        placed(5_250, kind="shifted"),  # a whole window of a longer one
        placed(1_000, kind="shifted", contig="chr2"),
    ]
    report = leakage_report({"train": train, "validation": validation})
    assert report["overlap"]["validation with train"] == {
        "promoter": {"windows": 3, "any": pytest.approx(2 / 3), "half": pytest.approx(1 / 3)},
        "shifted": {"windows": 2, "any": 0.5, "half": 0.5},
    }
    assert report["between_kinds"]["train"] == {}


def test_overlap_of_kinds_within_a_part():
    report = leakage_report({"train": [placed(0), placed(500), placed(540, kind="shifted")]})
    assert report["between_kinds"]["train"] == {
        "promoter with shifted": {"windows": 2, "any": 0.5, "half": 0.5},
        "shifted with promoter": {"windows": 1, "any": 1.0, "half": 1.0},
    }
    assert report["overlap"] == {}


def test_a_leak_of_one_kind_alone_shows():
    repeat = dna(100, "repeat")
    train = [placed(0, letters=repeat)]
    validation = [
        placed(0, letters=dna(100, 1), contig="chr2"),
        placed(9, kind="shifted", letters=repeat, contig="chr2"),
    ]
    shared = leakage_report({"train": train, "validation": validation})["shared_32mers"]["validation with train"]
    assert shared["promoter"] == {"windows": 1, "any": 0, "tenth": 0, "half": 0}
    assert shared["shifted"] == {"windows": 1, "any": 1, "tenth": 1, "half": 1}
    assert shared["all"]["any"] == 0.5


def test_duplicates_are_found_on_either_strand():
    one, two = dna(100, 1), dna(100, 2)
    parts = {
        "train": [placed(0, letters=one), placed(1, letters=reverse_complement(one)), placed(2, letters=two)],
        "test": [placed(3, letters=reverse_complement(two)), placed(4, letters=dna(100, 3))],
    }
    assert leakage_report(parts)["duplicates"] == {"within train": 1, "within test": 0, "test with train": 1}


def test_the_report_in_sentences():
    parts = {"train": [placed(0), placed(50, kind="shifted")], "validation": [placed(40)]}
    assert leakage_lines(leakage_report(parts)) == [
        "validation with train: 100.0 % of 1 promoter windows share bases, 100.0 % at least half",
        "train: 100.0 % of 1 windows of promoter with shifted share bases, 100.0 % at least half",
        "train: 100.0 % of 1 windows of shifted with promoter share bases, 100.0 % at least half",
        "validation with train: 0.0 % of all windows share a 32-mer, 0.0 % a tenth of them, 0.0 % a half",
        "validation with train: 0.0 % of promoter windows share a 32-mer, 0.0 % a tenth of them, 0.0 % a half",
        "letter for letter (or reversed) the same, within train: 0",
        "letter for letter (or reversed) the same, within validation: 0",
        "letter for letter (or reversed) the same, validation with train: 0",
    ]


def test_letters_that_lie_nowhere_share_no_bases_but_words():
    made_up = SetWindow(Record(sequence=dna(100, 1)), "substitution", 0)
    report = leakage_report({"train": [placed(0, letters=dna(100, 1))], "validation": [made_up]})
    assert report["overlap"]["validation with train"] == {}
    assert report["shared_32mers"]["validation with train"]["substitution"]["half"] == 1
