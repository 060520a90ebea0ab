"""Window sets of chromatin profiles: a window around every bin of some regions, with the labels of that bin.

    window   ---------------=====---------------        === the bin in its middle, whose labels the window has

Never without its leakage report and its baseline. What leaks is told of the bins, which share no bases, not of windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness
from bigbird.data.genome import Genome
from bigbird.data.genome_windows import check_apart
from bigbird.data.intervals import Interval, in_genome_order, parse_region
from bigbird.data.records import on_genome
from bigbird.errors import ConfigError, DataError
from bigbird.genomics import kmer_ridge
from bigbird.genomics.chromatin import Peaks, frequent_labels, labelled, read_peaks
from bigbird.genomics.leakage import leakage_lines, leakage_report
from bigbird.genomics.window_scores import as_json
from bigbird.genomics.window_sets import Part, SetWindow, WindowSet, genome_note, loci_of, write_window_set
from bigbird.interop.new_folder import check_new
from bigbird.tasks.bins import bin_truth
from bigbird.tasks.metrics import headline_names
from bigbird.tasks.ranking import estimates, ranking

WHAT = "chromatin"
LABELLED, UNLABELLED = "labelled", "unlabelled"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ChromatinSetConfig:
    """What a set holds.

    peaks       see `ChromatinData`
    regions     as people type them, by part; no two share bases
    window_bp   bases around and with the bin
    min_peaks   labels with fewer peaks in the training regions are left out
    unlabelled  bins without a label, drawn from all, for each bin that has one; 0 takes all there are
    build       the assembly's name; "" has it told from the contigs' lengths
    """

    genomes: tuple[Path, ...]
    peaks: tuple[Path, ...]
    regions: Mapping[Part, Sequence[str]]
    window_bp: int = 1_000
    bin_bp: int = 200
    min_peaks: int = 200
    unlabelled: float = 0.0
    build: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.bin_bp < 1 or self.window_bp < self.bin_bp or (self.window_bp - self.bin_bp) % 2:
            raise ConfigError(
                f"a window must be as long as a bin, or longer by an even number of bases, which has the bin in its "
                f"middle; got windows of {self.window_bp} and bins of {self.bin_bp}"
            )
        if not 0 <= self.unlabelled < float("inf"):
            raise ConfigError(f"unlabelled must be at least 0, got {self.unlabelled}")
        if not self.regions.get("train") or not (self.regions.get("validation") or self.regions.get("test")):
            raise ConfigError(
                "a set needs a train part, from which its baseline learns, and another on which it is scored; give "
                "--train and --validation or --test"
            )


def make_chromatin_set(config: ChromatinSetConfig, folder: Path, *, say: Say = lambda _: None) -> dict[str, Any]:
    """Cut, check and measure a set and write it into a new folder; returns what stands in its set.json."""
    check_new(folder)
    genome = Genome.open(*config.genomes)
    regions: dict[Part, list[Interval]] = {
        part: [parse_region(text, genome.contigs) for text in texts] for part, texts in config.regions.items() if texts
    }
    for some in regions.values():
        in_genome_order(some, genome.contigs)  # or raises
    for later in ("validation", "test"):
        check_apart(regions["train"], regions.get(later, []))
    check_apart(regions.get("validation", []), regions.get("test", []))
    peaks = Peaks(read_peaks(config.peaks, genome.contigs))
    peaks = peaks.only(frequent_labels(peaks, regions["train"], config.min_peaks, setting="--min-peaks"))
    bins = {part: _Bins.of(some, genome, peaks, config) for part, some in regions.items()}
    say("bins are labelled; looking for leaks")
    leakage = leakage_report({part: found.as_windows(genome) for part, found in bins.items()})
    say("the baseline learns")
    baseline = _baseline(bins, genome, peaks.labels, config)
    windows = WindowSet(
        what=WHAT,
        parts={part: found.windows(genome, config) for part, found in bins.items()},
        genome=genome_note(config.genomes, genome, build=config.build),
        settings=_settings(config, peaks, bins),
        findings={"leakage": leakage, "baselines": baseline},
        notes=("labels tell where peaks were called; where none was, a protein may still sit",),
    )
    return write_window_set(folder, windows)


def set_lines(about: Mapping[str, Any]) -> Iterator[str]:
    """A set's description in lines."""
    settings, genome = about["settings"], about["genome"]
    yield f"{len(settings['labels'])} labels of {', '.join(settings['peaks'])}; bins of {settings['bin_bp']:,} bases"
    yield f"build {genome['build']} ({', '.join(genome['files'])}), seed {settings['seed']}"
    for part, counts in about["parts"].items():
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts["kinds"].items())
        yield (
            f"{part} {', '.join(settings['split'][part])}: {kinds}; left out, as their windows would leave the region: "
            f"{settings['left_out'][part]:,}"
        )
    yield from leakage_lines(about["leakage"])
    for name, found in about["baselines"]["scores"].items():
        for part, figures in found.items():
            yield f"{part}, {name}: " + ", ".join(f"{one} {_shown(figures[one])}" for one in headline_names(figures))
    for note in about["notes"]:
        yield f"warning: {note}"


