"""Long and short answers as Natural Questions scores them (Kwiatkowski et al. 2019).

A question has an answer when at least two annotators gave one, and an answer is right when it is exactly that of any
annotator. Answers come with scores; those below a threshold are withdrawn, and the threshold of the best F1 is taken:

    score    9  7  4  2                                at threshold 4: precision 2/3, recall 2/3
    right    y  n  y  n       3 questions have one
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.long_short_questions import Annotation, LongShortQuestion, TokenSpan
from bigbird.errors import DataError
from bigbird.tasks import metrics
from bigbird.tasks.metrics import Estimate, Floats
from bigbird.tasks.scored_questions import check_aligned

MIN_ANNOTATORS = 2
PRECISIONS = (0.5, 0.75, 0.9)


class LongShortAnswer(NamedTuple):
    """What is answered to a question, and how surely.

    long, short, yes_no  as an annotator answers; short parts or yes_no, not both
    long_score, short_score  higher is surer, on any scale
    """

    long: TokenSpan | None = None
    short: tuple[TokenSpan, ...] = ()
    yes_no: str = ""
    long_score: float = 0.0
    short_score: float = 0.0


class AtPrecision(NamedTuple):
    """The highest recall where precision is at least `target`, and the precision there; 0 where it never is."""

    target: float
    recall: float
    precision: float


class ThresholdScores(NamedTuple):
    """Shares, 0 to 1, at the threshold of the best F1, which is found on the same questions.

    f1         with an interval over questions
    threshold  scores from here on count
    at_precision  what else the official table shows
    """

    f1: Estimate
    precision: float
    recall: float
    threshold: float
    at_precision: tuple[AtPrecision, ...]


class LongShortScores(NamedTuple):
    """Of long answers and of short ones, yes and no among the latter."""

    long: ThresholdScores
    short: ThresholdScores


class _Judged(NamedTuple):
    has_answer: bool
    is_answered: bool
    is_right: bool


def long_short_scores(
    questions: Sequence[LongShortQuestion],
    answers: Sequence[LongShortAnswer],
    *,
    min_annotators: int = MIN_ANNOTATORS,
) -> LongShortScores:
    """Score one answer per question.

    min_annotators  who must have given an answer for a question to have one; training files have one annotator
    """
    check_aligned(questions, answers)
    pairs = list(zip(questions, answers, strict=True))
    for question, answer in pairs:
        _check(question, answer)
    long = [_judge_long(question.annotations, answer.long, min_annotators) for question, answer in pairs]
    short = [_judge_short(question.annotations, answer, min_annotators) for question, answer in pairs]
    return LongShortScores(
        _at_thresholds(long, [answer.long_score for answer in answers]),
        _at_thresholds(short, [answer.short_score for answer in answers]),
    )


def _check(question: LongShortQuestion, answer: LongShortAnswer) -> None:
    if answer.yes_no not in ("", "yes", "no") or (answer.yes_no and answer.short):
        raise DataError(
            f"question {question.name!r}: yes_no must be 'yes', 'no' or '', and '' beside short answers, got "
            f"{answer.yes_no!r} and {len(answer.short)} short answers"
        )
    spans = (*answer.short, *([answer.long] if answer.long else []))
    if wrong := [span for span in spans if not span.is_place]:
        raise DataError(
            f"question {question.name!r}: {wrong[0]} is no place; a start must lie before its end, and no answer is "
            f"None for the long one, () for the short ones"
        )
    if not math.isfinite(answer.long_score) or not math.isfinite(answer.short_score):
        raise DataError(
            f"question {question.name!r}: scores must be finite numbers, got {answer.long_score} and "
            f"{answer.short_score}"
        )


def _judge_long(annotations: Sequence[Annotation], answer: TokenSpan | None, min_annotators: int) -> _Judged:
    given = [one.long for one in annotations if one.long]
    has_answer = len(given) >= min_annotators
    is_right = has_answer and answer is not None and any(one.is_same(answer) for one in given)
    return _Judged(has_answer, answer is not None, is_right)


def _judge_short(annotations: Sequence[Annotation], answer: LongShortAnswer, min_annotators: int) -> _Judged:
    has_answer = sum(bool(one.short or one.yes_no) for one in annotations) >= min_annotators
    is_answered = bool(answer.short or answer.yes_no)
    if not has_answer or not is_answered:
        return _Judged(has_answer, is_answered, False)
    if answer.yes_no:
        return _Judged(True, True, any(one.yes_no == answer.yes_no for one in annotations))
    return _Judged(True, True, any(_are_same(one.short, answer.short) for one in annotations))


def _are_same(some: Sequence[TokenSpan], others: Sequence[TokenSpan]) -> bool:
    """Whether each place of one side is on the other too."""
    return all(any(one.is_same(other) for other in others) for one in some) and all(
        any(one.is_same(other) for one in some) for other in others
    )


def _at_thresholds(judged: Sequence[_Judged], scores: Sequence[float]) -> ThresholdScores:
    table = np.array(judged, np.bool_).reshape(-1, 3)
    columns = (*table.T, np.asarray(scores, np.float64))
    f1, precision, recall, thresholds = _curve(*columns)
    best = int(f1.argmax()) if len(f1) and f1.max() > 0 else None
    at = (0.0, 0.0, 0.0) if best is None else (precision[best], recall[best], thresholds[best])
    tables = tuple(_at_precision(target, precision, recall) for target in PRECISIONS)
    estimate = metrics.bootstrap(_best_f1, *columns)
    return ThresholdScores(estimate, float(at[0]), float(at[1]), float(at[2]), tables)


def _best_f1(
    has_answer: NDArray[np.bool_], is_answered: NDArray[np.bool_], is_right: NDArray[np.bool_], scores: Floats
) -> float:
    return float(_curve(has_answer, is_answered, is_right, scores)[0].max(initial=0))


def _curve(
    has_answer: NDArray[np.bool_], is_answered: NDArray[np.bool_], is_right: NDArray[np.bool_], scores: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """F1, precision, recall and threshold, from the highest score down; equal scores stand or fall together."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)[: len(order)]
    right, answered = is_right[order].cumsum()[last], is_answered[order].cumsum()[last]
    precision = right / np.maximum(answered, 1)
    recall = right / max(int(has_answer.sum()), 1)
    total = precision + recall
    return 2 * precision * recall / np.where(total, total, 1), precision, recall, scores[order][last]


def _at_precision(target: float, precision: Floats, recall: Floats) -> AtPrecision:
    reached = np.where(precision >= target, recall, 0.0)
    best = int(reached.argmax()) if len(reached) and reached.max() > 0 else None
    return AtPrecision(target, *((0.0, 0.0) if best is None else (float(recall[best]), float(precision[best]))))
