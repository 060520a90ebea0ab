"""Natural Questions' figures. Numbers are those of nq_eval.py."""

import numpy as np
import pytest

from bigbird.data.long_short_questions import Annotation, LongShortQuestion, TokenSpan
from bigbird.errors import DataError
from bigbird.tasks import metrics
from bigbird.tasks.long_short_scores import LongShortAnswer, long_short_scores


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(metrics, "NUM_RESAMPLES", 20)


A, B, C = TokenSpan(1, 2), TokenSpan(4, 5), TokenSpan(1, 9)
NOTHING = Annotation()


def question(*annotations):
    return LongShortQuestion(
        name="q", question="?", document="", places=np.zeros((0, 2), np.int64), annotations=annotations
    )


def f1(part, annotations, answer, **options):
    return getattr(long_short_scores([question(*annotations)], [answer], **options), part).f1.value


@pytest.mark.parametrize(
    ("annotations", "answer", "expected"),
    [
        ([Annotation(C), NOTHING, NOTHING, NOTHING, NOTHING], C, 0),  # one of five is none
        ([Annotation(C), Annotation(B), NOTHING], B, 1),  # two are, and either is right
        ([Annotation(C), Annotation(B), NOTHING], A, 0),
        ([Annotation(C), Annotation(B)], None, 0),
    ],
)
def test_a_long_answer_is_right_when_two_have_one_and_it_is_that_of_any(annotations, answer, expected):
    assert f1("long", annotations, LongShortAnswer(answer)) == expected


@pytest.mark.parametrize(
    ("annotations", "answer", "expected"),
    [
        ([Annotation(C, (A, B)), Annotation(C, (A,))], LongShortAnswer(short=(B, A, A)), 1),  # as sets
        ([Annotation(C, (A, B)), Annotation(C, (A,))], LongShortAnswer(short=(B,)), 0),
        ([Annotation(C, (A, B)), Annotation(C, (A,))], LongShortAnswer(short=(A,)), 1),
        ([Annotation(C, yes_no="yes"), Annotation(C, (A,))], LongShortAnswer(yes_no="yes"), 1),
        ([Annotation(C, yes_no="yes"), Annotation(C, (A,))], LongShortAnswer(yes_no="no"), 0),
        ([Annotation(C, yes_no="yes"), Annotation(C)], LongShortAnswer(yes_no="yes"), 0),  # one alone has a short one
    ],
)
def test_short_answers_are_compared_as_sets_and_yes_by_itself(annotations, answer, expected):
    assert f1("short", annotations, answer) == expected


def test_training_files_have_one_annotator():
    assert f1("long", [Annotation(C)], LongShortAnswer(C), min_annotators=1) == 1


def test_places_are_the_same_by_bytes_or_by_tokens_whichever_both_have():
    both = TokenSpan(1, 2, 10, 20)
    assert both.is_same(TokenSpan(-1, -1, 10, 20))
    assert both.is_same(TokenSpan(1, 2, 11, 20))
    assert both.is_same(TokenSpan(1, 3, 10, 20))
    assert not TokenSpan(-1, -1, 10, 20).is_same(TokenSpan(1, 2))
    assert not TokenSpan(1, 2).is_same(TokenSpan(1, 3))


def test_the_threshold_of_the_best_f1_counts_equal_scores_together():
    """Scores 9 right, 7 wrong, 4 right and a question without an answer at 4, 2 wrong; three have a gold answer."""
    has, none = [Annotation(C), Annotation(C)], [NOTHING, NOTHING]
    questions = [question(*some) for some in (has, none, has, has, none)]
    scores = [9, 7, 4, 4, 2]
    answers = [LongShortAnswer(C, long_score=score) for score in scores]
    answers[3] = LongShortAnswer(None, long_score=4)
    long = long_short_scores(questions, answers).long
    assert (long.f1.value, long.precision, long.recall) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert long.threshold == 4
    assert [(at.target, at.recall, at.precision) for at in long.at_precision] == [
        (0.5, pytest.approx(2 / 3), pytest.approx(2 / 3)),
        (0.75, pytest.approx(1 / 3), 1),
        (0.9, pytest.approx(1 / 3), 1),
    ]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_no_threshold_parts_equal_scores(order):
    questions = [question(Annotation(C), Annotation(C)), question(NOTHING)]
    answers = [LongShortAnswer(C, long_score=4)] * 2
    long = long_short_scores([questions[number] for number in order], answers).long
    assert (long.f1.value, long.precision, long.recall) == pytest.approx((2 / 3, 1 / 2, 1))


def test_nothing_right_is_a_threshold_of_0():
    long = long_short_scores([question(NOTHING)] * 2, [LongShortAnswer(C, long_score=3)] * 2).long
    assert (long.f1.value, long.precision, long.recall, long.threshold) == (0, 0, 0, 0)
    assert long.at_precision[0] == (0.5, 0, 0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (LongShortAnswer(short=(A,), yes_no="yes"), "'' beside short answers, got 'yes' and 1 short answers"),
        (LongShortAnswer(yes_no="NONE"), "question 'q': yes_no must be 'yes', 'no' or ''"),
        (LongShortAnswer(TokenSpan(-1, -1)), "is no place; a start must lie before its end, and no answer is None"),
        (LongShortAnswer(short=(TokenSpan(3, 3),)), r"TokenSpan\(start=3, end=3, .* is no place"),
        (LongShortAnswer(C, long_score=float("nan")), "question 'q': scores must be finite numbers, got nan and 0.0"),
    ],
)
def test_what_cannot_be_scored_is_said(answer, said):
    with pytest.raises(DataError, match=said):
        long_short_scores([question(NOTHING)], [answer])
    with pytest.raises(DataError, match="there are 1 questions and 2 answers"):
        long_short_scores([question(NOTHING)], [answer, answer])
