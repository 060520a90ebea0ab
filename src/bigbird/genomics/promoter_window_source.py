"""Promoter windows and windows against them, drawn anew every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bigbird import randomness
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.data.records import Record, Span, on_genome
from bigbird.data.sources import Item, RecordSource
from bigbird.errors import DataError
from bigbird.genomics.negatives import Negatives, Reach, is_inside
from bigbird.genomics.promoter_labels import BACKGROUND, PROMOTER
from bigbird.genomics.promoters import Sites

if TYPE_CHECKING:
    from bigbird.genomics.promoter_window_data import PromoterWindowData

_ATTEMPTS = 10


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
