"""A model along a genome: a score for every stretch, and the calls where it is high."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.files import written_whole
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval, Strand
from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.predictor import Predictor
from bigbird.tasks import Classification, MaskedLM

Scores = NDArray[np.float32]
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
    """

    window_bp: int = 16_000
    overlap_bp: int = 2_000
    bin_bp: int = 10
    threshold: float = 0.5
    merge_bp: int = 500

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


class Track(NamedTuple):
    """Scores along a region.

    scores   float32 [bins, labels], NaN where the genome is unknown (N)
    labels   such as ("promoter+", "promoter-")
    remarks  what was skipped, filled in or read otherwise, in words
    """

    region: Interval
    bin_bp: int
    scores: Scores
    labels: tuple[str, ...]
    remarks: tuple[str, ...] = ()


class Call(NamedTuple):
    """A stretch whose score reaches the threshold.

    interval  the stretch; its strand is the one the label names, its name the label
    summit    the middle base of its best bin
    score     of that bin
    """

    interval: Interval
    summit: int
    score: float


def scan(
    predictor: Predictor,
    genome: Genome,
    region: Interval,
    config: ScanConfig,
    *,
    watch: Watch = lambda windows, _: windows,
) -> Track:
    """Score a region. `watch` may wrap the windows as they are taken; it is told how many there are."""
    task, contig_length = predictor.loaded.task, genome.contigs[region.contig]
    if isinstance(task, MaskedLM):
        raise ConfigError("a scan needs a model with labels; this one guesses hidden tokens")
    _check_window(config, task.max_length - 2, predictor.loaded.tokenizer.max_letters)
    track = Track(region, config.bin_bp, _no_scores(region, config, len(task.labels)), task.labels)
    windows = _ScanWindows(genome, list(_windows(region, contig_length, config)), watch)
    for prediction in predictor.predict(windows):
        record, values = windows.under_way.popleft(), prediction.probabilities
        if isinstance(task, Classification):
            values = np.broadcast_to(values, (len(record.sequence), len(task.labels)))
        _put(track, record, values, margin=config.overlap_bp // 2, contig_length=contig_length)
    return track._replace(remarks=tuple(windows.remarks()))


def _check_window(config: ScanConfig, num_tokens: int, bases_per_token: int) -> None:
    """Raise when a window would be cut into pieces that do not see each other, as the task cuts what is too long."""
    most = num_tokens * bases_per_token
    if config.window_bp > most:
        raise ConfigError(
            f"window_bp {config.window_bp:,} is more than this model reads at once, which is {num_tokens:,} tokens of "
            f"at most {bases_per_token} bases. Set window_bp to {most - most % config.bin_bp} or less, and overlap_bp "
            f"below that."
        )


class _ScanWindows:
    """The windows of a scan as records, those of nothing but N left out; keeps those whose answer is awaited."""

    def __init__(self, genome: Genome, windows: Sequence[Interval], watch: Watch) -> None:
        self._genome, self._windows, self._watch = genome, windows, watch
        self.under_way: deque[Record] = deque()
        self._num_skipped = self._num_ambiguous = self._num_padded = 0

    def __iter__(self) -> Iterator[Record]:
        for interval in self._watch(self._windows, len(self._windows)):
            sequence, num_padded, num_ambiguous = self._genome.window(interval)
            self._num_padded += num_padded
            self._num_ambiguous += num_ambiguous
            if sequence.strip("N"):
                self.under_way.append(Record(sequence=sequence, interval=interval))
                yield self.under_way[-1]
            else:
                self._num_skipped += 1

    def remarks(self) -> Iterator[str]:
        contig = self._windows[0].contig
        if self._num_skipped:
            yield f"{contig}: {self._num_skipped} of {len(self._windows)} windows hold nothing but N and were left out"
        if self._num_padded:
            yield f"{contig}: windows reach {self._num_padded} bases over its ends; these were filled with N"
        if self._num_ambiguous:
            yield f"{contig}: ambiguity codes were read as N, {self._num_ambiguous} in all windows together"


def _no_scores(region: Interval, config: ScanConfig, num_labels: int) -> Scores:
    return np.full((-(-region.length // config.bin_bp), num_labels), np.nan, np.float32)


def calls(track: Track, config: ScanConfig) -> list[Call]:
    """Every stretch that reaches the threshold, in order of place."""
    found = []
    for column, label in enumerate(track.labels):
        scores = track.scores[:, column]
        for first, last in _runs(scores >= config.threshold, gap=config.merge_bp // track.bin_bp):
            best = first + int(np.nanargmax(scores[first:last]))
            start = track.region.start + first * track.bin_bp
            end = min(track.region.start + last * track.bin_bp, track.region.end)
            strand: Strand = "+" if label.endswith("+") else "-" if label.endswith("-") else "."
            summit = min(track.region.start + best * track.bin_bp + track.bin_bp // 2, end - 1)
            found.append(Call(Interval(track.region.contig, start, end, strand, label), summit, float(scores[best])))
    return sorted(found, key=lambda call: (call.interval.start, call.interval.end, call.interval.name))


def write_bed(path: Path, found: Sequence[Call]) -> None:
    """BED with 8 columns: score 0 to 1000, the thick part is the summit."""
    with written_whole(path) as temporary, temporary.open("w") as file:
        for call in found:
            place, score = call.interval, round(1000 * call.score)
            columns = (place.contig, place.start, place.end, place.name, score, place.strand)
            print(*columns, call.summit, call.summit + 1, sep="\t", file=file)


def write_bedgraph(path: Path, tracks: Sequence[Track]) -> None:
    """The highest score of any label, to three decimals; neighbouring bins of one value are one line."""
    with written_whole(path) as temporary, temporary.open("w") as file:
        print('track type=bedGraph name="bigbird" description="highest score of any label"', file=file)
        for track in tracks:
            best = np.nan_to_num(track.scores, nan=-1.0).max(axis=1).round(3)  # -1: unknown
            changes = np.flatnonzero(np.append(True, best[1:] != best[:-1]))
            for first, last in zip(changes, np.append(changes[1:], len(best)), strict=True):
                if best[first] >= 0:
                    start = track.region.start + int(first) * track.bin_bp
                    end = min(track.region.start + int(last) * track.bin_bp, track.region.end)
                    print(track.region.contig, start, end, f"{best[first]:.3f}", sep="\t", file=file)


def _windows(region: Interval, contig_length: int, config: ScanConfig) -> Iterator[Interval]:
    """Windows over the region, half an overlap beyond its ends; near a contig's end they move back inside."""
    first = region.start - config.overlap_bp // 2
    step = config.window_bp - config.overlap_bp
    for place in range(first, max(region.end - config.overlap_bp // 2, first + 1), step):
        start = max(0, min(place, contig_length - config.window_bp))
        yield Interval(region.contig, start, start + config.window_bp)


def _put(track: Track, record: Record, values: NDArray[np.float32], *, margin: int, contig_length: int) -> None:
    """Write the middle of a window, all but `margin` bases at each end, into the region's bins.

    region    |----------------------|        A window that moved back inside its contig overlaps the one before;
    window  [  mmmmmm  ]                      the later one stays. At a contig's end nothing is left off.
    window          [  mmmmmm  ]
    """
    region, window = track.region, record.interval
    assert window is not None
    first = max(window.start + margin if window.start > 0 else 0, region.start)
    last = min(window.end - margin if window.end < contig_length else contig_length, region.end)
    edges = np.arange(-(-(first - region.start) // track.bin_bp), len(track.scores) + 1) * track.bin_bp
    edges = np.minimum(edges, region.length)
    edges = edges[edges <= last - region.start]
    if len(edges) < 2:
        return
    bins = slice(int(edges[0]) // track.bin_bp, int(edges[0]) // track.bin_bp + len(edges) - 1)
    places = edges + region.start - window.start
    letters = np.frombuffer(record.sequence.encode(), np.uint8)
    unknown = _means((letters == ord("N"))[:, None], places)
    track.scores[bins] = np.where(unknown > 0.5, np.nan, _means(values, places))


def _means(values: NDArray[np.generic], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the rows between each edge and the next."""
    sums = np.add.reduceat(values[: edges[-1]].astype(np.float64), edges[:-1], axis=0)
    return sums / np.diff(edges)[:, None]


def _runs(flags: NDArray[np.bool_], *, gap: int) -> Iterator[tuple[int, int]]:
    """Stretches of True as [first, last); those no more than `gap` apart are one."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    starts, ends = edges[::2], edges[1::2]
    is_new = np.append(True, starts[1:] - ends[:-1] > gap) if len(starts) else np.zeros(0, bool)
    for group in np.split(np.arange(len(starts)), np.flatnonzero(is_new)[1:]) if len(starts) else ():
        yield int(starts[group[0]]), int(ends[group[-1]])
