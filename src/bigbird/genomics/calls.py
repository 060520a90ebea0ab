"""Where a track is high: calls, and the BED file of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.files import written_whole
from bigbird.data.intervals import Interval, Strand
from bigbird.genomics.scan import ScanConfig
from bigbird.genomics.track import Scores, Track


class Call(NamedTuple):
    """A stretch whose score reaches the threshold.

    interval  the stretch; its strand is the one the label names, its name the label
    summit    the middle base of its best bin
    score     of that bin
    """

    interval: Interval
    summit: int
    score: float


class _Run(NamedTuple):
    """Bins [first, last) of a call, and the best of them."""

    first: int
    last: int
    best: int
    score: float


def calls(track: Track, config: ScanConfig) -> list[Call]:
    """Every stretch that reaches the threshold, in order of place. Unknown bases (N) are never called."""
    gap = config.merge_bp // track.bin_bp
    runs: list[list[_Run]] = [[] for _ in track.labels]
    for first, scores in track.pieces():
        for column, found in enumerate(runs):
            for run in _runs_over(scores[:, column], first, config.threshold, gap):
                if found and run.first - found[-1].last <= gap:
                    found[-1] = _joined(found[-1], run)
                else:
                    found.append(run)
    every = [_call(track, label, run) for label, found in zip(track.labels, runs, strict=True) for run in found]
    return sorted(every, key=lambda call: (call.interval.start, call.interval.end, call.interval.name))


def write_bed(path: Path, found: Sequence[Call]) -> None:
    """BED with 8 columns: score 0 to 1000, the thick part is the summit."""
    with written_whole(path) as temporary, temporary.open("w") as file:
        for call in found:
            place, score = call.interval, round(1000 * call.score)
            columns = (place.contig, place.start, place.end, place.name, score, place.strand)
            print(*columns, call.summit, call.summit + 1, sep="\t", file=file)


def _runs_over(scores: Scores, first: int, threshold: float, gap: int) -> Iterator[_Run]:
    for start, end in _runs(scores >= threshold, gap=gap):
        best = start + int(np.nanargmax(scores[start:end]))
        yield _Run(first + start, first + end, first + best, float(scores[best]))


def _joined(one: _Run, other: _Run) -> _Run:
    best = other if other.score > one.score else one
    return _Run(one.first, other.last, best.best, best.score)


def _call(track: Track, label: str, run: _Run) -> Call:
    start, end = track.place(run.first), track.place(run.last)
    strand: Strand = "+" if label.endswith("+") else "-" if label.endswith("-") else "."
    summit = min(track.place(run.best) + track.bin_bp // 2, end - 1)
    return Call(Interval(track.region.contig, start, end, strand, label), summit, run.score)


def _runs(flags: NDArray[np.bool_], *, gap: int) -> Iterator[tuple[int, int]]:
    """Stretches of True as [first, last); those no more than `gap` apart are one."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    starts, ends = edges[::2], edges[1::2]
    is_new = np.append(True, starts[1:] - ends[:-1] > gap) if len(starts) else np.zeros(0, bool)
    for group in np.split(np.arange(len(starts)), np.flatnonzero(is_new)[1:]) if len(starts) else ():
        yield int(starts[group[0]]), int(ends[group[-1]])
