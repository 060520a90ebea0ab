import dataclasses

import numpy as np
import pytest
import torch

from bigbird.data.records import Record, Span
from bigbird.errors import ConfigError, DataError
from bigbird.predictor import Predictor
from bigbird.tasks import BinClassification, BinLabels
from bigbird.tasks.bins import bin_truth
from bigbird.tokenizers import DnaTokenizer, KmerTokenizer
from helpers import SINGLE_BASE, dna, loaded_model

KMERS = KmerTokenizer(8)
TASK = BinClassification(labels=("a", "b"), bin_bp=20, max_length=256, overlap=64)
BOTH = BinClassification(labels=("a", "cut+", "cut-"), bin_bp=20, max_length=256, overlap=64, strands="both")


def truth_of(length, *spans, **changes):
    return bin_truth(
        Record(sequence="A" * length, spans=tuple(Span(*span) for span in spans)), ("a",), bin_bp=20, **changes
    )


def bins_with_label(length, *spans):
    return np.flatnonzero(truth_of(length, *spans).targets[:, 0]).tolist()


def kmer_model(task, **changes):
    return loaded_model(task, tokenizer=KMERS, bases_per_token=8, **changes)


def test_a_summit_labels_its_bin_and_a_wide_span_every_bin_half_covered():
    assert bins_with_label(100, (39, 40, "a")) == [1]
    assert bins_with_label(100, (40, 41, "a")) == [2]
    assert bins_with_label(100, (30, 70, "a")) == [1, 2, 3]
    assert bins_with_label(100, (31, 69, "a")) == [2]
    assert bins_with_label(100, (33, 45, "a")) == [1]
    assert bins_with_label(100, (-15, 12, "a"), (91, 130, "a")) == [0]


def test_the_other_strand_has_the_same_truth():
    for seed in range(200):
        width, start = seed % 57 + 1, seed * 7 % 90
        record = Record(sequence="A" * 100, spans=(Span(start, min(start + width, 100), "a"),))
        there = bin_truth(record, ("a",), bin_bp=20).targets
        back = bin_truth(record.on_other_strand(), ("a",), bin_bp=20).targets
        assert (there == back[::-1]).all(), record.spans


def test_nothing_is_known_of_bins_of_n_alone_or_ignored_ones():
    record = Record(sequence="N" * 20 + "n" * 19 + "A" + "ACGT" * 15, ignored=((59, 61), (-5, -1)))
    assert bin_truth(record, ("a",), bin_bp=20).is_known.tolist() == [False, True, False, False, True]


def test_context_has_no_truth():
    assert truth_of(100, (39, 40, "a"), (0, 1, "a"), context_bp=20).targets[:, 0].tolist() == [True, False, False]


def test_training_windows_hold_the_targets_of_their_whole_bins():
    task = dataclasses.replace(TASK, max_length=12, overlap=2)  # 10 bases and two specials; a bin has 20
    record = Record(sequence=dna(60, 1), spans=(Span(25, 26, "a"),))
    examples = task.encode(record, SINGLE_BASE, purpose="train")
    assert all(example.weights.sum() == 0 for example in examples)
    task = dataclasses.replace(TASK, max_length=32, overlap=20)
    examples = task.encode(record, SINGLE_BASE, purpose="train")
    learned = {}
    for example in examples:
        numbers = example.bins[example.bins >= 0]
        for row, number in enumerate(range(numbers[0], numbers[-1] + 1)):
            if example.weights[row, 0]:
                assert (numbers == number).sum() == 20
                learned[number] = example.targets[row].tolist()
    assert learned == {0: [0, 0], 1: [1, 0], 2: [0, 0]}


def test_loss_is_weighted_binary_cross_entropy_over_known_bins():
    task = dataclasses.replace(TASK, positive_weight=3.0, context_bp=20)
    loaded = kmer_model(task)
    record = Record(sequence=dna(120, 1), spans=(Span(45, 46, "b"),), ignored=((81, 82),))
    batch = task.collate(task.encode(record, KMERS, purpose="train"), block_size=16)
    loss = task.loss(loaded.model, batch)
    with torch.no_grad():
        p = loaded.model(batch.token_ids, batch.layout, batch.bins).double().sigmoid()
    expected = -3 * p[1, 1].log() - sum((1 - p[i, j]).log() for i in (0, 1, 2) for j in (0, 1) if (i, j) != (1, 1))
    assert p.shape == (4, 2)
    assert loss.total.item() == pytest.approx(float(expected), rel=1e-5)
    assert float(loss.num_targets) == 6


def test_every_token_is_pooled_into_the_bin_of_its_middle():
    (example,) = TASK.encode(Record(sequence=dna(60, 3)), KMERS, purpose="predict")
    # tokens of 8 bases: middles 4 12 | 20 28 36 | 44 52 58
    assert example.bins.tolist() == [-1, 0, 0, 1, 1, 1, 2, 2, 2, -1]
    batch = TASK.collate([example, example], block_size=16)
    assert batch.bins.sizes.tolist() == [2, 3, 3, 2, 3, 3]
    assert batch.bins.places.tolist() == [*range(1, 9), *range(17, 25)]


