"""Answers compared as strings, exactly as SQuAD 2.0's evaluate-v2.0.py does (Rajpurkar et al. 2018)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bigbird.data.answer_text import squad_text as normalized


def exact_match(prediction: str, accepted: Iterable[str]) -> float:
    """1.0 when it is one of the accepted answers once normalized, else 0.0. `accepted`: "" where there is no answer."""
    return float(max(normalized(answer) == normalized(prediction) for answer in usable(accepted)))


def f1(prediction: str, accepted: Iterable[str]) -> float:
    """Harmonic mean of precision and recall of words, with the accepted answer that fits best."""
    return max(_f1_of_words(normalized(answer).split(), normalized(prediction).split()) for answer in usable(accepted))


def usable(accepted: Iterable[str]) -> list[str]:
    """The answers of which normalizing leaves something; "" alone where there is none, as of unanswerable questions."""
    return [answer for answer in accepted if normalized(answer)] or [""]


def _f1_of_words(gold: list[str], words: list[str]) -> float:
    if not gold or not words:  # no answer: right if both say so
        return float(gold == words)
    common = sum((Counter(gold) & Counter(words)).values())
    if not common:
        return 0.0
    precision, recall = common / len(words), common / len(gold)
    return 2 * precision * recall / (precision + recall)
