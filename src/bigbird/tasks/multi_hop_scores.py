"""Answers with their supporting sentences, as HotpotQA scores them (Yang et al. 2018, arXiv 1809.09600).

The joint figures multiply per question: precision of the answer by precision of the facts, likewise recall; their
harmonic mean is the joint F1, and both must be exact for the joint exact match.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bigbird.data.answer_text import squad_text
from bigbird.data.multi_hop_questions import Fact, MultiHopQuestion
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.scored_questions import check_aligned, check_known, document_numbers, mean
from bigbird.tasks.word_overlap import NONE, Overlap, from_counts, from_shares, overlap

_WHOLE = ("yes", "no", "noanswer")  # these are right or wrong as a whole


class MultiHopAnswer(NamedTuple):
    """An answer, "yes" and "no" included, and the sentences that support it; a fact named twice counts once."""

    answer: str
    facts: tuple[Fact, ...] = ()


class Figures(NamedTuple):
    """Shares, 0 to 1, with intervals over documents."""

    exact: Estimate
    f1: Estimate
    precision: Estimate
    recall: Estimate


class MultiHopScores(NamedTuple):
    """Of answers, of supporting facts, and of both together."""

    answer: Figures
    support: Figures
    joint: Figures


class _Score(NamedTuple):
    exact: float
    words: Overlap


def multi_hop_scores(questions: Sequence[MultiHopQuestion], answers: Sequence[MultiHopAnswer]) -> MultiHopScores:
    """Score one answer per question; of several accepted answers the one with the best F1 counts."""
    check_aligned(questions, answers)
    rows = [_scores(question, answer) for question, answer in zip(questions, answers, strict=True)]
    documents = document_numbers([question.asked for question in questions])

    def figures(scores: Sequence[_Score]) -> Figures:
        values = np.array([(one.exact, one.words.f1, one.words.precision, one.words.recall) for one in scores])
        return Figures(*(mean(column, documents) for column in values.reshape(-1, 4).T))

    return MultiHopScores(*(figures([row[number] for row in rows]) for number in range(3)))


def _scores(question: MultiHopQuestion, answer: MultiHopAnswer) -> tuple[_Score, _Score, _Score]:
    check_known(question.asked)
    given = squad_text(answer.answer)
    accepted = [squad_text(text) for text in question.asked.accepted] or [""]
    texts = max((_Score(float(given == text), _words(given, text)) for text in accepted), key=_order)
    facts = _facts(set(answer.facts), set(question.facts))
    joint = from_shares(texts.words.precision * facts.words.precision, texts.words.recall * facts.words.recall)
    return texts, facts, _Score(texts.exact * facts.exact, joint)


def _order(score: _Score) -> tuple[float, float]:
    return score.words.f1, score.exact


def _words(given: str, accepted: str) -> Overlap:
    if given != accepted and (given in _WHOLE or accepted in _WHOLE):
        return NONE
    return overlap(given.split(), accepted.split())


def _facts(given: set[Fact], true: set[Fact]) -> _Score:
    return _Score(float(given == true), from_counts(len(given & true), len(given), len(true)))
