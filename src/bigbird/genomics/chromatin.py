"""Windows of a genome whose bins carry the labels of peaks: what chromatin profiles are learned from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bigbird import randomness
from bigbird.data.files import ending_of
from bigbird.data.genome import Genome
from bigbird.data.genome_windows import check_apart, check_set, tokenizer_corpus
from bigbird.data.intervals import Interval, in_genome_order, parse_region, read_bed
from bigbird.data.records import Record, Span, on_genome, stranded_labels
from bigbird.data.sources import Datasets, check_least, check_seed
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.tiles import known_parts, tiled
from bigbird.tasks.bins import bins_of_span, some_of

log = logging.getLogger(__name__)

_NAMED_BY_FILE = (".narrowpeak", ".broadpeak")  # their fourth column names the peak, not what was looked for


@dataclass(frozen=True, kw_only=True)
class ChromatinData:
    """Genome windows in bins that carry the labels of the peaks in them.

    genomes             FASTA files
    peaks               BED files whose fourth column is the label; of narrowPeak and broadPeak files, and of BED files
                        of three columns, the file's name is. A peak may be one base, a summit, or wide
    train_regions       such as "chr16" or "chr22:1-20000000"; no two share bases
    validation_regions  likewise
    window_bp           bases per record, a multiple of bin_bp. Those for training lie anywhere in the regions, moved in
                        every epoch, so that each base is read about once, on either strand
    bin_bp              bases per bin
    step_bp             bases in the middle of a validation record that count; the rest is context, which may reach
                        beyond the region. The records' middles lie side by side. 0: window_bp
    min_peaks           labels with fewer peaks in the training regions are left out
    labels              those to learn instead, however few their peaks are
    """

    genomes: tuple[str, ...] = ()
    peaks: tuple[str, ...] = ()
    train_regions: tuple[str, ...] = ()
    validation_regions: tuple[str, ...] = ()
    window_bp: int = 8_000
    bin_bp: int = 200
    step_bp: int = 0
    min_peaks: int = 200
    labels: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(self, bin_bp=1, window_bp=self.bin_bp, step_bp=0, min_peaks=1)
        check_seed(self.seed)
        step = self.step_bp or self.window_bp
        if self.window_bp % self.bin_bp or step > self.window_bp or (self.window_bp - step) % (2 * self.bin_bp):
            raise ConfigError(
                f"data.window_bp must be a multiple of data.bin_bp, and data.step_bp leave whole bins of context on "
                f"either side of it, got window_bp {self.window_bp}, bin_bp {self.bin_bp} and step_bp {self.step_bp}"
            )

    def open(self) -> Datasets:
        """See `DataConfig`."""
        check_set(
            self,
            genomes='["sacCer3.fa.gz"]',
            peaks='["peaks.bed"]',
            train_regions='["chrI","chrII"]',
            validation_regions='["chrXII"]',
        )
        genome = Genome.open(*self.genomes)
        train, validation = (
            [parse_region(text, genome.contigs) for text in texts]
            for texts in (self.train_regions, self.validation_regions)
        )
        for regions in (train, validation):
            in_genome_order(regions, genome.contigs)  # or raises
        check_apart(train, validation)
        peaks = Peaks(read_peaks([Path(path) for path in self.peaks], genome.contigs))
        peaks = peaks.only(
            known_labels(peaks, self.labels) if self.labels else frequent_labels(peaks, train, self.min_peaks)
        )
        source = ChromatinWindows(genome, peaks, train, self)
        step_bp = self.step_bp or self.window_bp
        tiles = tiled(genome, validation, window_bp=self.window_bp, step_bp=step_bp, bin_bp=self.bin_bp)
        held_out = [labelled(tile.window, genome, peaks, bin_bp=self.bin_bp, counted=tile.counted) for tile in tiles]
        read = {"window_bp": self.window_bp, "overlap_bp": self.window_bp - step_bp, "bin_bp": self.bin_bp}
        return Datasets(
            source,
            held_out,
            peaks.labels,
            lambda: tokenizer_corpus(genome, train, seed=self.seed),
            notes={"scan": {**read, "merge_bp": 0}},
        )


def read_peaks(paths: Sequence[Path], contigs: Mapping[str, int]) -> list[Interval]:
    """Peaks of all files, each with its label as its name; those of contigs the genome lacks are left out aloud."""
    found = []
    for path in paths:
        label = path.name.split(".")[0]
        for peak in read_bed(path, contigs, missing="skip"):
            is_named = peak.name not in ("", ".") and ending_of(path) not in _NAMED_BY_FILE
            found.append(replace(peak, strand=".", name=peak.name if is_named else label))
    return found


class Peaks:
    """Peaks by contig, to be found by place.

    labels  in order of name
    """

    def __init__(self, peaks: Sequence[Interval]) -> None:
        self._all = list(peaks)
        self.labels = tuple(sorted({peak.name for peak in peaks}))
        self._by_contig: dict[str, list[Interval]] = {}
        for peak in sorted(peaks, key=lambda peak: (peak.start, peak.end)):
            self._by_contig.setdefault(peak.contig, []).append(peak)
        self._starts = {contig: np.array([p.start for p in some]) for contig, some in self._by_contig.items()}
        self._widest = {contig: max(p.length for p in some) for contig, some in self._by_contig.items()}

    def only(self, labels: Sequence[str]) -> Peaks:
        """Those of some labels."""
        kept = frozenset(labels)
        return Peaks([peak for peak in self._all if peak.name in kept])

    def within(self, place: Interval) -> list[Interval]:
        """Peaks that share a base with a place, by start."""
        starts = self._starts.get(place.contig)
        if starts is None:
            return []
        first, last = np.searchsorted(starts, (place.start - self._widest[place.contig], place.end))
        return [peak for peak in self._by_contig[place.contig][first:last] if peak.end > place.start]

    def counts_in(self, regions: Sequence[Interval]) -> Counter[str]:
        """Peaks of each label in some regions."""
        return Counter(peak.name for region in regions for peak in self.within(region))


def known_labels(peaks: Peaks, labels: Sequence[str]) -> Sequence[str]:
    """The labels; raises for one that no peak has."""
    unknown = [label for label in labels if label not in peaks.labels]
    if unknown:
        raise ConfigError(f"no peak has the label {unknown[0]!r} of data.labels; there are {some_of(peaks.labels)}")
    return labels


def frequent_labels(
    peaks: Peaks, regions: Sequence[Interval], least: int, *, setting: str = "data.min_peaks"
) -> tuple[str, ...]:
    """Labels with at least so many peaks in the regions; how many are left out is said.

    setting  what the user sets `least` with
    """
    counts = peaks.counts_in(regions)
    kept = tuple(label for label in peaks.labels if counts[label] >= least)
    if not kept:
        most = max(counts.values(), default=0)
        raise DataError(
            f"none of the {len(peaks.labels)} labels has {least} peaks in the training regions, the most is {most}; "
            f"set {setting} lower, or check that peaks and genome are the same assembly"
        )
    if len(kept) < len(peaks.labels):
        log.warning(
            "%d of %d labels are left out: they have fewer than %d peaks in the training regions (%s)",
            len(peaks.labels) - len(kept),
            len(peaks.labels),
            least,
            setting,
        )
    return kept


class ChromatinWindows:
    """A `RecordSource`: in every epoch the regions side by side in windows, all moved by bases drawn anew."""

    def __init__(self, genome: Genome, peaks: Peaks, regions: Sequence[Interval], config: ChromatinData) -> None:
        self.genome, self.peaks, self.config = genome, peaks, config
        for region in regions:
            if region.length < config.window_bp:
                raise ConfigError(f"window_bp {config.window_bp} must fit into every region; {region} is shorter")
        parts = known_parts(genome, regions, least=config.window_bp)
        if not parts:
            raise DataError(f"the regions {', '.join(map(str, regions))} hold no stretch of known bases for a window")
        self._windows = [(part, place) for part in parts for place in range(0, part.length, config.window_bp)]
        self._stranded = stranded_labels(peaks.labels)

    def __len__(self) -> int:
        return len(self._windows)

    def record(self, index: int, *, epoch: int) -> Record:
        """See `RecordSource`."""
        config, (part, place) = self.config, self._windows[index]
        moved = int(randomness.integers(0, config.window_bp, config.seed, epoch, 0)) - config.window_bp // 2
        start = min(max(part.start + place + moved, part.start), part.end - config.window_bp)
        window = Interval(part.contig, start, start + config.window_bp)
        record = labelled(window, self.genome, self.peaks, bin_bp=config.bin_bp)
        is_turned = randomness.uniform(config.seed, epoch, index, 1) < 0.5
        return record.on_other_strand(stranded=self._stranded) if is_turned else record


def labelled(
    window: Interval, genome: Genome, peaks: Peaks, *, bin_bp: int, counted: tuple[int, int] | None = None
) -> Record:
    """The record of a window: peaks as spans, and as labels those of the bin in its middle.

    counted  bases [start, end) of the window whose truth counts; all of them if None
    """
    spans = tuple(Span(peak.start - window.start, peak.end - window.start, peak.name) for peak in peaks.within(window))
    middle = window.length // bin_bp // 2
    labels = {span.label for span in spans if middle in range(*bins_of_span(span.start, span.end, bin_bp))}
    start, end = counted or (0, window.length)
    outside = ((0, start), (end, window.length))
    return replace(
        on_genome(window, genome),
        spans=spans,
        labels=tuple(sorted(labels)),
        ignored=tuple((first, last) for first, last in outside if first < last),
    )
