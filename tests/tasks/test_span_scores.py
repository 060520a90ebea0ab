"""SQuAD 2.0's figures of predictions, over documents."""

import math

import pytest

from bigbird.data.questions import AnswerSpan, Question
from bigbird.errors import DataError
from bigbird.tasks import SpanQA
from bigbird.tasks.span_decoding import SpanAnswer, SpanAnswers


def asked(document, *answers, **fields):
    return Question(question="what?", name="q", document=document, answers=answers, **fields)


def said(start, end, score=0.9, no_answer=0.05):
    return SpanAnswers((SpanAnswer(start, end, score),), no_answer)


NOTHING = said(0, 3, score=0.2, no_answer=0.7)
QUESTIONS = [
    asked("red one", AnswerSpan(4, 7)),
    asked("the red one", AnswerSpan(8, 11), accepted=("one", "1")),
    asked("blue two", AnswerSpan(0, 4)),
    asked("green", is_impossible=True),
    asked("grey", is_impossible=True),
]
PREDICTIONS = [said(4, 7), said(4, 11), NOTHING, NOTHING, said(0, 4)]


def test_figures_are_shares_of_questions():
    scores = SpanQA().score(PREDICTIONS, QUESTIONS)
    assert scores["exact_match"].value == pytest.approx(2 / 5)
    assert scores["f1"].value == pytest.approx((1 + 2 / 3 + 0 + 1 + 0) / 5)
    assert scores["no_answer_accuracy"].value == pytest.approx(3 / 5)
    assert all(score.low <= score.value <= score.high for score in scores.values())


def test_a_reader_that_always_answers_has_no_figure_of_none():
    scores = SpanQA(none_allowed=False).score(PREDICTIONS[:2], QUESTIONS[:2])
    assert list(scores) == ["exact_match", "f1"]


def test_intervals_are_over_documents():
    one_document = [asked("red one", AnswerSpan(4, 7)), asked("red one", AnswerSpan(0, 3))]
    scores = SpanQA().score([said(4, 7), said(4, 7)], one_document)
    assert scores["exact_match"].value == 0.5
    assert math.isnan(scores["exact_match"].low)


def test_questions_of_which_nothing_is_known_are_refused():
    with pytest.raises(
        DataError, match=r"no answer to question 'q' is known, so none can be scored; leave it out, or mark"
    ):
        SpanQA().score([said(0, 3)], [asked("red one")])
