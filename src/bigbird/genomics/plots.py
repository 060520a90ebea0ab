"""Pictures of scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigbird.data.files import written_whole
from bigbird.data.intervals import Feature
from bigbird.errors import require
from bigbird.genomics.calls import Call
from bigbird.genomics.track import Scores, Track

_MAX_POINTS = 4000  # a picture has no more columns than that
_COLOURS = ("#0b6e99", "#c2571a", "#4a7c3a", "#7d5ba6")  # told apart in grey and by the colour-blind


def draw_scan(
    path: Path, track: Track, found: Sequence[Call], features: Sequence[Feature], *, threshold: float
) -> None:
    """Write a PNG: scores (second label, or strand -, downwards), calls, and annotated genes below."""
    figure = require("matplotlib.figure", extra="plot", purpose="a picture").Figure(
        figsize=(14, 5), layout="constrained"
    )
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    _draw_scores(upper, track, threshold)
    _draw_calls(upper, found)
    _draw_genes(lower, track, features)
    upper.set_title(str(track.region), loc="left")
    lower.set_xlabel(f"position on {track.region.contig} (Mb)")
    lower.set_xlim(track.region.start / 1e6, track.region.end / 1e6)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _draw_scores(axes: Any, track: Track, threshold: float) -> None:
    signs = _signs(track.labels)
    places, all_heights = _thinned(track)
    for column, label in enumerate(track.labels):
        heights = all_heights[:, column]
        colour = _COLOURS[column % len(_COLOURS)]
        axes.fill_between(places, 0, signs[column] * heights, color=colour, linewidth=0.5, label=label, step="mid")
        axes.axhline(signs[column] * threshold, color=colour, linewidth=0.6, linestyle=":")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_ylim(-1.15 if min(signs) < 0 else 0, 1.15)
    ticks = [-1, -0.5, 0, 0.5, 1] if min(signs) < 0 else [0, 0.5, 1]
    axes.set_yticks(ticks, [f"{abs(tick):g}" for tick in ticks])
    axes.set_ylabel("score")
    axes.legend(loc="upper right", ncols=len(track.labels), frameon=False, bbox_to_anchor=(1, 1.12))


def _draw_calls(axes: Any, found: Sequence[Call]) -> None:
    for is_down, height, marker in ((False, 1.07, "v"), (True, -1.07, "^")):
        places = [call.summit / 1e6 for call in found if (call.interval.strand == "-") == is_down]
        if places:  # the layout makes room for a line without points, wherever it would be
            heights = [height] * len(places)
            axes.plot(places, heights, marker=marker, linestyle="none", color="black", markersize=4, clip_on=False)


def _draw_genes(axes: Any, track: Track, features: Sequence[Feature]) -> None:
    genes = [
        feature
        for feature in features
        if feature.kind == "gene"
        and feature.interval.contig == track.region.contig
        and feature.interval.start < track.region.end
        and feature.interval.end > track.region.start
    ]
    for is_down, height, marker in ((False, 0.7, ">"), (True, 0.3, "<")):
        for is_coding, colour in ((False, "#bbbbbb"), (True, "#444444")):
            some = [
                gene
                for gene in genes
                if (gene.interval.strand == "-") == is_down and (gene.biotype == "protein_coding") == is_coding
            ]
            heights = [height] * len(some)
            starts, ends = ([getattr(gene.interval, end) / 1e6 for gene in some] for end in ("start", "end"))
            axes.hlines(heights, starts, ends, color=colour)
            sites = [gene.start_site / 1e6 for gene in some]
            axes.plot(sites, heights, marker=marker, linestyle="none", color=colour, markersize=5)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.3, 0.7], ["genes −", "genes +"])
    if not genes:
        axes.text(0.5, 0.5, "no annotated genes given", transform=axes.transAxes, ha="center", color="#777777")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _signs(labels: Sequence[str]) -> list[int]:
    return [-1 if label.endswith("-") else 1 for label in labels]


def _thinned(track: Track) -> tuple[NDArray[np.float64], Scores]:
    """Places (Mb) and scores [points, labels], no more than a picture shows: the highest of each group of bins."""
    group = -(-len(track.scores) // _MAX_POINTS)
    heights = np.zeros((-(-len(track.scores) // group), len(track.labels)), np.float32)
    for first, scores in track.pieces():
        groups = np.arange(first, first + len(scores)) // group
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        highest = np.maximum.reduceat(np.nan_to_num(scores), starts, axis=0)
        heights[groups[starts]] = np.maximum(heights[groups[starts]], highest)
    places = np.arange(len(heights), dtype=np.float64) * group * track.bin_bp
    return (track.region.start + places + group * track.bin_bp / 2) / 1e6, heights
