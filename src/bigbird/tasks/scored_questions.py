"""Questions and what was answered to them, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bigbird.data.questions import Question
from bigbird.errors import DataError
from bigbird.tasks import metrics
from bigbird.tasks.metrics import Estimate

Answer = TypeVar("Answer")


def in_order(names: Sequence[str], by_name: Mapping[str, Answer], *, source: str) -> list[Answer]:
    """One answer per question out of a table such as a file of predictions, which must have all, and no others.

    names   of the questions, in their order
    source  of the table, for errors
    """
    if twice := len(names) - len(set(names)):
        raise DataError(f"{source}: {twice} questions have a name that another has too; names must tell them apart")
    missing = [name for name in names if name not in by_name]
    if missing:
        raise DataError(
            f"{source} has no answer to {len(missing)} of {len(names)} questions, such as {missing[0]!r}. Give every "
            f"question an answer, an empty one where there is none."
        )
    if strangers := set(by_name) - set(names):
        raise DataError(f"{source} answers {len(strangers)} questions that were not asked, such as {min(strangers)!r}")
    return [by_name[name] for name in names]


def check_aligned(questions: Sequence[object], answers: Sequence[object], what: str = "answers") -> None:
    """Raise where there is not one answer for each question."""
    if len(questions) != len(answers):
        raise DataError(
            f"there are {len(questions)} questions and {len(answers)} {what}; give one each, in their order"
        )


def check_known(question: Question) -> None:
    """Raise for a question of which no answer is known."""
    if not question.accepted and not question.is_impossible:
        raise DataError(
            f"no answer to question {question.name!r} is known, so none can be scored; leave it out, or mark it "
            f"is_impossible if the document holds none"
        )


def document_numbers(questions: Sequence[Question]) -> NDArray[np.int64]:
    """A number per question; those of one document (by its title, else its text) share it, for intervals."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(one.title or one.document, len(numbers)) for one in questions], np.int64)


def mean(values: Sequence[float] | NDArray[np.float64], groups: NDArray[np.int64]) -> Estimate:
    """With an interval over documents; NaN of nothing."""
    return mean_where(values, np.ones(len(values), np.bool_), groups)


def mean_where(
    values: Sequence[float] | NDArray[np.float64], chosen: NDArray[np.bool_], groups: NDArray[np.int64]
) -> Estimate:
    """Of the chosen values, with an interval over documents; NaN where none is chosen."""
    if not chosen.any():
        return Estimate(float("nan"), float("nan"), float("nan"))
    return metrics.bootstrap(_mean, np.asarray(values, np.float64)[chosen], groups=groups[chosen])


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean())
