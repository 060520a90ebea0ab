import dataclasses

import numpy as np
import pytest
import torch

from bigbird.data.records import Record, Span
from bigbird.errors import ConfigError, DataError
from bigbird.predictor import Predictor
from bigbird.tasks import TokenClassification, TokenLabels
from bigbird.tokenizers import DnaTokenizer
from helpers import MOTIF_TASK, SINGLE_BASE, STRANDED, dna, loaded_model

BPE = DnaTokenizer.train([dna(300, seed) for seed in range(100)], vocab_size=100)


def example_of(record, task=MOTIF_TASK, tokenizer=SINGLE_BASE):
    (example,) = task.encode(record, tokenizer, purpose="train")
    return example


def test_a_base_has_the_label_of_its_span_and_special_tokens_count_for_nothing():
    example = example_of(Record(sequence="ACGTACGTAC", spans=(Span(2, 5, "motif"),), ignored=((7, 9),)))
    assert example.targets[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert example.weights[:, 0].tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0]


def test_a_piece_of_several_bases_has_the_label_when_half_of_it_does():
    record = Record(sequence=dna(60, 7), spans=(Span(20, 41, "motif"),))
    example = example_of(record, tokenizer=BPE)
    for start, end, target in zip(example.starts[1:-1], example.ends[1:-1], example.targets[1:-1, 0], strict=True):
        inside = max(0, min(end, 41) - max(start, 20))
        assert target == (inside / (end - start) >= 0.5)


def test_spans_over_the_record_s_ends_are_cut():
    example = example_of(Record(sequence="ACGTAC", spans=(Span(-3, 2, "motif"), Span(5, 90, "motif"))))
    assert example.targets[1:-1, 0].tolist() == [1, 1, 0, 0, 0, 1]


def test_a_labelled_base_counts_even_where_the_truth_is_otherwise_unknown():
    example = example_of(Record(sequence="ACGTAC", spans=(Span(1, 3, "motif"),), ignored=((0, 6),)))
    assert example.weights[1:-1, 0].tolist() == [0, 1, 1, 0, 0, 0]


def test_loss_is_weighted_binary_cross_entropy_over_known_tokens():
    task = dataclasses.replace(MOTIF_TASK, positive_weight=3.0)
    loaded = loaded_model(task)
    record = Record(sequence=dna(40, 1), spans=(Span(3, 9, "motif"),), ignored=((20, 30),))
    batch = task.collate([example_of(record, task)], block_size=16)
    loss = task.loss(loaded.model, batch)
    with torch.no_grad():
        p = batch.layout.unpack(loaded.model(batch.token_ids, batch.layout))[1:-1, 0].double().sigmoid()
    expected = -3 * p[3:9].log().sum() - sum((1 - p[i]).log() for i in range(40) if not (3 <= i < 9 or 20 <= i < 30))
    assert loss.total.item() == pytest.approx(float(expected), rel=1e-5)
    assert float(loss.num_targets) == 30


def test_a_prediction_has_one_row_per_base_whatever_the_tokens():
    for tokenizer in (SINGLE_BASE, BPE):
        for length in (1, 17, 254, 255, 700):
            (prediction,) = Predictor(loaded_model(MOTIF_TASK, tokenizer=tokenizer)).predict(
                [Record(sequence=dna(length, 5))]
            )
            assert prediction.probabilities.shape == (length, 1)
            assert np.isfinite(prediction.probabilities).all()


def test_where_windows_overlap_the_one_that_sees_further_counts_more():
    task = dataclasses.replace(MOTIF_TASK, max_length=12, overlap=4)
    record = Record(sequence=dna(16, 2))
    windows = task.encode(record, SINGLE_BASE, purpose="predict")
    rows = [
        np.full((len(window.token_ids), 1), value, np.float32) for window, value in zip(windows, (0, 6), strict=True)
    ]
    merged = task._merged(list(zip(windows, rows, strict=True)))
    logits = np.log(merged.probabilities / (1 - merged.probabilities))[:, 0]
    np.testing.assert_allclose(logits[:6], 0, atol=1e-5)
    np.testing.assert_allclose(logits[6:10], [6 * 1 / 5, 6 * 2 / 5, 6 * 3 / 5, 6 * 4 / 5], rtol=1e-4)
    np.testing.assert_allclose(logits[10:], 6, rtol=1e-4)


@pytest.mark.parametrize("tokenizer", [SINGLE_BASE, BPE], ids=["single-base", "bpe"])
def test_both_strands_give_mirrored_answers(tokenizer):
    predictor = Predictor(loaded_model(STRANDED, tokenizer=tokenizer))
    record = Record(sequence=dna(600, 6))
    forward, backward = predictor.predict([record, record.on_other_strand()])
    np.testing.assert_allclose(forward.probabilities, backward.probabilities[::-1, ::-1], rtol=1e-4)


def test_scores_see_whether_and_where():
    records = [
        Record(sequence="A" * 50, spans=(Span(10, 20, "motif"),)),
        Record(sequence="A" * 50),
        Record(sequence="A" * 50, spans=(Span(30, 40, "motif"),)),
    ]
    perfect = [np.zeros((50, 1), np.float32) for _ in records]
    perfect[0][15] = perfect[2][35] = 1
    scores = MOTIF_TASK.score([TokenLabels(p) for p in perfect], records)
    assert scores["auroc/motif"].value == scores["average_precision/motif"].value == 1
    assert scores["median_distance/motif"].value == 0
    moved = [TokenLabels(np.roll(p, 7, axis=0)) for p in perfect]
    assert MOTIF_TASK.score(moved, records)["median_distance/motif"].value == 7


def test_records_without_any_label_cannot_be_scored():
    records = [Record(sequence="ACGT")]
    with pytest.raises(DataError, match=r"none of the 1 records has a labelled span.*with a column spans"):
        STRANDED.score([], records)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ("a", "a")}, r"labels must be distinct"),
        ({"labels": ("a",), "positive_weight": 0.0}, r"positive_weight must be above 0, got 0.0"),
        ({"labels": ("a+", "b"), "strands": "both"}, r"strands 'both' needs labels of both strands; 'a\+' has no 'a-'"),
        ({"labels": ("a",), "max_length": 5, "overlap": 3}, r"max_length must be at least 3"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        TokenClassification(**arguments)


def test_a_span_of_another_label_is_refused():
    with pytest.raises(DataError, match=r"record 'x' has a span 'other'; it must be one of \['motif'\]"):
        example_of(Record(sequence="ACGT", name="x", spans=(Span(0, 1, "other"),)))
