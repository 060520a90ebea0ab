"""How well many labels are ranked, with intervals: quick for hundreds of labels and thousands of places.

Neighbouring places are alike, so what is drawn again for an interval is not places but chunks of neighbours: 32 of
them, consecutive and of one size. Of every positive is counted once how many places and how many positives of each
chunk score above it; any draw of chunks is then a weighted sum of these counts, exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness
from bigbird.tasks import metrics
from bigbird.tasks.metrics import Estimate

NUM_CHUNKS = 32
MIN_POSITIVES = 10  # a label with fewer is left out of means: one place would move it by a tenth
_AT_ONCE = 2_000  # positives of a label; bounds memory
_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")
_SEED = 20_200_728

Floats = NDArray[np.float64]


class Ranking(NamedTuple):
    """Figures of every label; column 0 is the figure itself, the others are those of draws.

    num_positives      int64 [labels]
    prevalence         float64 [labels], share of places that have the label
    auroc              float64 [labels, 1 + draws], see `metrics.auroc`
    average_precision  likewise, see `metrics.average_precision`
    """

    num_positives: NDArray[np.int64]
    prevalence: Floats
    auroc: Floats
    average_precision: Floats


def ranking(truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> Ranking:
    """truth, scores: [places, labels], neighbours one behind the other."""
    num_places, num_labels = truth.shape
    num_chunks = max(1, min(NUM_CHUNKS, num_places))
    chunks = np.arange(num_places) * num_chunks // max(num_places, 1)
    draws = _draws(num_chunks)
    figures = np.full((2, num_labels, draws.shape[1]), math.nan)
    for label in range(num_labels):
        if truth[:, label].any():
            figures[:, label] = _figures(truth[:, label], scores[:, label], chunks, draws)
    counts = truth.sum(0)
    return Ranking(counts, counts / max(num_places, 1), *figures)


def _draws(num_chunks: int) -> Floats:
    """How often each chunk counts, [chunks, 1 + draws]: once each, and in draws with replacement."""
    everything = np.ones((num_chunks, 1))
    if num_chunks == 1:
        return everything
    resamples = np.arange(metrics.NUM_RESAMPLES)[:, None]
    drawn = randomness.integers(0, num_chunks, _SEED, resamples, np.arange(num_chunks))
    cells = drawn + resamples * num_chunks
    counts = np.bincount(cells.ravel(), minlength=num_chunks * len(resamples)).reshape(len(resamples), num_chunks)
    return np.concatenate((everything, counts.T), axis=1)


def _figures(
    is_positive: NDArray[np.bool_], scores: NDArray[np.floating], chunks: NDArray[np.int64], draws: Floats
) -> Floats:
    """AUROC and average precision of one label, [2, 1 + draws]."""
    ranks = np.unique(scores, return_inverse=True)[1]
    keys = chunks * len(scores) + ranks  # by chunk, then by score
    all_keys, positive_keys = np.sort(keys), np.sort(keys[is_positive])
    num_positive = _at_edges(positive_keys, len(draws), len(scores)) @ draws
    num_negative = _at_edges(all_keys, len(draws), len(scores)) @ draws - num_positive
    lost, precision = np.zeros((2, draws.shape[1]))
    found = np.flatnonzero(is_positive)
    for first in range(0, len(found), _AT_ONCE):
        some = found[first : first + _AT_ONCE]
        weights = draws[chunks[some]]
        all_from, all_above = (_above(all_keys, ranks[some], side, draws, len(scores)) for side in _SIDES)
        from_, above = (_above(positive_keys, ranks[some], side, draws, len(scores)) for side in _SIDES)
        lost += (weights * (all_from - from_ + all_above - above)).sum(0) / 2  # negatives above; ties count half
        precision += (weights * from_ / np.maximum(all_from, 1)).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = 1 - lost / (num_positive * num_negative)
        return np.stack((np.where(num_positive * num_negative > 0, auroc, math.nan), precision / num_positive))


def _at_edges(keys: NDArray[np.int64], num_chunks: int, width: int) -> NDArray[np.int64]:
    """How many keys each chunk has."""
    return np.diff(np.searchsorted(keys, np.arange(num_chunks + 1) * width))


def _above(
    keys: NDArray[np.int64], ranks: NDArray[np.int64], side: Literal["left", "right"], draws: Floats, width: int
) -> Floats:
    """Places above each rank, those at it too when side is "left": [ranks, 1 + draws]."""
    starts = np.arange(len(draws)) * width
    ends = np.searchsorted(keys, starts + width)
    places = np.searchsorted(keys, starts + ranks[:, None], side=side)
    above: Floats = (ends - places) @ draws
    return above


def groups_of(labels: Sequence[str]) -> dict[str, list[str]]:
    """Labels by what stands before the first ":", such as TF of "TF:GM12878_CTCF_None"; those without are in none."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        group, colon, name = label.partition(":")
        if group and colon and name:
            groups.setdefault(group, []).append(label)
    return groups


def estimates(labels: Sequence[str], ranked: Ranking) -> dict[str, Estimate]:
    """Figures by name: means over labels with at least MIN_POSITIVES, over those of each group, then every label's own.

    The means of a group, see `groups_of`, are called mean_auroc/GROUP, …
    """
    columns = {label: column for column, label in enumerate(labels)}
    scores = _means("", ranked, list(columns.values()))
    for group, members in groups_of(labels).items():
        scores |= _means(f"/{group}", ranked, [columns[label] for label in members])
    for column, label in enumerate(labels):
        scores[f"auroc/{label}"] = _estimate(ranked.auroc[column])
        scores[f"average_precision/{label}"] = _estimate(ranked.average_precision[column])
        scores[f"prevalence/{label}"] = Estimate(float(ranked.prevalence[column]), math.nan, math.nan)
    return scores


def _means(ending: str, ranked: Ranking, columns: Sequence[int]) -> dict[str, Estimate]:
    usual = [column for column in columns if ranked.num_positives[column] >= MIN_POSITIVES]
    prevalence = float(ranked.prevalence[usual].mean()) if usual else math.nan
    return {
        f"mean_auroc{ending}": _estimate(_mean(ranked.auroc[usual])),
        f"mean_average_precision{ending}": _estimate(_mean(ranked.average_precision[usual])),
        f"mean_prevalence{ending}": Estimate(prevalence, math.nan, math.nan),
    }


def _mean(rows: Floats) -> Floats:
    """Over labels, those that are not defined in a draw left out."""
    is_defined = ~np.isnan(rows)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(is_defined, rows, 0).sum(0) / is_defined.sum(0)
    return mean


def _estimate(figures: Floats) -> Estimate:
    defined = figures[1:][~np.isnan(figures[1:])]
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (math.nan, math.nan)
    return Estimate(float(figures[0]), float(low), float(high))
