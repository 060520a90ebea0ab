"""Calls against an annotation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.intervals import Feature, Interval, Kind, start_sites
from bigbird.genomics.calls import Call
from bigbird.genomics.track import Track


class Agreement(NamedTuple):
    """How well calls and annotated starts meet.

    num_starts, num_found     starts of the wanted genes in the region, and those with a call's summit within reach
    num_calls, num_supported  calls, and those with any annotated transcript's start within reach of the summit
    num_bins, num_near        bins of known bases, and those within reach of an annotated transcript's start
    missing                   what the annotation has none of: the starts of the other kind stand for these
    """

    num_starts: int
    num_found: int
    num_calls: int
    num_supported: int
    num_bins: int
    num_near: int
    reach_bp: int
    missing: Kind | None = None

    @property
    def recall(self) -> float:
        """Share of the starts that were found."""
        return self.num_found / self.num_starts if self.num_starts else float("nan")

    @property
    def precision(self) -> float:
        """Share of the calls that are supported."""
        return self.num_supported / self.num_calls if self.num_calls else float("nan")

    @property
    def chance(self) -> float:
        """The precision of calls put down at random."""
        return self.num_near / self.num_bins if self.num_bins else float("nan")


def added(parts: Sequence[Agreement]) -> Agreement:
    """The agreement over several regions."""
    counts = [name for name in Agreement._fields if name.startswith("num_")]
    return parts[0]._replace(**{name: sum(getattr(part, name) for part in parts) for name in counts})


def wanted_starts(features: Sequence[Feature], region: Interval) -> list[Interval]:
    """Starts of the region's protein-coding genes, or of all its genes when the annotation knows no such type.

    An annotation without genes is taken by its transcripts.
    """
    kind: Kind = "transcript" if missing_kind(features) == "gene" else "gene"
    some = [feature for feature in features if feature.kind == kind]
    coding = [feature for feature in some if feature.biotype == "protein_coding"]
    return _inside(start_sites(coding or some, kind=kind), region)


def supporting_starts(features: Sequence[Feature]) -> list[Interval]:
    """Starts of all transcripts, of genes in an annotation without transcripts."""
    return start_sites(features, kind="gene" if missing_kind(features) == "transcript" else "transcript")


def missing_kind(features: Sequence[Feature]) -> Kind | None:
    """The kind of which there is no start while there are starts of the other."""
    kinds = {feature.kind for feature in features if feature.interval.strand != "."}
    if len(kinds) != 1:
        return None
    return "transcript" if "gene" in kinds else "gene"


def compare(found: Sequence[Call], features: Sequence[Feature], track: Track, *, reach_bp: int = 500) -> Agreement:
    """Count calls and starts that lie within `reach_bp` bases of each other, whatever the strand."""
    region = track.region
    starts = np.array([site.start for site in wanted_starts(features, region)])
    supporting = np.array([site.start for site in supporting_starts(features) if site.contig == region.contig])
    summits = np.array([call.summit for call in found])
    num_bins, num_near = _chance(track, supporting, reach_bp)
    return Agreement(
        num_starts=len(starts),
        num_found=int((distance_to(starts, summits) <= reach_bp).sum()),
        num_calls=len(summits),
        num_supported=int((distance_to(summits, supporting) <= reach_bp).sum()),
        num_bins=num_bins,
        num_near=num_near,
        reach_bp=reach_bp,
        missing=missing_kind(features),
    )


def _chance(track: Track, supporting: NDArray[np.int64], reach_bp: int) -> tuple[int, int]:
    """Bins of known bases, and those near a supporting start."""
    num_bins = num_near = 0
    for first, scores in track.pieces():
        known = first + np.flatnonzero(~np.isnan(scores[:, 0]))
        middles = track.region.start + known * track.bin_bp + track.bin_bp // 2
        num_bins += len(known)
        num_near += int((distance_to(middles, supporting) <= reach_bp).sum())
    return num_bins, num_near


def _inside(sites: Sequence[Interval], region: Interval) -> list[Interval]:
    return [site for site in sites if site.contig == region.contig and region.start <= site.start < region.end]


def distance_to(places: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """From each place to the nearest of the others; infinite when there is none."""
    if not len(others):
        return np.full(len(places), np.inf)
    others = np.sort(others)
    right = np.searchsorted(others, places).clip(0, len(others) - 1)
    nearest = np.minimum(abs(places - others[right]), abs(places - others[right - 1]))
    return np.asarray(nearest, np.float64)
