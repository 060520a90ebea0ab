"""Scores along a region of a genome, in memory or in files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bigbird.data.intervals import Interval

Scores = NDArray[np.float32]

_BINS_AT_ONCE = 100_000  # a megabase in bins of 10: what a chromosome is worked through by


class ScoreRows(Protocol):
    """An array [bins, labels], or what gives slices of one."""

    def __len__(self) -> int:
        """Number of bins."""

    def __getitem__(self, rows: slice, /) -> Scores:
        """Some bins, in memory."""


class _Columns:
    """Some columns of score rows."""

    def __init__(self, rows: ScoreRows, columns: Sequence[int]) -> None:
        self._rows, self._columns = rows, list(columns)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice) -> Scores:
        return self._rows[rows][:, self._columns]


class Track(NamedTuple):
    """Scores along a region.

    scores         float32 [bins, labels], NaN where the genome is unknown (N)
    labels         such as ("promoter+", "promoter-")
    remarks        what was skipped, filled in or read otherwise, in words
    contig_length  bases of the whole contig; 0 when nobody asks
    """

    region: Interval
    bin_bp: int
    scores: ScoreRows
    labels: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    contig_length: int = 0

    def pieces(self) -> Iterator[tuple[int, Scores]]:
        """The scores a megabase or so at a time: number of the first bin, and the bins."""
        for first in range(0, len(self.scores), _BINS_AT_ONCE):
            yield first, self.scores[first : first + _BINS_AT_ONCE]

    def place(self, number: int) -> int:
        """Where a bin begins on the contig; where the last ends for the number behind it."""
        return min(self.region.start + number * self.bin_bp, self.region.end)

    def only(self, labels: Sequence[str]) -> Track:
        """The scores of some labels alone."""
        columns = [self.labels.index(label) for label in labels]
        return self._replace(scores=_Columns(self.scores, columns), labels=tuple(labels))
