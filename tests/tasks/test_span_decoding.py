"""Answers out of logits, against every span of every window one by one."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest

import reader_models as readers
from bigbird.data.questions import Question
from bigbird.tasks.span_decoding import Decoding, SpanAnswer, SpanAnswers, decoded
from reader_models import SMALL


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return readers.text_tokenizers(tmp_path_factory.mktemp("vocabularies"))["roberta"]


def windows_of(tokenizer, num_words, seed, task=SMALL):
    words = random.Random(seed).choices(["red", "fifth", "\n\n", "x", "日本"], k=num_words)
    question = Question(question="what is it?", document=" ".join(words))
    examples = task.encode(question, tokenizer, purpose="predict")
    chance = np.random.default_rng(seed)
    return [(example, chance.normal(size=(len(example.token_ids), 2)) * 3) for example in examples]


def oracle(windows, decoding):
    """By tokens (first, last) of the document: (how far from a cut, window, log odds, start, end) in each window."""
    odds = {}
    for number, (example, logits) in enumerate(windows):
        places = [i for i in range(len(example.starts)) if example.starts[i] >= 0]
        for first, last in itertools.combinations_with_replacement(range(len(places)), 2):
            i, j = places[first], places[last]
            if last - first >= decoding.max_answer_tokens or not (example.weights[i] and example.weights[j]):
                continue
            tokens = (example.first_token + first, example.first_token + last)
            to_left = first if number else math.inf
            to_right = len(places) - 1 - last if number + 1 < len(windows) else math.inf
            value = logits[i, 0] - logits[0, 0] + logits[j, 1] - logits[0, 1]
            odds.setdefault(tokens, []).append(
                (min(to_left, to_right), number, value, int(example.starts[i]), int(example.ends[j]))
            )
    return odds


@pytest.mark.parametrize("num_words", [3, 12, 60, 150])
@pytest.mark.parametrize("offset", [0.5, -math.inf])
def test_probabilities_are_those_of_all_spans_of_all_windows_each_once(tokenizer, num_words, offset):
    windows = windows_of(tokenizer, num_words, seed=num_words)
    decoding = Decoding(1000, SMALL.max_answer_tokens, scale=0.7, offset=offset)
    every = oracle(windows, decoding)
    best = [max(seen)[2:] for seen in every.values()]
    total = sum(math.exp(0.7 * value) for value, *_ in best) + math.exp(offset)
    found = decoded(windows, decoding)
    assert found.no_answer == pytest.approx(math.exp(offset) / total)
    probabilities = {}
    for value, start, end in best:
        probabilities.setdefault((start, end), []).append(math.exp(0.7 * value) / total)
    for start, end, score in found.answers:
        assert any(score == pytest.approx(other) for other in probabilities[start, end])
    assert found.answers[0].score == pytest.approx(max(map(max, probabilities.values())))


def test_each_answer_is_the_best_that_overlaps_none_before(tokenizer):
    windows = windows_of(tokenizer, 12, seed=5)
    assert len(windows) == 1
    decoding = Decoding(4, SMALL.max_answer_tokens)
    left = sorted((-max(seen)[2], *max(seen)[3:]) for seen in oracle(windows, decoding).values())
    expected = []
    for _, start, end in left:
        if len(expected) < 4 and not any(start < other[1] and other[0] < end for other in expected):
            expected.append((start, end))
    assert [answer[:2] for answer in decoded(windows, decoding).answers] == expected


def test_a_window_s_logits_moved_up_together_change_nothing(tokenizer):
    windows = windows_of(tokenizer, 150, seed=9)
    moved = [(example, logits + 5.0 * number) for number, (example, logits) in enumerate(windows)]
    one, other = (decoded(some, SMALL.decoding) for some in (windows, moved))
    assert [answer[:2] for answer in one.answers] == [answer[:2] for answer in other.answers]
    assert one.no_answer == pytest.approx(other.no_answer)


def test_an_answer_never_begins_or_ends_with_a_blank(tokenizer):
    windows = windows_of(tokenizer, 30, seed=2, task=replace(SMALL, max_length=128))
    (example, logits) = windows[0]
    is_blank = (example.weights == 0) & (example.starts >= 0)
    assert is_blank.any()
    logits[is_blank] = 50.0
    decoding = Decoding(50, 8)
    document = " ".join(random.Random(2).choices(["red", "fifth", "\n\n", "x", "日本"], k=30))
    found = [document[answer.start : answer.end] for answer in decoded(windows, decoding).answers]
    assert found
    assert found == [text.strip() for text in found]
    assert decoded(windows, decoding).no_answer > 1e-9  # what the model says of blanks counts for nothing


def test_without_any_place_for_an_answer_there_is_none(tokenizer):
    ((example, logits),) = windows_of(tokenizer, 3, seed=1)
    nothing = example._replace(weights=np.zeros_like(example.weights))
    assert decoded([(nothing, logits)], Decoding(3, 8)) == SpanAnswers((), 1.0)
    assert decoded([(nothing, logits)], Decoding(3, 8, offset=-math.inf)) == SpanAnswers((), 0.0)


def test_no_answer_is_said_where_it_is_likelier_than_the_best():
    answers = (SpanAnswer(0, 3, 0.3), SpanAnswer(5, 9, 0.2))
    assert SpanAnswers(answers, 0.29).best == answers[0]
    assert SpanAnswers(answers, 0.31).best is None
    assert SpanAnswers((), 0.0).best is None