def _shown(values: Mapping[str, float | None]) -> str:
    low, high = values["low"], values["high"]
    return f"{values['value']}" + ("" if low is None or isnan(low) else f" [{low}, {high}]")


@dataclass(frozen=True, kw_only=True)
class _Bins:
    """The bins of a part, in the genome's order.

    truth     bool [bins, labels]
    left_out  bins whose windows would leave their region
    """

    places: list[Interval]
    truth: NDArray[np.bool_]
    labels: tuple[str, ...]
    left_out: int

    @classmethod
    def of(cls, regions: Sequence[Interval], genome: Genome, peaks: Peaks, config: ChromatinSetConfig) -> _Bins:
        """All bins of some regions, or all that have a label and some of those that have none."""
        places, rows, left_out = [], [], 0
        for number, region in enumerate(regions):
            starts, truth, lost = _bins_of(region, genome, peaks, config)
            chosen = _chosen(np.asarray(truth.any(axis=1)), config, number)
            places += [Interval(region.contig, int(start), int(start) + config.bin_bp) for start in starts[chosen]]
            rows.append(truth[chosen])
            left_out += lost
        if not places:
            raise DataError(f"the regions {', '.join(map(str, regions))} have room for no window of {config.window_bp}")
        return cls(places=places, truth=np.concatenate(rows), labels=peaks.labels, left_out=left_out)

    def as_windows(self, genome: Genome) -> list[SetWindow]:
        """The bins alone, for what parts share."""
        kinds = np.where(self.truth.any(1), LABELLED, UNLABELLED).tolist()
        return [SetWindow(on_genome(p, genome), kind, 0) for p, kind in zip(self.places, kinds, strict=True)]

    def windows(self, genome: Genome, config: ChromatinSetConfig) -> list[SetWindow]:
        """The windows around the bins, with labels."""
        around = [_around(place, config) for place in self.places]
        found = []
        for place, row, locus in zip(around, self.truth, loci_of(around), strict=True):
            labels = tuple(self.labels[column] for column in np.flatnonzero(row))
            record = replace(on_genome(place, genome), labels=labels)
            found.append(SetWindow(record, LABELLED if labels else UNLABELLED, locus))
        return found


def _bins_of(
    region: Interval, genome: Genome, peaks: Peaks, config: ChromatinSetConfig
) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
    """Where the region's bins begin, their truth, and how many there are beside; those of N alone do not count."""
    margin = (config.window_bp - config.bin_bp) // 2
    starts = np.arange(region.start, region.end - config.bin_bp + 1, config.bin_bp)
    whole = replace(region, end=region.start + len(starts) * config.bin_bp)
    truth = bin_truth(labelled(whole, genome, peaks, bin_bp=config.bin_bp), peaks.labels, bin_bp=config.bin_bp)
    fits = (starts - margin >= region.start) & (starts + config.bin_bp + margin <= region.end)
    usable = fits & truth.is_known
    return starts[usable], truth.targets[usable], int((~fits & truth.is_known).sum())


def _chosen(has_label: NDArray[np.bool_], config: ChromatinSetConfig, region: int) -> NDArray[np.bool_]:
    if not config.unlabelled:
        return np.ones(len(has_label), np.bool_)
    bare = np.flatnonzero(~has_label)
    drawn = bare[randomness.permutation(len(bare), config.seed, region)]
    chosen = has_label.copy()
    chosen[drawn[: round(config.unlabelled * has_label.sum())]] = True
    return chosen


def _around(place: Interval, config: ChromatinSetConfig) -> Interval:
    margin = (config.window_bp - config.bin_bp) // 2
    return replace(place, start=place.start - margin, end=place.end + margin)


def _baseline(
    bins: Mapping[Part, _Bins], genome: Genome, labels: Sequence[str], config: ChromatinSetConfig
) -> dict[str, Any]:
    """Figures of k-mer ridge by part, also of every label, as a model may have only some.

    The penalty is chosen on the last tenth of the training bins.
    """
    features = {
        part: kmer_ridge.kmer_counts(genome.window(_around(place, config)).sequence for place in found.places)
        for part, found in bins.items()
    }
    x, y = features["train"], bins["train"].truth
    last = len(x) * 9 // 10
    penalty = kmer_ridge.best_penalty([x[:last], x[last:]], [y[:last], y[last:]])
    fitted = kmer_ridge.fit_ridge(x, y, penalty=penalty)
    scores = {
        part: as_json(estimates(labels, ranking(found.truth, fitted.scores(features[part]))))
        for part, found in bins.items()
        if part != "train"
    }
    return {"penalty": penalty, "scores": {kmer_ridge.NAME: scores}}


def _settings(config: ChromatinSetConfig, peaks: Peaks, bins: Mapping[Part, _Bins]) -> dict[str, object]:
    return {
        "peaks": [path.name for path in config.peaks],
        "labels": list(peaks.labels),
        "window_bp": config.window_bp,
        "bin_bp": config.bin_bp,
        "min_peaks": config.min_peaks,
        "unlabelled": config.unlabelled,
        "split": {part: list(texts) for part, texts in config.regions.items() if texts},
        "left_out": {part: found.left_out for part, found in bins.items()},
        "seed": config.seed,
    }
