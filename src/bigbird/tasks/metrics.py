"""How good predictions are, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness

NUM_RESAMPLES = 1000
MOST_SHOWN = 20
LOWER_IS_BETTER = ("loss", "bits_per_letter", "median_distance")  # first part of the name; all others: higher
_BOOTSTRAP_SEED = 20_200_728  # any number; the day the paper appeared

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A figure with its 95 % interval (percentile bootstrap over records); NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def headline(scores: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """What of many figures a person reads first, see `headline_names`."""
    return {name: scores[name] for name in headline_names(scores)}


def headline_names(names: Iterable[str]) -> list[str]:
    """All names of figures but those of single labels, "auroc/LABEL"; of a few figures all."""
    every = list(names)
    if len(every) <= MOST_SHOWN:
        return every
    return [name for name in every if name.startswith("mean_") or "/" not in name]


def bootstrap(
    metric: Callable[..., float], *columns: NDArray[np.generic], groups: NDArray[np.int64] | None = None
) -> Estimate:
    """`metric(*columns)` and how far it varies when the rows of all columns are drawn again, with replacement.

    groups  a number per row: rows of one group are drawn together, as they must be when they depend on each other

    Drawn again a single row (or group) is always itself, which would pass for certainty: then the interval is not
    defined.
    """
    rows_of = _groups_of_rows(len(columns[0]), groups)
    if rows_of.num_groups == 1:
        return Estimate(metric(*columns), math.nan, math.nan)
    values = []
    for resample in range(NUM_RESAMPLES):
        drawn = randomness.integers(0, rows_of.num_groups, _BOOTSTRAP_SEED, resample, np.arange(rows_of.num_groups))
        rows = rows_of.rows(drawn)
        values.append(metric(*(column[rows] for column in columns)))
    defined = np.array([value for value in values if not np.isnan(value)])
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (np.nan, np.nan)
    return Estimate(metric(*columns), float(low), float(high))


class _Groups(NamedTuple):
    """Rows sorted by group: where each group begins in `order`, and how many rows it has."""

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def num_groups(self) -> int:
        return len(self.starts)

    def rows(self, drawn: NDArray[np.int64]) -> NDArray[np.int64]:
        """All rows of the groups drawn, as often as they were."""
        counts = self.counts[drawn]
        before = np.cumsum(counts) - counts
        places: NDArray[np.int64] = np.repeat(self.starts[drawn] - before, counts) + np.arange(counts.sum())
        return self.order[places]


def _groups_of_rows(num_rows: int, groups: NDArray[np.int64] | None) -> _Groups:
    if groups is None:
        return _Groups(np.arange(num_rows), np.arange(num_rows), np.ones(num_rows, np.int64))
    _, number, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return _Groups(np.argsort(number, kind="stable"), np.cumsum(counts) - counts, counts)


def auroc(is_positive: NDArray[np.bool_], scores: Floats) -> float:
    """How often a positive scores above a negative; ties count half. NaN without both kinds."""
    num_positive = int(is_positive.sum())
    num_negative = len(is_positive) - num_positive
    if not num_positive or not num_negative:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # mean rank of each value, from 1
    rank_sum = ranks[inverse][is_positive].sum()
    return float((rank_sum - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def average_precision(is_positive: NDArray[np.bool_], scores: Floats) -> float:
    """Area under the precision-recall curve, as a step function over distinct thresholds. NaN without positives."""
    if not is_positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = is_positive[order].cumsum()
    last_of_value = np.append(np.diff(scores[order]) != 0, True)
    hits, called = hits[last_of_value], np.flatnonzero(last_of_value) + 1
    recall_gained = np.diff(hits, prepend=0) / hits[-1]
    return float((recall_gained * hits / called).sum())


def accuracy(truth: NDArray[np.generic], guess: NDArray[np.generic]) -> float:
    """Share of right guesses."""
    return float((truth == guess).mean())


def f1(is_positive: NDArray[np.bool_], is_called: NDArray[np.bool_]) -> float:
    """Harmonic mean of precision and recall; NaN when nothing is positive and nothing called."""
    wrong = (is_positive != is_called).sum()
    right = (is_positive & is_called).sum()
    return float(2 * right / (2 * right + wrong)) if right + wrong else float("nan")


def matthews(truth: NDArray[np.int64], guess: NDArray[np.int64]) -> float:
    """Matthews correlation coefficient for any number of classes (Gorodkin 2004); 0 when one side is constant."""
    classes = int(max(truth.max(), guess.max())) + 1
    confusion = np.bincount(truth * classes + guess, minlength=classes**2).reshape(classes, classes).astype(float)
    actual, predicted, total = confusion.sum(1), confusion.sum(0), confusion.sum()
    spread = np.sqrt((total**2 - (actual**2).sum()) * (total**2 - (predicted**2).sum()))
    return float((confusion.trace() * total - actual @ predicted) / spread) if spread else 0.0
