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
from bigbird.data.records import Record, Span, on_genome
from bigbird.data.sources import Datasets, Item, RecordSource, check_least, check_seed
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.baselines import kmer_scores
from bigbird.genomics.negatives import SYNTHETIC, Negatives, Reach, Strategy, check_strategy, is_inside
from bigbird.genomics.promoter_labels import BACKGROUND, PROMOTER
from bigbird.genomics.promoter_records import read_sites
from bigbird.genomics.promoter_sets import SYNTHETIC_WARNING, PromoterSetConfig, part_windows
from bigbird.genomics.promoters import GRID_BP, LABELS, Sites
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


def near_its_site(window: Record, sites: Sites, reach: Reach, *, label_bp: int) -> Record:
    """The window with its start sites labelled along it; only bases up to `label_bp` from its own place count.

    ignored │ label_bp  T  label_bp │ ignored
    """
    place = window.interval
    assert place is not None
    first, last = max(0, reach.before_bp - label_bp), min(reach.before_bp + label_bp + 1, place.length)
    spans = []
    for site in sites.promoters_in(place):
        middle = site.start - place.start if place.strand != "-" else place.end - 1 - site.start
        side = "+" if site.strand == place.strand else "-"
        spans.append(Span(max(0, middle - label_bp), min(middle + label_bp + 1, place.length), f"promoter{side}"))
    ignored = ((0, first), (last, place.length))
    return replace(window, labels=(), spans=tuple(spans), ignored=tuple((a, b) for a, b in ignored if a < b))


class Joined:
    """A `RecordSource` of several, one behind the other."""

    def __init__(self, sources: Sequence[RecordSource]) -> None:
        self._sources = list(sources)
        self._ends = np.cumsum([len(source) for source in sources])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def record(self, index: int, *, epoch: int) -> Item:
        """See `RecordSource`."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        return self._sources[number].record(index - (int(self._ends[number - 1]) if number else 0), epoch=epoch)


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

    def __init__(
        self, genome: Genome, sites: Sites, regions: Sequence[Interval], config: PromoterWindowData, reach: Reach
    ) -> None:
        self.genome, self.sites, self.regions, self.config, self.reach = genome, sites, regions, config, reach
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
            return self._labelled(self._moved(promoter, epoch, index), PROMOTER, epoch, index)
        drawn = self._drawn(promoter.site, promoter.window, kind - 1, epoch, index)
        return self._labelled(drawn or promoter.sure[kind - 1], BACKGROUND, epoch, index)

    def _labelled(self, window: Record, label: str, epoch: int, index: int) -> Record:
        """A model of whole windows is told the strand; one along the sequence reads both, so it learns both."""
        if not self.config.label_bp:
            return replace(window, labels=(label,))
        record = near_its_site(window, self.sites, self.reach, label_bp=self.config.label_bp)
        turned = randomness.uniform(self.config.seed, epoch, index, 1) < 0.5
        return record.on_other_strand() if turned else record

    def _moved(self, promoter: _Promoter, epoch: int, index: int) -> Record:
        """A promoter's window up to `jitter_bp` bases beside its place, where it still holds no N."""
        jitter = self.config.jitter_bp
        shift = int(randomness.integers(-jitter, jitter + 1, self.config.seed, epoch, index)) if jitter else 0
        place = replace(promoter.site, start=promoter.site.start + shift, end=promoter.site.end + shift)
        window = self.reach.window(place)
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
