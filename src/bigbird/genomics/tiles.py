"""Regions of a genome cut into windows that lie side by side, and where a genome is known at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval

_PIECE_BP = 20_000


class Tile(NamedTuple):
    """A window, and its bases [start, end) that count; those around are context, or beyond the region."""

    window: Interval
    counted: tuple[int, int]


def tiled(genome: Genome, regions: Sequence[Interval], *, window_bp: int, step_bp: int, bin_bp: int) -> Iterator[Tile]:
    """Windows whose middle `step_bp` bases lie side by side, from each region's start to its end, in whole bins.

        region           |                       |
        windows     ... |=====| ...                         ... context, also from beyond the region; N beyond a contig
                           ... |=====| ...

    A shorter last piece, or a short region, stands in the middle of its window. A window that holds nothing but N where
    it counts is left out.
    """
    margin = (window_bp - step_bp) // 2
    for region in regions:
        for first in range(region.start, region.end, step_bp):
            length = min(step_bp, -(-(region.end - first) // bin_bp) * bin_bp)
            counted = Interval(region.contig, first, first + length)
            if not is_unknown(genome.window(counted).sequence):
                before = margin + (step_bp - length) // (2 * bin_bp) * bin_bp
                window = Interval(region.contig, first - before, first - before + window_bp)
                yield Tile(window, (before, before + length))


def known_parts(genome: Genome, regions: Sequence[Interval], *, least: int) -> list[Interval]:
    """The regions without long runs of N: parts of at least so many bases, to 20 kb exactly."""
    parts: list[Interval] = []
    for region in regions:
        begun: Interval | None = None
        for start in range(region.start, region.end, _PIECE_BP):
            piece = Interval(region.contig, start, min(start + _PIECE_BP, region.end))
            if not is_unknown(genome.window(piece).sequence):
                begun = piece if begun is None else replace(begun, end=piece.end)
            elif begun is not None:
                parts, begun = [*parts, begun], None
        if begun is not None:
            parts.append(begun)
    return [part for part in parts if part.length >= least]


def is_unknown(sequence: str) -> bool:
    """Whether it is nothing but N."""
    return not sequence.strip("N")
