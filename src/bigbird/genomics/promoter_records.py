"""Windows of a genome as records with labelled start sites: what the promoter model learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bigbird import randomness
from bigbird.data.genome import Genome
from bigbird.data.genome_windows import check_apart, check_set, random_window, tokenizer_corpus
from bigbird.data.intervals import Interval, parse_region, read_annotation, read_bed, start_sites
from bigbird.data.records import Record, Span, on_genome
from bigbird.data.sources import Datasets, check_least, check_seed
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.promoters import GRID_BP, LABELS, Candidates, Sites, centred, gc_share, shifted_place

_IGNORED_BP = 300  # around a start only the annotation knows nothing counts as right or wrong
_MATCHED_BP = 2_000  # over which a negative has its promoter's share of G and C; over more, islands would differ


@dataclass(frozen=True, kw_only=True)
class PromoterData:
    """Genome windows in which bases near a start site carry the label "promoter+" or "promoter-".

    genomes             FASTA files
    sites               promoter start sites: BED of one base each with its strand, or GTF or GFF3
    annotations         GTF or GFF3 files; starts they alone know are neither learned nor taken for negatives
    train_regions       such as "chr16" or "chr22:1-20000000"
    validation_regions  likewise
    window_bp           bases per record, a multiple of 50
    span_bp             bases left and right of a start site that carry its label
    any_share           records per promoter from anywhere in the regions, beside one around 2,000 bases far from
                        every start whose share of G and C is that of the promoter
    contrast_share      pairs of records per promoter in which only the bases around one place count: its start in one,
                        in the other a place far from every start and composed alike, or 3 to 9 kb away from it
    """

    genomes: tuple[str, ...] = ()
    sites: str = ""
    annotations: tuple[str, ...] = ()
    train_regions: tuple[str, ...] = ()
    validation_regions: tuple[str, ...] = ()
    window_bp: int = 4_000
    span_bp: int = 100
    any_share: float = 0.3
    contrast_share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(self, window_bp=GRID_BP, span_bp=0, any_share=0, contrast_share=0)
        check_seed(self.seed)
        if self.window_bp % GRID_BP:
            raise ConfigError(f"data.window_bp must be a multiple of {GRID_BP}, got {self.window_bp}")

    def open(self) -> Datasets:
        """See `DataConfig`. Validation records are drawn once, as epoch -1."""
        check_set(
            self,
            genomes='["chr16.fa.gz"]',
            sites="promoters.bed",
            train_regions='["chr16"]',
            validation_regions='["chr22"]',
        )
        genome = Genome.open(*self.genomes)
        sites = read_sites(genome, self.sites, self.annotations)
        regions = [
            [parse_region(text, genome.contigs) for text in texts]
            for texts in (self.train_regions, self.validation_regions)
        ]
        check_apart(*regions)
        train, validation = (PromoterWindows(genome, sites, some, self) for some in regions)
        held_out = [validation.record(index, epoch=-1) for index in range(len(validation))]
        return Datasets(train, held_out, LABELS, lambda: tokenizer_corpus(genome, train.regions, seed=self.seed))


def read_sites(genome: Genome, sites: str, annotations: Sequence[str]) -> Sites:
    """Promoters from a BED file, GTF or GFF3 (those on the genome's contigs), other known starts from annotations.

    Of an annotation the transcripts' starts are taken, or those of its genes when it has no transcript rows.
    """
    if _is_annotation(sites):
        features = read_annotation(Path(sites), genome.contigs)
        promoters = start_sites(features) or start_sites(features, kind="gene")
    else:
        promoters = read_bed(Path(sites), genome.contigs, missing="skip")
    if any(site.length != 1 or site.strand == "." for site in promoters):
        raise DataError(f"{sites} must hold one base per line, the start site, and its strand in column 6")
    annotated = [site for path in annotations for site in start_sites(read_annotation(Path(path), genome.contigs))]
    return Sites(promoters, annotated)


def _is_annotation(path: str) -> bool:
    return path.lower().removesuffix(".gz").endswith((".gtf", ".gff", ".gff3"))


class PromoterWindows:
    """A `RecordSource`: every promoter once per epoch at a new place in its window, with negatives drawn anew."""

    def __init__(self, genome: Genome, sites: Sites, regions: Sequence[Interval], config: PromoterData) -> None:
        self.genome, self.sites, self.regions, self.config = genome, sites, list(regions), config
        self.promoters = [site for region in regions for site in sites.promoters_in(region)]
        if not self.promoters:
            raise DataError(f"no promoter site lies in {', '.join(region.contig for region in regions)}")
        for region in self.regions:
            if region.length < config.window_bp:
                raise ConfigError(f"window_bp {config.window_bp} must fit into every region; {region} is shorter")
        self._matched_bp = min(_MATCHED_BP, config.window_bp)
        self.candidates = Candidates(genome, sites, regions, window_bp=self._matched_bp)
        self._num_any = round(config.any_share * len(self.promoters))
        self._num_contrasts = 2 * round(config.contrast_share * len(self.promoters))

    def __len__(self) -> int:
        return 2 * len(self.promoters) + self._num_any + self._num_contrasts

    def record(self, index: int, *, epoch: int) -> Record:
        """See `RecordSource`. First the promoters, then their negatives, windows from anywhere, and contrasts."""
        key = (self.config.seed, epoch, index)
        number = index - 2 * len(self.promoters) - self._num_any
        record = self._contrast(number, key) if number >= 0 else self._whole(index, key)
        return record.on_other_strand() if randomness.uniform(*key, 0) < 0.5 else record

    def _whole(self, index: int, key: tuple[int, ...]) -> Record:
        kind, site = divmod(index, len(self.promoters))
        if kind == 0:
            window = self._around(self.promoters[site], key)
        elif kind == 1:
            window = self._around(self._negative(self.promoters[site], key), key)
        else:
            window = random_window(self.genome, self.regions, self.config.window_bp, *key)
        return self._labelled(replace(window, strand="."))

    def _contrast(self, number: int, key: tuple[int, ...]) -> Record:
        """A record in which only the bases around one place count."""
        pair, is_negative = divmod(number, 2)
        place = self.promoters[pair % len(self.promoters)]
        if is_negative:
            is_far = randomness.uniform(*key, 4) < 0.5
            place = (None if is_far else self._beside(place, key)) or self._negative(place, key)
        window = self._around(place, key)
        first = max(0, place.start - self.config.span_bp - window.start)
        last = min(window.length, place.start + self.config.span_bp + 1 - window.start)
        return replace(self._labelled(replace(window, strand=".")), ignored=((0, first), (last, window.length)))

    def _beside(self, site: Interval, key: tuple[int, ...]) -> Interval | None:
        place = shifted_place(site, self.sites, *key, 3)
        is_inside = place is not None and any(
            region.contig == place.contig and region.start <= place.start < region.end for region in self.regions
        )
        return place if is_inside else None

    def _around(self, site: Interval, key: tuple[int, ...]) -> Interval:
        """A window with the site somewhere in it, not beyond its region: what lies there may be for validation."""
        width = self.config.window_bp
        region = next(r for r in self.regions if r.contig == site.contig and r.start <= site.start < r.end)
        margin = min(300, width // 4)  # the site itself never stands at the very edge
        start = site.start - int(randomness.integers(margin, width - margin, *key, 1))
        if region.end < self.genome.contigs[region.contig]:
            start = min(start, region.end - width)
        if region.start > 0:  # beyond a contig's end there is nothing to keep
            start = max(start, region.start)
        return Interval(site.contig, start, start + width)

    def _negative(self, site: Interval, key: tuple[int, ...]) -> Interval:
        """The middle of a window far from every start, composed as the site's surroundings where there is one."""
        positive = self.genome.window(centred(site, self._matched_bp)).sequence
        window = self.candidates.matching(gc_share(positive), *key, 2) or self.candidates.any(*key, 2)
        middle = window.start + window.length // 2
        return replace(window, start=middle, end=middle + 1)

    def _labelled(self, window: Interval) -> Record:
        reach = self.config.span_bp
        nearby = replace(window, start=window.start - _IGNORED_BP, end=window.end + _IGNORED_BP)
        promoters = self.sites.promoters_in(nearby)
        spans = [
            Span(site.start - reach - window.start, site.start + reach + 1 - window.start, f"promoter{site.strand}")
            for site in promoters
        ]
        return replace(
            on_genome(window, self.genome),
            spans=tuple(span for span in spans if span.end > 0 and span.start < window.length),
            ignored=self._ignored(window, nearby, promoters),
        )

    def _ignored(
        self, window: Interval, nearby: Interval, promoters: Sequence[Interval]
    ) -> tuple[tuple[int, int], ...]:
        unsure = np.zeros(window.length + 2, np.int8)  # one cell of margin on either side, to find the edges
        for place in self.sites.known_in(nearby):
            unsure[self._cells(int(place), window)] = 1
        for site in promoters:
            unsure[self._cells(site.start, window)] = 0
        edges = np.flatnonzero(np.diff(unsure))
        return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))

    def _cells(self, place: int, window: Interval) -> slice:
        middle = place - window.start
        return slice(1 + max(middle - _IGNORED_BP, 0), 1 + max(min(middle + _IGNORED_BP, window.length), 0))
