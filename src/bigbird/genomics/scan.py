"""A model along a genome: a score for every stretch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird import config as configs
from bigbird.checkpoint import LoadedModel
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.genomics.bin_profiles import reading_of
from bigbird.genomics.label_names import check_labels
from bigbird.genomics.readout import check_readable, probabilities_along
from bigbird.genomics.track import Scores, Track
from bigbird.predictor import Predictor
from bigbird.tasks import BinClassification, BinLabels

Watch = Callable[[Iterable[Interval], int], Iterable[Interval]]


@dataclass(frozen=True, kw_only=True)
class ScanConfig:
    """How a scan goes; lengths in bases.

    window_bp   what the model sees at once; no more than it can read
    overlap_bp  what neighbouring windows share, so that every base is seen with context on both sides. For a model
                with one answer per window the answer holds for the middle, window_bp - overlap_bp bases
    bin_bp      one score each
    threshold   score from which a stretch is called
    merge_bp    calls of one label that lie closer are one
    labels      those to score; () for all of the model's
    """

    window_bp: int = 16_000
    overlap_bp: int = 2_000
    bin_bp: int = 10
    threshold: float = 0.5
    merge_bp: int = 500
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.bin_bp < 1 or self.window_bp % self.bin_bp or self.overlap_bp % (2 * self.bin_bp):
            raise ConfigError(
                f"window_bp must be a multiple of bin_bp and overlap_bp of twice bin_bp, got window_bp "
                f"{self.window_bp}, overlap_bp {self.overlap_bp}, bin_bp {self.bin_bp}"
            )
        if not 0 <= self.overlap_bp < self.window_bp:
            raise ConfigError(f"overlap_bp must be at least 0 and below window_bp, got {self.overlap_bp}")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold must lie between 0 and 1, got {self.threshold}")
        if self.merge_bp < 0:
            raise ConfigError(f"merge_bp must be at least 0, got {self.merge_bp}")

    @property
    def step_bp(self) -> int:
        """From one window to the next; each has that many bases of its own."""
        return self.window_bp - self.overlap_bp


def usual_scan(loaded: LoadedModel) -> ScanConfig:
    """How the model is best scanned with: as its notes tell, a model of bins in its bins."""
    usual, task = ScanConfig(), loaded.task
    if isinstance(task, BinClassification):
        window_bp, step_bp, bin_bp = reading_of(loaded)
        usual = ScanConfig(window_bp=window_bp, overlap_bp=window_bp - step_bp, bin_bp=bin_bp, merge_bp=0)
    return configs.changed(usual, loaded.notes.get("scan", {}), source="the model's notes")


class ScanCounts(NamedTuple):
    """What a scan met: windows in all, windows of nothing but N, bases filled in, ambiguity codes read as N."""

    num_windows: int = 0
    num_skipped: int = 0
    num_padded: int = 0
    num_ambiguous: int = 0

    def plus(self, other: ScanCounts) -> ScanCounts:
        """The counts of two stretches together."""
        return ScanCounts(*(one + two for one, two in zip(self, other, strict=True)))

    def remarks(self, contig: str) -> Iterator[str]:
        """What is worth saying, in words."""
        if self.num_skipped:
            yield (f"{contig}: {self.num_skipped} of {self.num_windows} windows hold nothing but N and were left out")
        if self.num_padded:
            yield f"{contig}: windows reach {self.num_padded} bases over its ends; these were filled with N"
        if self.num_ambiguous:
            yield f"{contig}: ambiguity codes were read as N, {self.num_ambiguous} in all windows together"


def scan(
    predictor: Predictor,
    genome: Genome,
    region: Interval,
    config: ScanConfig,
    *,
    watch: Watch = lambda windows, _: windows,
) -> Track:
    """Score a region. `watch` may wrap the windows as they are taken; it is told how many there are."""
    check_scan(predictor, config)
    scores, counts = scan_stretch(predictor, genome, region, config, watch=watch)
    remarks = tuple(counts.remarks(region.contig))
    labels = labels_of_scan(predictor, config)
    return Track(region, config.bin_bp, scores, labels, remarks, genome.contigs[region.contig])


def scan_stretch(
    predictor: Predictor,
    genome: Genome,
    region: Interval,
    config: ScanConfig,
    *,
    watch: Watch = lambda windows, _: windows,
) -> tuple[Scores, ScanCounts]:
    """The scores of a region, float32 [bins, labels], and what was met.

    A region cut at multiples of `step_bp` from its start has the scores of its parts, number for number.
    """
    task, contig_length = predictor.loaded.task, genome.contigs[region.contig]
    columns = [task.labels.index(label) for label in labels_of_scan(predictor, config)]
    scores = np.full((-(-region.length // config.bin_bp), len(columns)), np.nan, np.float32)
    is_in_bins = isinstance(task, BinClassification)
    windows = _ScanWindows(genome, list(_windows(region, None if is_in_bins else contig_length, config)), watch)
    for prediction in predictor.predict(windows):
        window, record = windows.under_way.popleft()
        if is_in_bins:
            answer = prediction._replace(probabilities=prediction.probabilities[:, columns])
            _put_bins(scores, window, record, answer, region=region)
            continue
        values = probabilities_along(task, prediction, len(record.sequence))[:, columns]
        _put(scores, window, record, values, region=region, bin_bp=config.bin_bp)
    return scores, windows.counts()


def labels_of_scan(predictor: Predictor, config: ScanConfig) -> tuple[str, ...]:
    """The labels that are scored, in the model's order."""
    known = predictor.loaded.task.labels
    return tuple(label for label in known if label in config.labels) if config.labels else known


