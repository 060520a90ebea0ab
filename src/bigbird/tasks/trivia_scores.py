"""Answers as TriviaQA scores them (Joshi et al. 2017, arXiv 1705.03551): the alias that suits best counts.

aliases "sunset blvd", "sunset boulevard"       answer "The Sunset_Boulevard’s"       exact 0, F1 0.8
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bigbird.data.answer_text import trivia_text
from bigbird.data.questions import Question
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.scored_questions import check_aligned, check_known, mean
from bigbird.tasks.word_overlap import overlap


class TriviaScores(NamedTuple):
    """Shares, 0 to 1, with intervals over questions: answers equal to an alias, and mean overlap in words."""

    exact: Estimate
    f1: Estimate


def trivia_scores(questions: Sequence[Question], answers: Sequence[str]) -> TriviaScores:
    """Score one answer per question; officially web questions are scored per page, those of Wikipedia as a whole.

    For the verified subset read the file with `verified`.
    """
    check_aligned(questions, answers)
    scores = np.array([_score(*pair) for pair in zip(questions, answers, strict=True)]).reshape(-1, 2)
    names = [question.name.partition("--")[0] for question in questions]  # pages of one question depend on each other
    groups = np.unique(np.array(names, np.str_), return_inverse=True)[1]
    return TriviaScores(*(mean(column, groups) for column in scores.T))


def _score(question: Question, answer: str) -> tuple[float, float]:
    check_known(question)
    given = trivia_text(answer)
    aliases = [trivia_text(text) for text in question.accepted] or [""]
    exact = max(float(given == alias) for alias in aliases)
    return exact, max(overlap(given.split(), alias.split()).f1 for alias in aliases)
