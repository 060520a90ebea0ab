"""How many words two answers share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Overlap(NamedTuple):
    """Shares, 0 to 1: of the answer's words that are true, of the true words that are answered, their harmonic mean."""

    precision: float
    recall: float
    f1: float


NONE = Overlap(0.0, 0.0, 0.0)


def overlap(answer: Sequence[str], truth: Sequence[str]) -> Overlap:
    """Words counted as often as they stand on both sides; nothing shared, or no words at all, is `NONE`."""
    shared = (Counter(answer) & Counter(truth)).total()
    return from_counts(shared, len(answer), len(truth)) if shared else NONE


def from_counts(num_right: float, num_given: float, num_true: float) -> Overlap:
    """Precision and recall out of counts, 0 where there is nothing to divide by."""
    return from_shares(num_right / num_given if num_given else 0.0, num_right / num_true if num_true else 0.0)


def from_shares(precision: float, recall: float) -> Overlap:
    """With the harmonic mean, 0 where both are 0."""
    total = precision + recall
    return Overlap(precision, recall, 2 * precision * recall / total if total else 0.0)
