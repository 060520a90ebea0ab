"""Temperature and offset: found again where they are known, and never worse than none."""

import math
from dataclasses import replace

import numpy as np
import pytest

import reader_models as readers
from bigbird.errors import DataError
from bigbird.tasks.span_calibration import Spread, calibrate, fitted, mean_nats, spread_of
from bigbird.tasks.span_decoding import decoded
from reader_models import SMALL


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return readers.text_tokenizers(tmp_path_factory.mktemp("vocabularies"))["bert"]


def drawn(count, *, scale, offset, none_allowed=True, seed=0):
    """Questions whose truth is drawn from the probabilities that such settings give."""
    chance = np.random.default_rng(seed)
    spreads = []
    for _ in range(count):
        odds = chance.normal(size=30) * 4
        weights = np.exp(np.append(scale * odds, offset if none_allowed else -math.inf))
        truth = chance.choice(31, p=weights / weights.sum())
        counts = np.bincount(((odds + 40) / 0.05).astype(int), minlength=1600)
        spreads.append(Spread(counts, odds[truth : truth + 1]))
    return spreads


@pytest.mark.parametrize(("scale", "offset"), [(0.5, 2.0), (1.0, 7.0), (2.0, 14.0)])
def test_settings_that_made_the_truth_are_found_again(scale, offset):
    spreads = drawn(1000, scale=scale, offset=offset)
    fit = fitted(spreads, none_allowed=True)
    assert 1 / fit.temperature == pytest.approx(scale, rel=0.1)
    assert fit.no_answer_offset == pytest.approx(offset, abs=1)
    assert fit.nats <= mean_nats(spreads, np.array([scale]), np.array([offset]))[0, 0] + 1e-4
    assert fit.nats <= fit.nats_before + 1e-9


def test_without_no_answer_there_is_no_offset():
    fit = fitted(drawn(500, scale=0.5, offset=0, none_allowed=False), none_allowed=False)
    assert fit.no_answer_offset == 0
    assert 1 / fit.temperature == pytest.approx(0.5, rel=0.2)


@pytest.mark.parametrize("is_impossible", [True, False])
def test_what_is_fitted_is_the_likelihood_of_what_is_predicted(tokenizer, is_impossible):
    task = replace(SMALL, temperature=1.7, no_answer_offset=3.0)
    loaded = readers.reader(task, tokenizer)
    question = readers.needle(3, num_words=150, is_impossible=is_impossible)
    examples = task.encode(question, tokenizer, purpose="predict")
    chance = np.random.default_rng(0)
    windows = [(example, chance.normal(size=(len(example.token_ids), 2))) for example in examples]
    assert len(windows) > 2
    assert loaded.task is task
    found = decoded(windows, replace(task, top_k=1000).decoding)
    right = found.no_answer if is_impossible else None
    for start, end, score in found.answers:
        if (start, end) in question.answers:
            right = score
    nats = mean_nats([spread_of(windows, question, task)], np.array([1 / 1.7]), np.array([3.0]))[0, 0]
    if right is not None:
        assert math.exp(-nats) == pytest.approx(right, rel=0.02)  # odds are counted in bins
    assert spread_of(windows, question, task).right.size == (0 if is_impossible else 1)


def test_a_reader_is_calibrated_on_questions(tokenizer):
    loaded = readers.reader(SMALL, tokenizer)
    questions = [readers.needle(index, is_impossible=index % 2 == 0) for index in range(6)]
    fit = calibrate(questions, model=loaded.model, task=SMALL, tokenizer=tokenizer, block_size=16)
    assert fit.nats <= fit.nats_before
    assert replace(SMALL, temperature=fit.temperature, no_answer_offset=fit.no_answer_offset)


def test_nothing_is_fitted_on_answers_that_cannot_be_given(tokenizer):
    task = replace(SMALL, max_answer_tokens=1)
    long = replace(readers.needle(0), answers=((0, 30),))
    loaded = readers.reader(task, tokenizer)
    with pytest.raises(DataError, match=r"none of the 1 questions has an answer that the reader could give, so noth"):
        calibrate([long], model=loaded.model, task=task, tokenizer=tokenizer, block_size=16)
