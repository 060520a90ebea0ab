"""How good answers to questions are: SQuAD 2.0's figures, with intervals over documents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bigbird.data.questions import Question
from bigbird.errors import DataError
from bigbird.tasks import answer_text, metrics
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.span_decoding import SpanAnswers


def accepted_of(question: Question) -> tuple[str, ...]:
    """The strings that a right answer may be; () where there is none."""
    return question.accepted or tuple(question.document[start:end] for start, end in question.answers)


def span_scores_of(
    predictions: Sequence[SpanAnswers], records: Sequence[Question], *, none_allowed: bool
) -> dict[str, Estimate]:
    """Shares from 0 to 1: exact_match, f1 and, where "no answer" may be one, no_answer_accuracy.

    A reader that may say "no answer" says it where that is likelier than its best answer; then it is right if the
    question has none (both figures 1) and wrong if it has one (both 0). Questions of one document are drawn together
    for the intervals.
    """
    _check_known(records)
    exact, f1, is_right = [], [], []
    for prediction, question in zip(predictions, records, strict=True):
        best, accepted = prediction.best, accepted_of(question)
        told = "" if best is None else question.document[best.start : best.end]
        exact.append(answer_text.exact_match(told, accepted))
        f1.append(answer_text.f1(told, accepted))
        is_right.append((best is None) == question.is_impossible)
    numbers: dict[str, int] = {}
    documents = np.array([numbers.setdefault(question.document, len(numbers)) for question in records])
    figures = {"exact_match": exact, "f1": f1, **({"no_answer_accuracy": is_right} if none_allowed else {})}
    return {
        name: metrics.bootstrap(_mean, np.array(values, np.float64), groups=documents)
        for name, values in figures.items()
    }


def _check_known(records: Sequence[Question]) -> None:
    for question in records:
        if not question.is_impossible and not accepted_of(question):
            raise DataError(
                f"question {question.name!r} cannot be scored: neither an answer is known nor that there is none; give "
                f"answers, accepted or is_impossible"
            )


def _mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(values.mean())
