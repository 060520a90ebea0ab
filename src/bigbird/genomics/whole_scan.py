"""A scan of regions of any length, whole genomes too: part by part, kept in files, so that little is in memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.genomics.scan import ScanConfig, ScanCounts, check_scan, labels_of_scan, scan_stretch
from bigbird.genomics.scan_store import ScanStore
from bigbird.genomics.track import Scores, Track
from bigbird.predictor import Predictor

PART_BP = 500_000  # about: what a killed scan loses at most, and what is in memory

Report = Callable[[str, int], None]


def parts_of(region: Interval, config: ScanConfig) -> list[Interval]:
    """The parts of a region, each of a number of whole steps, so that its windows are those of the region."""
    size = max(1, PART_BP // config.step_bp) * config.step_bp
    return [
        Interval(region.contig, start, min(start + size, region.end)) for start in range(region.start, region.end, size)
    ]


def bases_done(store: ScanStore, regions: Sequence[Interval], config: ScanConfig) -> int:
    """Bases of the parts that an earlier, killed scan has finished."""
    return sum(part.length for region in regions for part in parts_of(region, config) if store.has(part))


def scan_regions(
    predictor: Predictor,
    genome: Genome,
    regions: Sequence[Interval],
    config: ScanConfig,
    *,
    store: ScanStore,
    report: Report = lambda _contig, _bases: None,
) -> list[Track]:
    """Score regions, parts that the store holds aside; the tracks read their scores from the store.

    report  is told of each window's bases as it is taken, not of those of finished parts
    """
    check_scan(predictor, config)
    for region in regions:
        for part in parts_of(region, config):
            if not store.has(part):
                watch = _told(part, config, report)
                store.save(part, *scan_stretch(predictor, genome, part, config, watch=watch))
    labels = labels_of_scan(predictor, config)
    return [_track(store, region, config, labels, genome.contigs[region.contig]) for region in regions]


def _told(
    part: Interval, config: ScanConfig, report: Report
) -> Callable[[Iterable[Interval], int], Iterator[Interval]]:
    def watch(windows: Iterable[Interval], _: int) -> Iterator[Interval]:
        for number, window in enumerate(windows):
            yield window
            report(part.contig, min(config.step_bp, part.length - number * config.step_bp))

    return watch


def _track(
    store: ScanStore, region: Interval, config: ScanConfig, labels: tuple[str, ...], contig_length: int
) -> Track:
    parts = parts_of(region, config)
    counts = ScanCounts()
    for part in parts:
        counts = counts.plus(store.counts(part))
    scores = StoredScores(store, parts, config.bin_bp)
    return Track(region, config.bin_bp, scores, labels, tuple(counts.remarks(region.contig)), contig_length)


class StoredScores:
    """The scores of a region as an array [bins, labels] of which slices are read from the parts."""

    def __init__(self, store: ScanStore, parts: Sequence[Interval], bin_bp: int) -> None:
        self._parts = parts
        self._read = lru_cache(maxsize=1)(store.scores)  # pieces of a track are taken one behind the other
        lengths = [-(-part.length // bin_bp) for part in parts]
        self._firsts = np.concatenate(([0], np.cumsum(lengths))).tolist()

    def __len__(self) -> int:
        """Number of bins."""
        length: int = self._firsts[-1]
        return length

    def __getitem__(self, rows: slice) -> Scores:
        """Some bins, read from their parts."""
        start, stop, step = rows.indices(len(self))
        assert step == 1
        first, last = bisect_right(self._firsts, start) - 1, bisect_left(self._firsts, stop)
        found = [
            self._read(part)[max(start - begin, 0) : stop - begin]
            for part, begin in zip(self._parts[first:last], self._firsts[first:last], strict=False)
        ]
        return found[0] if len(found) == 1 else np.concatenate(found)