def check_scan(predictor: Predictor, config: ScanConfig) -> None:
    """Raise when the model cannot scan, or would read a window in pieces that do not see each other."""
    task, tokenizer = predictor.loaded.task, predictor.loaded.tokenizer
    check_readable(task, "a scan")
    check_labels(config.labels, task.labels)
    if isinstance(task, BinClassification):
        _check_bins(task, config)
    num_tokens = task.max_length - 2
    most = num_tokens * tokenizer.max_letters
    if config.window_bp > most:
        raise ConfigError(
            f"window_bp {config.window_bp:,} is more than this model reads at once, which is {num_tokens:,} tokens of "
            f"at most {tokenizer.max_letters} bases. Set window_bp to {most - most % config.bin_bp} or less, and "
            f"overlap_bp below that."
        )


def _check_bins(task: BinClassification, config: ScanConfig) -> None:
    """Raise unless the scan's bins are the model's."""
    step = config.overlap_bp // 2
    if config.bin_bp != task.bin_bp or step % task.bin_bp or step < task.context_bp:
        raise ConfigError(
            f"this model answers in bins of {task.bin_bp} bases and needs {task.context_bp} bases of context on either "
            f"side: bin_bp must be {task.bin_bp}, and overlap_bp a multiple of {2 * task.bin_bp} from "
            f"{2 * task.context_bp} on; got bin_bp {config.bin_bp} and overlap_bp {config.overlap_bp}"
        )


class _Window(NamedTuple):
    """A stretch that the model sees, and the bases of it whose scores count: [first, last) on the contig."""

    seen: Interval
    first: int
    last: int


class _ScanWindows:
    """The windows of a scan as records, those of nothing but N left out; keeps those whose answer is awaited."""

    def __init__(self, genome: Genome, windows: Sequence[_Window], watch: Watch) -> None:
        self._genome, self._windows, self._watch = genome, windows, watch
        self.under_way: deque[tuple[_Window, Record]] = deque()
        self._num_skipped = self._num_ambiguous = self._num_padded = 0

    def __iter__(self) -> Iterator[Record]:
        seen = [window.seen for window in self._windows]
        for window, interval in zip(self._windows, self._watch(seen, len(seen)), strict=True):
            sequence, num_padded, num_ambiguous = self._genome.window(interval)
            self._num_padded += num_padded
            self._num_ambiguous += num_ambiguous
            if sequence.strip("N"):
                record = Record(sequence=sequence, interval=interval)
                self.under_way.append((window, record))
                yield record
            else:
                self._num_skipped += 1

    def counts(self) -> ScanCounts:
        """What was met on the way."""
        return ScanCounts(len(self._windows), self._num_skipped, self._num_padded, self._num_ambiguous)


def _windows(region: Interval, contig_length: int | None, config: ScanConfig) -> Iterator[_Window]:
    """Windows over the region, half an overlap beyond its ends; near a contig's end they move back inside.

    region        |--------------------|
    window    [   mmmmmm   ]                    m: the bases of its own, step_bp of them
    window          [   mmmmmm   ]
    window            [     mmmmmm ]            moved back: what it sees changes, not what it says

    Without a contig length none is moved back: they reach beyond the contig, where there is N, and a last one with less
    of its own has that in its middle, by whole bins, as in `tiles`.
    """
    for first in range(region.start, region.end, config.step_bp):
        start = first - config.overlap_bp // 2
        if contig_length is None:
            missing = (first + config.step_bp - region.end) // config.bin_bp
            start -= max(0, missing) // 2 * config.bin_bp
        else:
            start = max(0, min(start, contig_length - config.window_bp))
        seen = Interval(region.contig, start, start + config.window_bp)
        yield _Window(seen, first, min(first + config.step_bp, region.end))


def _put(
    scores: Scores,
    window: _Window,
    record: Record,
    values: NDArray[np.floating[Any]],
    *,
    region: Interval,
    bin_bp: int,
) -> None:
    """Write the window's own bases into the region's bins; NaN where more than half of a bin is N."""
    edges = np.arange(window.first, window.last + bin_bp, bin_bp).clip(max=window.last)
    places = edges - window.seen.start
    letters = np.frombuffer(record.sequence.encode(), np.uint8)
    unknown = _means((letters == ord("N"))[:, None], places)
    first = (window.first - region.start) // bin_bp
    scores[first : first + len(edges) - 1] = np.where(unknown > 0.5, np.nan, _means(values, places))


def _put_bins(scores: Scores, window: _Window, record: Record, answer: BinLabels, *, region: Interval) -> None:
    """The same for a model that answers in bins, which are the region's."""
    size = answer.bin_bp
    first, count = window.first - window.seen.start, -(-(window.last - window.first) // size)
    letters = np.frombuffer(record.sequence[first : first + count * size].encode(), np.uint8)
    unknown = (letters == ord("N")).reshape(count, size).mean(1)[:, None]
    rows = answer.probabilities[(first - answer.first) // size :][:count]
    place = (window.first - region.start) // size
    scores[place : place + count] = np.where(unknown > 0.5, np.nan, rows)


def _means(values: NDArray[Any], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the rows between each edge and the next."""
    sums = np.add.reduceat(values[: edges[-1]].astype(np.float64), edges[:-1], axis=0)
    return sums / np.diff(edges)[:, None]
