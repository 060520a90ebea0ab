"""Clauses found in contracts, as CUAD scores them (Hendrycks et al. 2021, arXiv 2103.06268).

A contract may hold several clauses of a kind, and several are found, each with a probability. One is right when at
least half of the words that it and a true one have together are in both (Jaccard); of party names it is enough to
contain the true one. Confidence is lowered step by step, and precision and recall are counted over all questions:

    true     [governing law of Ohio]  [laws of Ohio]
    found    [governing law of Ohio] 0.9     [the state] 0.4      above 0.5: 1 right, 0 wrong, 1 missed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.questions import Question
from bigbird.errors import DataError
from bigbird.tasks import metrics
from bigbird.tasks.metrics import Estimate, Floats
from bigbird.tasks.scored_questions import check_aligned, check_known, document_numbers

LEAST_JACCARD = 0.5
NAME_LISTS = "Parties"  # in a question's name: an answer that holds a true one suffices
STEPS: Floats = np.append(np.arange(0.99, 0, -0.01), (0.001, 0.0))  # probabilities above which a clause counts

_DROPPED = str.maketrans({".": None, ",": None, ";": None, ":": None})

Counts = NDArray[np.int64]


class FoundText(NamedTuple):
    """A clause found, and how likely it is one, 0 to 1."""

    text: str
    probability: float


class ClauseScores(NamedTuple):
    """Figures, 0 to 1, with intervals over contracts; NaN where no contract holds a clause.

    aupr  area under precision (the best at this recall or a higher one) over recall
    precision_at_80_recall, precision_at_90_recall  0 where that recall is not reached with a probability above 0.001
    """

    aupr: Estimate
    precision_at_80_recall: Estimate
    precision_at_90_recall: Estimate


def clause_scores(questions: Sequence[Question], found: Sequence[Sequence[FoundText]]) -> ClauseScores:
    """Score the clauses found for each question; empty texts count as none, of equal ones the last."""
    check_aligned(questions, found)
    rows = [_counts(question, some) for question, some in zip(questions, found, strict=True)]
    documents = document_numbers(questions)
    counts = np.zeros((len(set(documents.tolist())), 3, len(STEPS)), np.int64)
    np.add.at(counts, documents, np.array(rows, np.int64).reshape(-1, *counts.shape[1:]))
    columns = (counts[:, 0], counts[:, 1], counts[:, 2])
    return ClauseScores(
        metrics.bootstrap(_area, *columns),
        metrics.bootstrap(lambda *some: _precision_at(0.8, *some), *columns),
        metrics.bootstrap(lambda *some: _precision_at(0.9, *some), *columns),
    )


def _counts(question: Question, found: Sequence[FoundText]) -> Counts:
    """How many are right, wrong and missed at each step, [3, steps]."""
    check_known(question)
    probability = {one.text: _checked(question, one) for one in found if one.text}
    may_contain = NAME_LISTS in question.name
    matches = {
        text: [_matches(true, text, may_contain=may_contain) for true in question.accepted] for text in probability
    }
    best = [  # of each true clause: the likeliest found that matches it
        max((probability[text] for text in matches if matches[text][number]), default=-1.0)
        for number in range(len(question.accepted))
    ]
    wrong = [probability[text] for text in matches if not any(matches[text])]
    right = (np.array(best)[:, None] > STEPS).sum(0)
    return np.array([right, (np.array(wrong)[:, None] > STEPS).sum(0), len(best) - right])


def _checked(question: Question, found: FoundText) -> float:
    if not 0 <= found.probability <= 1:
        raise DataError(
            f"question {question.name!r}: the probability of a clause found must lie from 0 to 1, got "
            f"{found.probability}"
        )
    return found.probability


def _matches(true: str, found: str, *, may_contain: bool) -> bool:
    one, other = _words(true), _words(found)
    return len(one & other) / len(one | other) >= LEAST_JACCARD or (may_contain and true in found)


def _words(text: str) -> set[str]:
    """Parted at single spaces, as officially: two spaces leave a word without letters between them."""
    return set(text.translate(_DROPPED).lower().replace("/", " ").split(" "))


def _curve(right: Counts, wrong: Counts, missed: Counts) -> tuple[Floats, Floats]:
    """Precision and recall from the point of nothing found (1, 0) to that of everything, [1 + steps]."""
    true, false, lost = (some.sum(0) for some in (right, wrong, missed))
    precision = true / np.maximum(true + false, 1)
    best = np.maximum.accumulate(np.append(1.0, precision)[::-1])[::-1]
    return best, np.append(0.0, true / (true + lost) if (true + lost).any() else np.full(len(STEPS), np.nan))


def _area(right: Counts, wrong: Counts, missed: Counts) -> float:
    precision, recall = _curve(right, wrong, missed)
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())


def _precision_at(least_recall: float, right: Counts, wrong: Counts, missed: Counts) -> float:
    precision, recall = _curve(right, wrong, missed)
    if np.isnan(recall[-1]):
        return float("nan")
    reached = np.flatnonzero(recall[:-1] >= least_recall)  # officially the last step is not looked at
    return float(precision[reached[0]]) if len(reached) else 0.0
