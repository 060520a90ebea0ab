"""Promoter windows to learn from without end: new negatives every epoch, promoters at their exact place or near it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bigbird import randomness
from bigbird.data.genome import Genome
from bigbird.data.genome_windows import check_apart, check_set, tokenizer_corpus
from bigbird.data.intervals import Interval, parse_region
from bigbird.data.records import Record, on_genome
from bigbird.data.sources import Datasets, check_least, check_seed
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.baselines import kmer_scores
from bigbird.genomics.negatives import SYNTHETIC, Negatives, Reach, Strategy, check_strategy, is_inside
from bigbird.genomics.promoter_labels import BACKGROUND, PROMOTER
from bigbird.genomics.promoter_records import read_sites
from bigbird.genomics.promoter_sets import SYNTHETIC_WARNING, PromoterSetConfig, part_windows
from bigbird.genomics.promoters import Sites
from bigbird.tasks import metrics

log = logging.getLogger(__name__)

_ATTEMPTS = 10


@dataclass(frozen=True, kw_only=True)
class PromoterWindowData:
    """Whole windows labelled "promoter" or "background", read on the promoter's strand.

    genomes             FASTA files
    sites               start sites: BED of one base each with its strand, GTF or GFF3
    annotations         GTF or GFF3 files with more known starts, which negatives keep away from
    train_regions       such as "chr16" or "chr22:1-20000000"
    validation_regions  likewise; their windows are those of a set with the same seed, see `bigbird windows promoters`
    before_bp, after_bp bases before the site and from it on
    negatives           strategies; each promoter has a negative of each, another one every epoch
    jitter_bp           in training a promoter's window stands up to so many bases beside its place
    """

    genomes: tuple[str, ...] = ()
    sites: str = ""
    annotations: tuple[str, ...] = ()
    train_regions: tuple[str, ...] = ()
    validation_regions: tuple[str, ...] = ()
    before_bp: int = 1_000
    after_bp: int = 1_000
    negatives: tuple[Strategy, ...] = ("gc-matched",)
    jitter_bp: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(self, before_bp=0, after_bp=1, jitter_bp=0)
        check_seed(self.seed)
        for strategy in self.negatives:
            check_strategy(strategy)
        if not self.negatives:
            raise ConfigError('data.negatives must name a strategy, for example ["gc-matched"]')

    def open(self) -> Datasets:
        """See `DataConfig`."""
        check_set(
            self,
            genomes='["chr16.fa.gz"]',
            sites="promoters.bed",
            train_regions='["chr16"]',
            validation_regions='["chr22"]',
        )
        genome = Genome.open(*self.genomes)
        sites = read_sites(genome, self.sites, self.annotations)
        train, held_out = (
            [parse_region(text, genome.contigs) for text in texts]
            for texts in (self.train_regions, self.validation_regions)
        )
        check_apart(train, held_out)
        source = EndlessWindows(genome, sites, train, self)
        validation = [
            record for strategy in self.negatives for record in self._held_out(genome, sites, held_out, strategy)
        ]
        if SYNTHETIC & set(self.negatives):
            _tell_what_kmers_reach(source, validation)
        return Datasets(
            source, validation, (BACKGROUND, PROMOTER), lambda: tokenizer_corpus(genome, train, seed=self.seed)
        )

    @property
    def reach(self) -> Reach:
        """How far windows reach from their sites."""
        return Reach(before_bp=self.before_bp, after_bp=self.after_bp)

    def _held_out(self, genome: Genome, sites: Sites, regions: Sequence[Interval], strategy: Strategy) -> list[Record]:
        config = PromoterSetConfig(
            genomes=tuple(map(Path, self.genomes)),
            sites=Path(self.sites),
            regions={"train": self.train_regions, "validation": self.validation_regions},
            reach=self.reach,
            negatives=strategy,
            seed=self.seed,
        )
        windows, _ = part_windows(config, genome, sites, regions, 1)
        return [window.record for window in windows]


def _tell_what_kmers_reach(source: EndlessWindows, validation: Sequence[Record]) -> None:
    """Say aloud what the run's own figures will look like, and how little that means."""
    train = [source.record(index, epoch=0) for index in range(len(source))]
    scores = kmer_scores(train, validation)
    truth = np.array([PROMOTER in record.labels for record in validation])
    log.warning(
        "%s. Counts of 1- to 5-mers alone reach an AUROC of %.3f on the validation windows of this run",
        SYNTHETIC_WARNING,
        metrics.auroc(truth, scores),
    )


class _Promoter(NamedTuple):
    """A start site, its window, and a negative of each strategy for epochs in which none is found."""

    site: Interval
    window: Record
    sure: list[Record]


class EndlessWindows:
    """A `RecordSource`: every promoter once per epoch, and a negative of each strategy drawn anew for it.

    Promoters for which a strategy finds no negative are left out, as in a set.
    """

    def __init__(self, genome: Genome, sites: Sites, regions: Sequence[Interval], config: PromoterWindowData) -> None:
        self.genome, self.regions, self.config = genome, regions, config
        reach = config.reach
        self._negatives = [Negatives(genome, sites, regions, reach, strategy) for strategy in config.negatives]
        found = [site for region in regions for site in sites.promoters_in(region)]
        self._promoters: list[_Promoter] = []
        for number, site in enumerate(found):
            window = reach.window(site)
            if is_inside(window, regions) and "N" not in (positive := on_genome(window, genome)).sequence:
                sure = [self._drawn(site, positive, kind, -1, number) for kind in range(len(self._negatives))]
                if all(one is not None for one in sure):
                    self._promoters.append(_Promoter(site, positive, [one for one in sure if one is not None]))
        if not self._promoters:
            raise DataError(
                f"no start site in {', '.join(map(str, regions))} has a window of {reach.span_bp} bases and a negative"
            )

    def __len__(self) -> int:
        return len(self._promoters) * (1 + len(self._negatives))

    def record(self, index: int, *, epoch: int) -> Record:
        """See `RecordSource`. Promoters come first, then their negatives strategy by strategy."""
        kind, number = divmod(index, len(self._promoters))
        promoter = self._promoters[number]
        if kind == 0:
            return replace(self._moved(promoter, epoch, index), labels=(PROMOTER,))
        drawn = self._drawn(promoter.site, promoter.window, kind - 1, epoch, index)
        return replace(drawn or promoter.sure[kind - 1], labels=(BACKGROUND,))

    def _moved(self, promoter: _Promoter, epoch: int, index: int) -> Record:
        """A promoter's window up to `jitter_bp` bases beside its place, where it still holds no N."""
        jitter = self.config.jitter_bp
        shift = int(randomness.integers(-jitter, jitter + 1, self.config.seed, epoch, index)) if jitter else 0
        place = replace(promoter.site, start=promoter.site.start + shift, end=promoter.site.end + shift)
        window = self.config.reach.window(place)
        if not shift or not is_inside(window, self.regions):
            return promoter.window
        record = on_genome(window, self.genome)
        return promoter.window if "N" in record.sequence else record

    def _drawn(self, site: Interval, positive: Record, kind: int, epoch: int, index: int) -> Record | None:
        for attempt in range(_ATTEMPTS):
            negative = self._negatives[kind].draw(site, positive, self.config.seed, kind, epoch, index, attempt)
            if negative is not None:
                return negative
        return None
