"""How well scores part promoters from what stands against them, with intervals over loci."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.tasks import metrics
from bigbird.tasks.metrics import Estimate

Floats = NDArray[np.float64]

GENOME_PREVALENCE = 0.01  # one start site per 50,000 bases, asked for every 500

NAMES = ("auroc", "average_precision", "average_precision_genome", "f1", "matthews")


class Judged(NamedTuple):
    """Windows with what they are and what they were scored.

    truth   True for a promoter
    scores  higher is more like a promoter
    loci    rows of one locus are drawn together
    """

    truth: NDArray[np.bool_]
    scores: Floats
    loci: NDArray[np.int64]


def average_precision_at(prevalence: float, truth: NDArray[np.bool_], scores: Floats) -> float:
    """Average precision if positives were only this share of all windows; NaN without both kinds.

    Negatives count as many times as the prevalence asks for: their ranks are as found, their number is not.
    """
    num_positive = int(truth.sum())
    if not 0 < num_positive < len(truth):
        return float("nan")
    weight = (1 - prevalence) / prevalence * num_positive / (len(truth) - num_positive)
    order = np.argsort(-scores, kind="stable")
    hits, misses = truth[order].cumsum(), weight * (~truth[order]).cumsum()
    last_of_value = np.append(np.diff(scores[order]) != 0, True)
    hits, misses = hits[last_of_value], misses[last_of_value]
    recall_gained = np.diff(hits, prepend=0) / hits[-1]
    return float((recall_gained * hits / (hits + misses)).sum())


def best_threshold(truth: NDArray[np.bool_], scores: Floats) -> float:
    """The score from which to call promoters for the highest Matthews correlation, half way to the next lower score."""
    order = np.argsort(-scores, kind="stable")
    values = scores[order]
    last_of_value = np.flatnonzero(np.append(np.diff(values) != 0, True))
    hits, called = truth[order].cumsum()[last_of_value], last_of_value + 1.0
    positives, total = float(truth.sum()), float(len(truth))
    spread = np.sqrt(called * (total - called) * positives * (total - positives))
    correlation = np.divide(hits * total - called * positives, spread, out=np.zeros(len(hits)), where=spread > 0)
    best = int(correlation.argmax())
    lowest = values[last_of_value[best]]
    following = last_of_value[best] + 1
    return float(lowest if following >= len(values) else (lowest + values[following]) / 2)


def figures(judged: Judged, *, threshold: float, prevalence: float) -> dict[str, Estimate]:
    """The figures of `NAMES`, each with its 95 % interval (bootstrap over loci)."""
    called = judged.scores >= threshold
    truth = judged.truth
    whole, guess = truth.astype(np.int64), called.astype(np.int64)

    def at_prevalence(rows: NDArray[np.bool_], scores: Floats) -> float:
        return average_precision_at(prevalence, rows, scores)

    return {
        "auroc": metrics.bootstrap(metrics.auroc, truth, judged.scores, groups=judged.loci),
        "average_precision": metrics.bootstrap(metrics.average_precision, truth, judged.scores, groups=judged.loci),
        "average_precision_genome": metrics.bootstrap(at_prevalence, truth, judged.scores, groups=judged.loci),
        "f1": metrics.bootstrap(metrics.f1, truth, called, groups=judged.loci),
        "matthews": metrics.bootstrap(metrics.matthews, whole, guess, groups=judged.loci),
    }


def as_json(found: Mapping[str, Estimate]) -> dict[str, dict[str, float]]:
    """Figures as they stand in files."""
    return {name: {part: round(value, 4) for part, value in one._asdict().items()} for name, one in found.items()}


def from_json(found: Mapping[str, Any]) -> dict[str, Estimate]:
    """Figures as `as_json` wrote them; null, which stands for NaN, comes back as NaN."""
    return {
        name: Estimate(*(float("nan") if one[part] is None else float(one[part]) for part in Estimate._fields))
        for name, one in found.items()
    }
