"""What stands beside promoters as "not a promoter", by name; every figure says which it was measured against."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.data.records import Record, on_genome
from bigbird.errors import ConfigError
from bigbird.genomics.promoters import GRID_BP, Candidates, Sites, around, gc_share, shifted_place
from bigbird.genomics.shuffles import dinucleotide_shuffled, parts_permuted, substituted

Strategy = Literal["substitution", "permutation", "dinucleotide-shuffle", "genomic", "gc-matched", "shifted"]

_SHUFFLES = {
    "substitution": substituted,
    "permutation": parts_permuted,
    "dinucleotide-shuffle": dinucleotide_shuffled,
}
SYNTHETIC = frozenset(_SHUFFLES)

IN_WORDS: Mapping[str, str] = {
    "substitution": "synthetic: 12 of 20 parts of a promoter replaced by random bases (the paper's), not real genome",
    "permutation": "synthetic: 12 of 20 parts of a promoter in another order (GENA-LM's), not real genome",
    "dinucleotide-shuffle": "synthetic: a promoter's letters shuffled, counts of neighbours kept, not real genome",
    "genomic": "real genome, more than 8,000 bases from every known start",
    "gc-matched": "real genome, more than 8,000 bases from every known start, share of G and C as the promoter's +-2 %",
    "shifted": "real genome, the promoter's own window moved 3,000 to 9,000 bases, over 1,500 from every known start",
}

_ATTEMPTS = 30


def check_strategy(name: str) -> None:
    """Raise for a name that is no strategy."""
    if name not in get_args(Strategy):
        raise ConfigError(f"negatives must be one of {', '.join(get_args(Strategy))}, got {name!r}")


class Pair(NamedTuple):
    """A promoter's window and the window that stands against it."""

    positive: Record
    negative: Record


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far a window reaches from its site: `before_bp` upstream, `after_bp` from the site on, itself included."""

    before_bp: int
    after_bp: int

    def __post_init__(self) -> None:
        if self.before_bp < 0 or self.after_bp < 1:
            raise ConfigError(
                f"a window must hold its start site: before must be at least 0 and after at least 1, got "
                f"{self.before_bp} and {self.after_bp}"
            )

    @property
    def span_bp(self) -> int:
        """Bases of a window."""
        return self.before_bp + self.after_bp

    def window(self, site: Interval) -> Interval:
        """The window of a site, on the site's strand."""
        return around(site, before_bp=self.before_bp, after_bp=self.after_bp)


class Negatives:
    """Draws negatives of one strategy for promoters in some regions, other ones for every key."""

    def __init__(
        self, genome: Genome, sites: Sites, regions: Sequence[Interval], reach: Reach, strategy: Strategy
    ) -> None:
        check_strategy(strategy)
        self.genome, self.sites, self.regions, self.reach, self.strategy = genome, sites, regions, reach, strategy
        self._candidates: Candidates | None = None
        if strategy in ("genomic", "gc-matched"):
            if reach.span_bp % GRID_BP:
                raise ConfigError(
                    f"negatives {strategy} need windows of a multiple of {GRID_BP} bases, got {reach.span_bp}"
                )
            self._candidates = Candidates(genome, sites, regions, window_bp=reach.span_bp)

    def draw(self, site: Interval, positive: Record, *key: int) -> Record | None:
        """A negative for the promoter whose window is `positive`; None when this key finds none."""
        if self.strategy in SYNTHETIC:
            return Record(sequence=_SHUFFLES[self.strategy](positive.sequence, *key), name=site.name)
        window = self._place(site, positive, key)
        if window is None:
            return None
        record = on_genome(replace(window, name=site.name), self.genome)
        return None if "N" in record.sequence else record

    def _place(self, site: Interval, positive: Record, key: tuple[int, ...]) -> Interval | None:
        if self._candidates is None:
            place = shifted_place(site, self.sites, *key)
            window = None if place is None else self.reach.window(place)
            return window if window is not None and is_inside(window, self.regions) else None
        if self.strategy == "genomic":
            return self._candidates.any(*key)
        return self._candidates.matching(gc_share(positive.sequence), *key)

    def pairs(self, positives: Sequence[tuple[Interval, Record]], *key: int) -> Iterator[Pair]:
        """Each promoter (site and window) with a negative, where one is found; real ones of no two share bases."""
        taken = _Taken()
        for index, (site, positive) in enumerate(positives):
            for attempt in range(_ATTEMPTS):
                negative = self.draw(site, positive, *key, index, attempt)
                if negative is not None and (negative.interval is None or taken.takes(negative.interval)):
                    yield Pair(positive, negative)
                    break


def is_inside(window: Interval, regions: Sequence[Interval]) -> bool:
    """Whether a window lies in one of the regions as a whole."""
    return any(
        region.contig == window.contig and region.start <= window.start and window.end <= region.end
        for region in regions
    )


class _Taken:
    """Windows of one length that have been given away."""

    def __init__(self) -> None:
        self._starts: dict[str, list[int]] = {}

    def takes(self, window: Interval) -> bool:
        """Take a window; False when it shares bases with one that is taken."""
        starts = self._starts.setdefault(window.contig, [])
        next_one = bisect_left(starts, window.start - window.length + 1)
        if next_one < len(starts) and starts[next_one] < window.end:
            return False
        insort(starts, window.start)
        return True
