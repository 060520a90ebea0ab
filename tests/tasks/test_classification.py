import dataclasses

import numpy as np
import pytest
import torch

from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.predictor import Predictor
from bigbird.tasks import Classification
from bigbird.tasks.base import packed
from bigbird.tasks.classification import SequenceLabels
from helpers import SINGLE_BASE, YES_NO, dna, loaded_model, motif_records

MANY = Classification(labels=("a", "b", "c"), answer="many", max_length=256, overlap=16)


def logits_of(loaded, sequence):
    examples = loaded.task.encode(Record(sequence=sequence), SINGLE_BASE, purpose="predict")
    batch = packed(examples, block_size=16)
    with torch.no_grad():
        return loaded.model(batch.token_ids, batch.layout).double()


def test_one_label_loss_is_cross_entropy_summed_over_examples():
    loaded = loaded_model(YES_NO)
    examples = [e for record in motif_records(5) for e in YES_NO.encode(record, SINGLE_BASE, purpose="train")]
    loss = YES_NO.loss(loaded.model, YES_NO.collate(examples, block_size=16))
    expected = 0.0
    for index, record in enumerate(motif_records(5)):
        expected -= float(logits_of(loaded, record.sequence)[0].log_softmax(0)[index % 2])
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert int(loss.num_targets) == 5


def test_many_labels_loss_is_binary_cross_entropy_summed_over_labels():
    loaded = loaded_model(MANY)
    record = Record(sequence=dna(50, 0), labels=("a", "c"))
    loss = MANY.loss(loaded.model, MANY.collate(MANY.encode(record, SINGLE_BASE, purpose="train"), block_size=16))
    probabilities = logits_of(loaded, record.sequence)[0].sigmoid()
    expected = -(probabilities[[0, 2]].log().sum() + (1 - probabilities[1]).log())
    assert loss.total.item() == pytest.approx(float(expected), rel=1e-5)
    assert int(loss.num_targets) == 3


def test_a_label_that_is_there_may_count_more():
    task = dataclasses.replace(MANY, positive_weight=8.0)
    loaded = loaded_model(task)
    record = Record(sequence=dna(50, 0), labels=("a", "c"))
    loss = task.loss(loaded.model, task.collate(task.encode(record, SINGLE_BASE, purpose="train"), block_size=16))
    p = logits_of(loaded, record.sequence)[0].sigmoid()
    expected = -8 * p[0].log() - (1 - p[1]).log() - 8 * p[2].log()
    assert loss.total.item() == pytest.approx(float(expected), rel=1e-5)


def test_scores_of_many_labels_have_prevalence_and_means_of_groups():
    labels = tuple(f"{group}:{number}" for group in ("DHS", "TF") for number in range(3))
    task = Classification(labels=labels, answer="many")
    generator = np.random.default_rng(0)
    truth = generator.random((400, 6)) < 0.2
    records = [Record(sequence="A", labels=tuple(np.array(labels)[row])) for row in truth]
    answers = [
        SequenceLabels((), row * 0.5 + noise) for row, noise in zip(truth, generator.random(truth.shape), strict=True)
    ]
    scores = task.score(answers, records)
    assert scores["prevalence/DHS:0"].value == truth[:, 0].mean()
    mean = np.mean([scores[f"auroc/{label}"].value for label in labels[3:]])
    assert scores["mean_auroc/TF"].value == pytest.approx(mean)
    assert scores["mean_auroc/TF"].low < mean < scores["mean_auroc/TF"].high


def test_predictions_are_probabilities_in_the_order_of_the_labels():
    (one,) = Predictor(loaded_model(YES_NO)).predict([Record(sequence=dna(80, 0))])
    assert one.probabilities.sum() == pytest.approx(1)
    assert one.labels == (YES_NO.labels[int(one.probabilities.argmax())],)
    (many,) = Predictor(loaded_model(MANY)).predict([Record(sequence=dna(80, 0))])
    assert many.labels == tuple(label for label, p in zip("abc", many.probabilities, strict=True) if p >= 0.5)


def test_the_windows_of_a_long_record_are_averaged():
    task = dataclasses.replace(YES_NO, max_length=66, overlap=0)
    loaded = loaded_model(task)
    sequence = dna(128, 3)
    expected = (logits_of(loaded, sequence[:64])[0] + logits_of(loaded, sequence[64:])[0]) / 2
    (prediction,) = Predictor(loaded).predict([Record(sequence=sequence)])
    np.testing.assert_allclose(prediction.probabilities, expected.softmax(0).numpy(), rtol=1e-6)


def test_averaging_strands_makes_a_sequence_and_its_reverse_complement_equal():
    loaded = loaded_model(dataclasses.replace(YES_NO, strands="both"))
    record = Record(sequence=dna(90, 4))
    forward, backward = Predictor(loaded).predict([record, record.on_other_strand()])
    np.testing.assert_allclose(forward.probabilities, backward.probabilities, rtol=1e-6)
    given_forward, given_backward = Predictor(loaded_model(YES_NO)).predict([record, record.on_other_strand()])
    assert not np.allclose(given_forward.probabilities, given_backward.probabilities, rtol=1e-6)


def test_a_label_that_names_a_strand_is_read_off_its_partner_on_the_other():
    loaded = loaded_model(Classification(labels=("tss-", "other", "tss+"), max_length=256, strands="both"))
    record = Record(sequence=dna(90, 4))
    forward, backward = Predictor(loaded).predict([record, record.on_other_strand()])
    np.testing.assert_allclose(forward.probabilities, backward.probabilities[[2, 1, 0]], rtol=1e-6)


def test_scores_of_perfect_and_of_constant_predictions():
    records = motif_records(40)
    perfect = [
        SequenceLabels(record.labels, np.array([0.9, 0.1] if record.labels == ("no",) else [0.1, 0.9]))
        for record in records
    ]
    assert {score.value for score in YES_NO.score(perfect, records).values()} == {1.0}
    constant = [SequenceLabels(("no",), np.array([0.6, 0.4]))] * 40
    scores = YES_NO.score(constant, records)
    assert scores["accuracy"].value == scores["auroc/yes"].value == 0.5
    assert scores["matthews"].value == 0


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        (YES_NO, ("maybe",), r"has the labels \['maybe'\]; it needs exactly one of no, yes"),
        (YES_NO, (), r"has the labels \[\]; it needs exactly one of no, yes"),
        (YES_NO, ("no", "yes"), r"it needs exactly one of"),
        (MANY, ("a", "d"), r"it needs any number of a, b, c"),
    ],
)
def test_a_record_with_other_labels_is_refused(task, labels, message):
    with pytest.raises(DataError, match=message):
        task.encode(Record(sequence="ACGT", labels=labels, name="x"), SINGLE_BASE, purpose="train")


@pytest.mark.parametrize("labels", [("a",), ("a", "a")])
def test_labels_that_make_no_choice_are_refused(labels):
    with pytest.raises(ConfigError, match="labels must be distinct, and at least two"):
        Classification(labels=labels)


@pytest.mark.parametrize("changes", [{"positive_weight": 0.0}, {"answer": "one", "positive_weight": 8.0}])
def test_a_weight_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ConfigError, match=r"positive_weight must be above 0, and 1 when each record has exactly one"):
        dataclasses.replace(MANY, **changes)
