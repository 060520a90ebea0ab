"""What is true of the bins of a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.records import Record
from bigbird.errors import DataError


class BinTruth(NamedTuple):
    """Of the bins of a record, its context left out.

    targets   bool [bins, labels], which bins have which labels
    is_known  bool [bins]: neither ignored in part nor nothing but N
    """

    targets: NDArray[np.bool_]
    is_known: NDArray[np.bool_]


def bin_truth(record: Record, labels: Sequence[str], *, bin_bp: int, context_bp: int = 0) -> BinTruth:
    """A bin has a label when a span of it covers half of the bin or more, or, if shorter than a bin, is centred in it.

        bin    |        |        |        |
        spans    [====]      [=======]  :          the second has two bins, ":" is one base

    A span centred exactly where two bins meet counts in both, so that the other strand has the same truth.
    """
    length = len(record.sequence)
    num_bins = length // bin_bp
    targets = np.zeros((num_bins, len(labels)), np.bool_)
    columns = {label: column for column, label in enumerate(labels)}
    for start, end, label in record.spans:
        if label not in columns:
            raise DataError(f"record {record.name!r} has a span {label!r}; it must be one of {some_of(labels)}")
        first, last = bins_of_span(start, end, bin_bp)
        targets[max(first, 0) : max(last, 0), columns[label]] = True
    letters = np.frombuffer(record.sequence[: num_bins * bin_bp].encode("latin-1", "replace"), np.uint8)
    is_known = ~((letters | 32) == ord("n")).reshape(num_bins, bin_bp).all(1)
    for start, end in record.ignored:
        is_known[max(start, 0) // bin_bp : max(-(-end // bin_bp), 0)] = False
    inside = slice(context_bp // bin_bp, num_bins - context_bp // bin_bp)
    return BinTruth(targets[inside], is_known[inside])


def bins_of_span(start: int, end: int, bin_bp: int) -> tuple[int, int]:
    """The bins [first, last) that a span labels, counted from base 0; they may lie beyond a record."""
    if end - start >= bin_bp:
        return -((bin_bp - 2 * start) // (2 * bin_bp)), (2 * end - bin_bp) // (2 * bin_bp) + 1
    return -(-(start + end) // (2 * bin_bp)) - 1, (start + end) // (2 * bin_bp) + 1


def some_of(labels: Sequence[str]) -> str:
    """The first labels, and how many more there are."""
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
