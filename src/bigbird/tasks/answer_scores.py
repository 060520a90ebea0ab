"""Answers to questions as SQuAD scores them (Rajpurkar et al. 2016, 2018); COVID-QA is scored so too.

                  accepted "the end of 2019"        normal "end of 2019"
    answer        "In 2019"                         normal "in 2019"       exact 0, F1 = 2 · (1/2 · 1/3) / (1/2 + 1/3)

Of several accepted answers the one that suits the answer best counts. Figures equal those of the official scripts,
which give them in percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.answer_text import squad_text
from bigbird.data.questions import Question
from bigbird.errors import DataError
from bigbird.tasks import metrics
from bigbird.tasks.metrics import Estimate, Floats
from bigbird.tasks.scored_questions import check_aligned, check_known, document_numbers, mean, mean_where
from bigbird.tasks.word_overlap import overlap

Rules = Literal["1.1", "2.0"]


class AtBestThreshold(NamedTuple):
    """A figure where answers with a no-answer score above `threshold` are withdrawn, at the best such threshold.

    Found on the same questions, so it flatters; the official script counts so. Among equal scores it stops where it
    likes best, which no threshold can.
    """

    score: Estimate
    threshold: float


class AnswerScores(NamedTuple):
    """Shares, 0 to 1, over questions, with intervals over documents.

    exact       answers equal to an accepted one, punctuation, articles and capitals aside
    f1          mean overlap in words
    exact_answerable, f1_answerable  the same of questions that have an answer
    left_empty  share of the questions without an answer that were given none
    best_exact, best_f1  with the no-answer scores used best; None without such scores
    """

    exact: Estimate
    f1: Estimate
    exact_answerable: Estimate
    f1_answerable: Estimate
    left_empty: Estimate
    best_exact: AtBestThreshold | None = None
    best_f1: AtBestThreshold | None = None


def answer_scores(
    questions: Sequence[Question],
    answers: Sequence[str],
    *,
    rules: Rules = "2.0",
    no_answer: Sequence[float] | None = None,
) -> AnswerScores:
    """Score one answer per question, "" for none.

    rules      of which version: 1.1 knows no impossible questions, and gives an answer without words, such as "The",
               no F1 even where that is what is accepted
    no_answer  how likely each question has no answer, on any scale; asks for the best thresholds
    """
    check_aligned(questions, answers)
    scores = np.array([_score(*pair, rules) for pair in zip(questions, answers, strict=True)]).reshape(-1, 2)
    exact, f1 = scores.T
    documents = document_numbers(questions)
    has_answer = np.array([not question.is_impossible for question in questions], np.bool_)
    best_exact = best_f1 = None
    if no_answer is not None:
        check_aligned(questions, no_answer, "no-answer scores")
        unlikely = _finite(no_answer)
        is_given = np.array([bool(answer) for answer in answers], np.bool_)
        best_exact, best_f1 = (_best(some, has_answer, is_given, unlikely, documents) for some in (exact, f1))
    return AnswerScores(
        exact=mean(exact, documents),
        f1=mean(f1, documents),
        exact_answerable=mean_where(exact, has_answer, documents),
        f1_answerable=mean_where(f1, has_answer, documents),
        left_empty=mean_where(exact, ~has_answer, documents),
        best_exact=best_exact,
        best_f1=best_f1,
    )


def _score(question: Question, answer: str, rules: Rules) -> tuple[float, float]:
    """Exact match and F1 with the accepted answer that suits best."""
    check_known(question)
    accepted: Sequence[str] = [squad_text(text) for text in question.accepted]
    if rules == "2.0":
        accepted = [text for text in accepted if text] or [""]
    elif not accepted:
        raise DataError(f"question {question.name!r} is impossible, which SQuAD 1.1 does not know; use rules 2.0")
    given = squad_text(answer)
    exact = max(float(given == text) for text in accepted)
    if rules == "2.0" and not (given and accepted[0]):  # one of them is "no answer"
        return exact, exact
    return exact, max(overlap(given.split(), text.split()).f1 for text in accepted)


def _finite(no_answer: Sequence[float]) -> Floats:
    scores = np.asarray(no_answer, np.float64)
    if not np.isfinite(scores).all():
        raise DataError(f"no-answer scores must be finite numbers, got {scores[~np.isfinite(scores)][0]}")
    return scores


def _best(
    score: Floats,
    has_answer: NDArray[np.bool_],
    is_given: NDArray[np.bool_],
    no_answer: Floats,
    documents: NDArray[np.int64],
) -> AtBestThreshold:
    gained = np.where(has_answer, score, -is_given.astype(np.float64))  # by an answer that is let stand
    estimate = metrics.bootstrap(
        lambda *columns: _best_point(*columns)[0], gained, has_answer, no_answer, groups=documents
    )
    return AtBestThreshold(estimate, _best_point(gained, has_answer, no_answer)[1])


def _best_point(gained: Floats, has_answer: NDArray[np.bool_], no_answer: Floats) -> tuple[float, float]:
    """The best score and its threshold; 0 where it is best to answer nothing."""
    order = np.argsort(no_answer, kind="stable")
    withdrawn = float((~has_answer).sum())  # right when nothing is answered
    running = np.cumsum(np.concatenate(([withdrawn], gained[order])))
    place = int(running.argmax())
    return float(running[place] / len(gained)), float(no_answer[order[place - 1]]) if place else 0.0
