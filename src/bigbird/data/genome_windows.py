"""Random windows of a genome: what a DNA language model reads, and where a tokenizer learns its pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bigbird import randomness
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval, Strand, parse_region
from bigbird.data.records import Record, on_genome
from bigbird.data.sources import Datasets, check_least, check_seed
from bigbird.errors import ConfigError, DataError

_CORPUS_PIECE_BP = 500
_CORPUS_PIECES = 32_000  # 16 Mb, enough for a vocabulary of some thousand
_MAX_UNKNOWN = 0.5  # share of N up to which a window is worth reading


def random_window(genome: Genome, regions: Sequence[Interval], width: int, *key: int) -> Interval:
    """A window on a random strand, uniform over the regions, at least half of it known bases."""
    room = np.array([region.length - width + 1 for region in regions]).clip(0)
    if not room.sum():
        raise DataError(f"no region is as long as a window of {width} bases")
    for attempt in range(1000):
        place = int(randomness.integers(0, int(room.sum()), *key, attempt, 0))
        number = int(np.searchsorted(room.cumsum(), place, side="right"))
        start = regions[number].start + place - int(room[:number].sum())
        strand: Strand = "+" if randomness.uniform(*key, attempt, 1) < 0.5 else "-"
        window = Interval(regions[number].contig, start, start + width, strand)
        if genome.window(window).sequence.count("N") <= _MAX_UNKNOWN * width:
            return window
    raise DataError(f"the regions are almost entirely N: none of 1000 windows of {width} bases is half known")


def tokenizer_corpus(genome: Genome, regions: Sequence[Interval], *, seed: int) -> Iterator[str]:
    """Pieces of the regions for training a tokenizer."""
    for number in range(_CORPUS_PIECES):
        window = random_window(genome, regions, _CORPUS_PIECE_BP, seed, number)
        yield genome.window(window).sequence


@dataclass(frozen=True, kw_only=True)
class GenomeWindows:
    """A `RecordSource` of windows drawn anew each epoch."""

    genome: Genome
    regions: Sequence[Interval]
    window_bp: int
    num_records: int
    seed: int

    def __len__(self) -> int:
        return self.num_records

    def record(self, index: int, *, epoch: int) -> Record:
        """See `RecordSource`."""
        key = (self.seed, epoch, index)
        window = random_window(self.genome, self.regions, self.window_bp, *key)
        return replace(on_genome(window, self.genome), draw=randomness.derived_seed(*key))


@dataclass(frozen=True, kw_only=True)
class GenomeData:
    """Unlabelled windows of a genome.

    genomes             FASTA files
    train_regions       such as "chr16" or "chr22:1-20000000"
    validation_regions  likewise
    window_bp           bases per record
    num_records         per epoch; every epoch draws new windows
    num_validation      records for validation, drawn once
    """

    genomes: tuple[str, ...] = ()
    train_regions: tuple[str, ...] = ()
    validation_regions: tuple[str, ...] = ()
    window_bp: int = 6_000
    num_records: int = 10_000
    num_validation: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(self, window_bp=1, num_records=1, num_validation=1)
        check_seed(self.seed)

    def open(self) -> Datasets:
        """See `DataConfig`."""
        check_set(self, genomes='["chr16.fa.gz"]', train_regions='["chr16"]', validation_regions='["chr22"]')
        genome = Genome.open(*self.genomes)
        train, validation = (
            [parse_region(text, genome.contigs) for text in texts]
            for texts in (self.train_regions, self.validation_regions)
        )
        check_apart(train, validation)
        source, held_out = (
            GenomeWindows(genome=genome, regions=regions, window_bp=self.window_bp, num_records=number, seed=self.seed)
            for regions, number in ((train, self.num_records), (validation, self.num_validation))
        )
        return Datasets(
            source,
            [held_out.record(index, epoch=-1) for index in range(self.num_validation)],
            (),
            lambda: tokenizer_corpus(genome, train, seed=self.seed),
        )


def check_set(config: object, **examples: str) -> None:
    """Raise for the first of the named settings of a data config that is empty."""
    for name, example in examples.items():
        if not getattr(config, name):
            raise ConfigError(f"data.{name} is not set; for example --set 'data.{name}={example}'")


def check_apart(train: Sequence[Interval], validation: Sequence[Interval]) -> None:
    """Raise when a validation region shares bases with a training region."""
    for one in train:
        for other in validation:
            if one.contig == other.contig and max(one.start, other.start) < min(one.end, other.end):
                raise ConfigError(
                    f"data.train_regions and data.validation_regions share {one.contig}:"
                    f"{max(one.start, other.start) + 1:,}-{min(one.end, other.end):,}; validate on bases not trained on"
                )
