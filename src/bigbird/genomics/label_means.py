"""Means over some of the labels whose figures a file keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bigbird.tasks import Estimate
from bigbird.tasks.ranking import MIN_POSITIVES, groups_of

_FIGURES = ("auroc", "average_precision", "prevalence")


def means_over(
    labels: Sequence[str], every: Sequence[str], positives: Mapping[str, int], kept: Mapping[str, Estimate]
) -> dict[str, Estimate]:
    """Figures named as `tasks.ranking.estimates` does, over `labels` instead of `every` label.

    positives  places that have each label: those with fewer than MIN_POSITIVES are in no mean
    kept       the figures over `every` label

    A mean over all or over one of the labels has the interval kept with it. Others have none (NaN): labels vary
    together, which their own intervals do not tell. Raises `KeyError` with the name of a figure that is not kept.
    """

    def usual(some: Sequence[str]) -> list[str]:
        return [label for label in some if positives.get(label, 0) >= MIN_POSITIVES]

    groups = {"": list(every)} | {f"/{group}": members for group, members in groups_of(every).items()}
    scores = {}
    for ending, members in groups.items():
        some = usual([label for label in members if label in labels])
        is_whole = some == usual(members)
        if not ending or any(label in labels for label in members):
            for one in _FIGURES:
                name = f"mean_{one}{ending}"
                scores[name] = kept[name] if is_whole else _mean([kept[f"{one}/{label}"] for label in some])
    own = [f"{one}/{label}" for label in labels for one in _FIGURES]
    return scores | {name: kept[name] for name in own if name in kept}


def _mean(found: Sequence[Estimate]) -> Estimate:
    if len(found) == 1:
        return found[0]
    values = [one.value for one in found if not math.isnan(one.value)]
    return Estimate(sum(values) / len(values) if values else math.nan, math.nan, math.nan)
