import dataclasses

import numpy as np
import pytest

from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.predictor import Predictor
from bigbird.tasks import BinClassification, Classification
from bigbird.tasks.calibration import before_and_after, calibrated, fitted, logits_of, reliability
from helpers import dna, loaded_model

PAIRS = ((2.0, 0.5), (1.0, -3.0))


def example(num_places=20_000, seed=0):
    """Logits of two labels that are too sure and too high, and the truth they were drawn from."""
    generator = np.random.default_rng(seed)
    right = generator.normal(-2, 1, (num_places, 2))
    truth = generator.random(right.shape) < 1 / (1 + np.exp(-right))
    return truth, right * 2 + 3


def test_what_was_bent_is_straightened():
    truth, logits = example()
    for scale, offset in fitted(truth, logits):
        assert scale == pytest.approx(0.5, rel=0.1)
        assert offset == pytest.approx(-1.5, rel=0.1)
    before, after = before_and_after(truth, logits)
    assert before.ece > 0.15
    assert after.ece < 0.02
    assert after.log_loss < before.log_loss - 0.1


def test_what_was_calibrated_already_is_judged_as_it_is():
    truth, logits = example()
    given = fitted(truth, logits)
    before, after = before_and_after(truth, logits, given)
    assert before == reliability(truth, 1 / (1 + np.exp(-calibrated(logits, given))))
    assert before.ece < 0.02
    assert after == before_and_after(truth, logits)[1]


def test_labels_of_few_or_no_positives_have_finite_pairs():
    truth, logits = example(300)
    truth[:, 0] = False
    truth[:, 1] = np.arange(300) == np.argmax(logits[:, 1])
    (scale, offset), (other_scale, _) = fitted(truth, logits)
    assert 0.05 <= scale <= 3
    assert -20 < offset < 0
    assert other_scale < 5


def test_reliability_is_that_of_ten_groups_of_equal_size():
    probabilities = np.repeat([[0.25], [0.75]], 100, axis=0)
    truth = np.array([True, False] * 50 + [True, True, True, False] * 25)[:, None]
    assert reliability(truth, probabilities).ece == pytest.approx(0.5 * 0.25)
    expected = -(np.log(0.25 * 0.75) / 2 + 0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / 2
    assert reliability(truth, probabilities).log_loss == pytest.approx(expected)


def test_logits_and_probabilities_are_each_other_s():
    logits = np.array([[-9.0, 0.0, 5.0]])
    np.testing.assert_allclose(logits_of(1 / (1 + np.exp(-logits))), logits, rtol=1e-6)
    assert np.isfinite(logits_of(np.array([0.0, 1.0]))).all()


@pytest.mark.parametrize(
    "task",
    [
        BinClassification(labels=("a", "b"), bin_bp=50, max_length=256, overlap=64),
        Classification(labels=("a", "b"), answer="many", max_length=256, overlap=64),
    ],
    ids=["bins", "whole"],
)
def test_predictions_have_the_calibration_and_losses_have_not(task):
    plain = loaded_model(task)
    mended = dataclasses.replace(plain, task=dataclasses.replace(task, calibration=PAIRS))
    record = Record(sequence=dna(200, 1))
    (one,), (other,) = Predictor(plain).predict([record]), Predictor(mended).predict([record])
    expected = calibrated(logits_of(one.probabilities), PAIRS)
    np.testing.assert_allclose(logits_of(other.probabilities), expected, rtol=1e-3)
    examples = task.encode(record, plain.tokenizer, purpose="train")
    losses = [some.task.loss(some.model, task.collate(examples, block_size=16)).total for some in (plain, mended)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    "arguments",
    [
        {"labels": ("a", "b"), "answer": "many", "calibration": ((1.0, 0.0),)},
        {"labels": ("a", "b"), "answer": "many", "calibration": ((1.0, 0.0), (0.0, 0.0))},
        {"labels": ("a", "b"), "answer": "one", "calibration": PAIRS},
    ],
)
def test_a_calibration_that_fits_no_labels_is_refused(arguments):
    with pytest.raises(ConfigError, match=r"calibration must have a scale above 0 and an offset for each of \d labels"):
        Classification(**arguments)
