"""Window sets of promoters: windows around start sites and what stands against them, in parts by chromosome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval, in_genome_order, parse_region
from bigbird.data.records import Record, on_genome
from bigbird.data.sources import check_seed
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.negatives import IN_WORDS, SYNTHETIC, Negatives, Pair, Reach, Strategy, check_strategy, is_inside
from bigbird.genomics.promoter_labels import BACKGROUND, PROMOTER
from bigbird.genomics.promoter_records import read_sites
from bigbird.genomics.promoters import Sites
from bigbird.genomics.window_sets import PARTS, Part, SetWindow, WindowSet, genome_note, loci_of

WHAT = "promoters"

SYNTHETIC_WARNING = (
    "the negatives of this set are synthetic: a figure on it tells how well filler is told from real DNA, not how well "
    "promoters are found"
)


@dataclass(frozen=True, kw_only=True)
class PromoterSetConfig:
    """Which windows a set of promoters holds.

    genomes      FASTA files
    sites        start sites: BED of one base each with its strand (EPD), GTF or GFF3
    annotations  GTF or GFF3 files with more known starts, which negatives keep away from
    regions      part -> contigs or regions; no two share bases
    reach        how far windows reach before and after their site
    negatives    strategy, see `negatives`
    build        the assembly's name; "" is told from the lengths of the contigs
    """

    genomes: tuple[Path, ...]
    sites: Path
    annotations: tuple[Path, ...] = ()
    regions: Mapping[Part, Sequence[str]]
    reach: Reach
    negatives: Strategy
    build: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_strategy(self.negatives)
        if not any(self.regions.get(part) for part in PARTS):
            raise ConfigError("a set needs a part, such as --train chr16 --validation chr22")


def promoter_set(config: PromoterSetConfig) -> WindowSet:
    """Cut the windows of every part; raises when a part holds no promoter or parts share bases."""
    genome = Genome.open(*config.genomes)
    sites = read_sites(genome, str(config.sites), [str(path) for path in config.annotations])
    regions = {
        part: [parse_region(text, genome.contigs) for text in config.regions[part]]
        for part in PARTS
        if config.regions.get(part)
    }
    in_genome_order([region for some in regions.values() for region in some], genome.contigs)  # or raises
    parts: dict[Part, list[SetWindow]] = {}
    left_out: dict[str, dict[str, int]] = {}
    for number, (part, some) in enumerate(regions.items()):
        parts[part], left_out[part] = part_windows(config, genome, sites, some, number)
    return WindowSet(
        what=WHAT,
        parts=parts,
        genome=genome_note(config.genomes, genome, build=config.build),
        settings=_settings(config) | {"left_out": left_out},
        notes=(SYNTHETIC_WARNING,) if config.negatives in SYNTHETIC else (),
    )


def _settings(config: PromoterSetConfig) -> dict[str, object]:
    return {
        "sites": config.sites.name,
        "annotations": [path.name for path in config.annotations],
        "before_bp": config.reach.before_bp,
        "after_bp": config.reach.after_bp,
        "negatives": config.negatives,
        "negatives_in_words": IN_WORDS[config.negatives],
        "split": {part: list(config.regions[part]) for part in PARTS if config.regions.get(part)},
        "seed": config.seed,
    }


def part_windows(
    config: PromoterSetConfig, genome: Genome, sites: Sites, regions: Sequence[Interval], number: int
) -> tuple[list[SetWindow], dict[str, int]]:
    """The windows of a part, and how many sites were left out for which reason."""
    found = [site for region in regions for site in sites.promoters_in(region)]
    if not found:
        raise DataError(f"no start site of {config.sites} lies in {', '.join(map(str, regions))}")
    given = list({(site.contig, site.start, site.strand): site for site in found}.values())
    inside = [site for site in given if is_inside(config.reach.window(site), regions)]
    windows = [(site, on_genome(config.reach.window(site), genome)) for site in inside]
    known = [(site, record) for site, record in windows if "N" not in record.sequence]
    negatives = Negatives(genome, sites, regions, config.reach, config.negatives)
    pairs = list(negatives.pairs(known, config.seed, number))
    if not pairs:
        raise DataError(
            f"no window around a start site in {', '.join(map(str, regions))} has a {config.negatives} pair"
        )
    return _in_order(pairs, config.negatives), {
        "given twice": len(found) - len(given),
        "window reaches beyond the part": len(given) - len(inside),
        "window holds N": len(inside) - len(known),
        "no negative found": len(known) - len(pairs),
    }


def _in_order(pairs: Sequence[Pair], strategy: Strategy) -> list[SetWindow]:
    """Promoters first, then the negatives in the same order, with the loci of both."""
    positives = [replace(pair.positive, labels=(PROMOTER,)) for pair in pairs]
    negatives = [_labelled(pair.negative, strategy) for pair in pairs]
    records = [*positives, *negatives]
    places = [record.interval or positives[index % len(pairs)].interval for index, record in enumerate(records)]
    loci = loci_of([place for place in places if place is not None])
    kinds = [PROMOTER] * len(pairs) + [strategy] * len(pairs)
    return [SetWindow(*row) for row in zip(records, kinds, loci, strict=True)]


def _labelled(negative: Record, strategy: Strategy) -> Record:
    name = f"{negative.name} {strategy}"
    interval = None if negative.interval is None else replace(negative.interval, name=name)
    return replace(negative, name=name, interval=interval, labels=(BACKGROUND,))