@pytest.mark.parametrize("length", [60, 400, 4000])
def test_a_sequence_and_its_other_strand_agree_exactly(length):
    predictor = Predictor(kmer_model(dataclasses.replace(BOTH, max_length=64, overlap=16, context_bp=20)))
    record = Record(sequence=dna(length, 6))
    forward, backward = predictor.predict([record, record.on_other_strand()])
    assert forward.probabilities.shape == (length // 20 - 2, 3)
    assert (forward.probabilities == backward.probabilities[::-1][:, [0, 2, 1]]).all()


@pytest.mark.parametrize("tokenizer", [KMERS, SINGLE_BASE], ids=["kmers", "single-base"])
def test_neighbours_in_a_batch_change_nothing(tokenizer):
    bases = 8 if tokenizer is KMERS else 0
    predictor = Predictor(loaded_model(BOTH, tokenizer=tokenizer, bases_per_token=bases))
    records = [Record(sequence=dna(length, length)) for length in (20, 240, 100, 2000)]
    for record, together in zip(records, predictor.predict(records), strict=True):
        (alone,) = predictor.predict([record])
        assert (alone.probabilities == together.probabilities).all()
        assert (alone.first, alone.bin_bp) == (0, 20)


@pytest.mark.parametrize(
    "sequence", ["N" * 260, dna(100, 1) + "N" * 160, "N" * 130 + dna(130, 1), "N" * 64 + dna(36, 1)]
)
def test_runs_of_n_that_share_tokens_have_an_answer(sequence):
    task = dataclasses.replace(TASK, labels=("a", "b"), context_bp=40)
    records = [Record(sequence=dna(200, 2)), Record(sequence=sequence), Record(sequence=dna(200, 2))]
    before, found, after = Predictor(loaded_model(task)).predict(records)
    assert found.probabilities.shape == (len(sequence) // 20 - 2 * task.context_bp // 20, 2)
    assert np.isfinite(found.probabilities).all()
    assert (before.probabilities == after.probabilities).all()
    examples = task.encode(records[1], SINGLE_BASE, purpose="train")
    assert np.isfinite(float(task.loss(loaded_model(task).model, task.collate(examples, block_size=16)).total.detach()))


def test_where_windows_overlap_the_one_that_sees_further_counts_more():
    task = dataclasses.replace(TASK, labels=("a",), max_length=12, overlap=4)  # windows of 80 bases that share 32
    windows = task.encode(Record(sequence=dna(120, 2)), KMERS, purpose="predict")
    assert [window.bins[1:-1].tolist() for window in windows] == [
        [0, 0, 1, 1, 1, 2, 2, 3, 3, 3],
        [2, 3, 3, 3, 4, 4, 5, 5, 5],
    ]
    rows = [np.full((4, 1), value, np.float32) for value in (0, 6)]
    probabilities = task._merged(list(zip(windows, rows, strict=True))).probabilities[:, 0]
    logits = np.log(probabilities / (1 - probabilities))
    np.testing.assert_allclose(logits, [0, 0, 6 * 1 / 5, 6 * 2 / 3, 6, 6], atol=1e-4)


def test_the_figures_are_those_of_all_bins_that_are_known():
    spans = (Span(25, 26, "a"), Span(45, 46, "a"), Span(85, 86, "b"))
    records = [Record(sequence=dna(100, n), spans=spans, ignored=((0, 1),)) for n in range(10)]
    perfect = np.zeros((5, 2), np.float32)
    perfect[[1, 2], 0] = perfect[4, 1] = 0.9
    perfect[0] = 1  # ignored
    scores = TASK.score([BinLabels(perfect, 0, 20)] * 10, records)
    assert list(scores)[:3] == ["mean_auroc", "mean_average_precision", "mean_prevalence"]
    for name in ("mean_auroc", "auroc/a", "average_precision/b"):
        assert scores[name] == (1, 1, 1)
    assert scores["prevalence/a"].value == 0.5
    assert scores["mean_prevalence"].value == 0.375


def test_records_without_any_label_cannot_be_scored():
    with pytest.raises(DataError, match=r"no bin of the 1 records has a label.*same genome"):
        TASK.score([BinLabels(np.zeros((5, 2), np.float32), 0, 20)], [Record(sequence=dna(100, 1))])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ("a", "a")}, r"labels must be distinct"),
        ({"labels": ("a",), "positive_weight": 0.0}, r"positive_weight must be above 0, got 0.0"),
        ({"labels": ("a",), "bin_bp": 0}, r"bin_bp must be at least 1"),
        (
            {"labels": ("a",), "context_bp": 300},
            r"context_bp a multiple of it, 0 or more, got bin_bp 200 and context_bp 300",
        ),
        ({"labels": ("a",), "max_length": 5, "overlap": 3}, r"max_length must be at least 3"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        BinClassification(**arguments)


@pytest.mark.parametrize("length", [110, 40])
def test_a_record_that_is_not_whole_bins_is_refused(length):
    task = dataclasses.replace(TASK, context_bp=20)
    with pytest.raises(
        DataError, match=rf"record 'x' has {length} bases; it must be a multiple of the 20 .*fill it up with N"
    ):
        task.encode(Record(name="x", sequence=dna(length, 1)), KMERS, purpose="predict")


def test_tokens_longer_than_a_bin_are_refused():
    pieces = DnaTokenizer.train(["ACGTACGTTTACGATTTACGACG" * 300], vocab_size=100)
    task = dataclasses.replace(TASK, bin_bp=2)
    with pytest.raises(
        ConfigError, match=r"a token may have \d+ bases, so a bin of 2 may have none; set task.bin_bp to"
    ):
        task.encode(Record(sequence="ACGT" * 5), pieces, purpose="predict")


def test_a_span_of_another_label_is_refused():
    with pytest.raises(DataError, match=r"record 'x' has a span 'other'; it must be one of a, b"):
        TASK.truth(Record(sequence="A" * 20, name="x", spans=(Span(0, 1, "other"),)))
