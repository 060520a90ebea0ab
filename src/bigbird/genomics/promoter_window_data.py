"""Promoter windows to learn from without end: new negatives every epoch, promoters at their exact place or near it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bigbird.data.genome import Genome
from bigbird.data.genome_windows import check_apart, check_set, tokenizer_corpus
from bigbird.data.intervals import Interval, parse_region
from bigbird.data.records import Record
from bigbird.data.sources import Datasets, check_least, check_seed
from bigbird.errors import ConfigError
from bigbird.genomics.baselines import kmer_scores
from bigbird.genomics.negatives import SYNTHETIC, Reach, Strategy, check_strategy
from bigbird.genomics.promoter_labels import BACKGROUND, PROMOTER
from bigbird.genomics.promoter_records import read_sites
from bigbird.genomics.promoter_sets import SYNTHETIC_WARNING, PromoterSetConfig, part_windows
from bigbird.genomics.promoter_window_source import EndlessWindows, Joined, near_its_site
from bigbird.genomics.promoters import GRID_BP, LABELS, Sites
from bigbird.tasks import metrics

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PromoterWindowData:
    """Whole windows labelled "promoter" or "background", read on the promoter's strand.

    genomes             FASTA files
    sites               start sites: BED of one base each with its strand, GTF or GFF3
    annotations         GTF or GFF3 files with more known starts, which negatives keep away from
    train_regions       such as "chr16" or "chr22:1-20000000"
    validation_regions  likewise; their windows are those of a set with the same seed, see `bigbird windows promoters`
    before_bp, after_bp bases before the site and from it on
    spans_bp            windows of each of these lengths, with the site in the middle, instead
    label_bp            0: a window carries its label as a whole. Otherwise bases up to so many from its site carry
                        "promoter+" or nothing, on either strand, and no others count: for models along the sequence
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
    spans_bp: tuple[int, ...] = ()
    label_bp: int = 0
    negatives: tuple[Strategy, ...] = ("gc-matched",)
    jitter_bp: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(self, before_bp=0, after_bp=1, label_bp=0, jitter_bp=0)
        check_seed(self.seed)
        for strategy in self.negatives:
            check_strategy(strategy)
        if not self.negatives:
            raise ConfigError('data.negatives must name a strategy, for example ["gc-matched"]')
        for span in self.spans_bp:
            if span < GRID_BP or span % GRID_BP:
                raise ConfigError(f"data.spans_bp must be multiples of {GRID_BP}, got {span}")
        if self.label_bp and SYNTHETIC & set(self.negatives):
            raise ConfigError(
                "data.label_bp needs negatives of real genome: letters that are made up have no start sites around "
                "them; use gc-matched, shifted or genomic, or label_bp=0"
            )

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
        sources = [EndlessWindows(genome, sites, train, self, reach) for reach in self.reaches]
        validation = [
            record
            for reach in self.reaches
            for strategy in self.negatives
            for record in self._held_out(genome, sites, held_out, strategy, reach)
        ]
        if SYNTHETIC & set(self.negatives):
            for reach, source in zip(self.reaches, sources, strict=True):
                _tell_what_kmers_reach(source, [r for r in validation if len(r.sequence) == reach.span_bp])
        return Datasets(
            Joined(sources),
            validation,
            LABELS if self.label_bp else (BACKGROUND, PROMOTER),
            lambda: tokenizer_corpus(genome, train, seed=self.seed),
        )

    @property
    def reaches(self) -> list[Reach]:
        """How far windows of each length reach from their sites."""
        if not self.spans_bp:
            return [Reach(before_bp=self.before_bp, after_bp=self.after_bp)]
        return [Reach(before_bp=span // 2, after_bp=span - span // 2) for span in self.spans_bp]

    def _held_out(
        self, genome: Genome, sites: Sites, regions: Sequence[Interval], strategy: Strategy, reach: Reach
    ) -> list[Record]:
        config = PromoterSetConfig(
            genomes=tuple(map(Path, self.genomes)),
            sites=Path(self.sites),
            regions={"train": self.train_regions, "validation": self.validation_regions},
            reach=reach,
            negatives=strategy,
            seed=self.seed,
        )
        windows, _ = part_windows(config, genome, sites, regions, 1)
        if not self.label_bp:
            return [window.record for window in windows]
        return [near_its_site(window.record, sites, reach, label_bp=self.label_bp) for window in windows]


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
