"""Promoters as data: windows around start sites, honest negatives, and the records a model learns from.

Negatives are real genome, never filler: a bag of 5-mers tells synthetic filler from promoters without a fault, which
is why the published 99.9 % F1 says nothing about promoters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval, Strand
from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError

LABELS = ("promoter+", "promoter-")

FAR_BP = 8_000  # a negative window lies at least this far from every known start site
GC_TOLERANCE = 0.02  # and has its positive's share of G and C up to this
SHIFT_BP = (3_000, 9_000)  # a shifted negative is a promoter window moved by this much either way,
SHIFT_CLEAR_BP = 1_500  # whose middle is at least this far from every known start site

GRID_BP = 50  # candidate windows start on this grid


class Sites:
    """Start sites of a genome, asked for by place.

    known  everything any source calls a start site; by contig, ascending positions
    """

    def __init__(self, promoters: Sequence[Interval], annotated: Sequence[Interval] = ()) -> None:
        self.promoters = tuple(sorted(promoters, key=lambda site: (site.contig, site.start)))
        self._by_contig = {
            contig: [site for site in self.promoters if site.contig == contig]
            for contig in {site.contig for site in self.promoters}
        }
        self._starts = {contig: np.array([s.start for s in sites]) for contig, sites in self._by_contig.items()}
        known: dict[str, set[int]] = {}
        for site in (*promoters, *annotated):
            known.setdefault(site.contig, set()).add(site.start)
        self.known = {contig: np.array(sorted(places)) for contig, places in known.items()}

    def promoters_in(self, interval: Interval) -> list[Interval]:
        """Promoter sites within the interval."""
        starts = self._starts.get(interval.contig, np.zeros(0, np.int64))
        first, last = np.searchsorted(starts, [interval.start, interval.end])
        return self._by_contig.get(interval.contig, [])[first:last]

    def known_in(self, interval: Interval) -> NDArray[np.int64]:
        """Positions of all known start sites within the interval."""
        places = self.known.get(interval.contig, np.zeros(0, np.int64))
        first, last = np.searchsorted(places, [interval.start, interval.end])
        return places[first:last]

    def distance(self, contig: str, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Bases from each place to the nearest known start site."""
        known = self.known.get(contig)
        if known is None:
            return np.full(len(places), np.iinfo(np.int64).max)
        right = np.searchsorted(known, places).clip(0, len(known) - 1)
        nearest: NDArray[np.int64] = np.minimum(abs(places - known[right]), abs(places - known[right - 1]))
        return nearest


def around(site: Interval, *, before_bp: int, after_bp: int) -> Interval:
    """The window that begins `before_bp` bases upstream of a start site and ends with `after_bp`, the site among them.

        +   [start - before, start + after)          before  after
        -   [start + 1 - after, start + 1 + before)   ───────T─────►   on the site's strand

    EPD's -249 … +50 is before_bp=249, after_bp=51; the paper's -5000 … +3000 is 5000 and 3000.
    """
    start = site.start - before_bp if site.strand != "-" else site.start + 1 - after_bp
    return Interval(site.contig, start, start + before_bp + after_bp, site.strand, site.name)


def centred(site: Interval, window_bp: int) -> Interval:
    """The window of `window_bp` bases with the site in the middle, on the site's strand."""
    return around(site, before_bp=window_bp // 2, after_bp=window_bp - window_bp // 2)


class Candidates:
    """Windows far from every known start site, to be drawn by their share of G and C.

    Windows lie on a 50-base grid inside the regions and hold no N.
    """

    def __init__(self, genome: Genome, sites: Sites, regions: Sequence[Interval], *, window_bp: int) -> None:
        self.window_bp = window_bp
        contigs, starts, shares = [], [], []
        for number, region in enumerate(regions):
            first, share, has_n = gc_of_windows(genome, region, window_bp)
            far = sites.distance(region.contig, first + window_bp // 2) >= FAR_BP + window_bp // 2
            usable = far & ~has_n
            contigs.append(np.full(int(usable.sum()), number))
            starts.append(first[usable])
            shares.append(share[usable])
        if not sum(map(len, starts)):
            raise DataError(f"no window of {window_bp} bases lies {FAR_BP} bases from every known start site")
        share = np.concatenate(shares)
        order = np.argsort(share, kind="stable")
        self._share, self._start = share[order], np.concatenate(starts)[order]
        self._region = [regions[number].contig for number in np.concatenate(contigs)[order]]

    def matching(self, share: float, *key: int) -> Interval | None:
        """A random window with this share of G and C, on a random strand; None when there is none."""
        first, last = np.searchsorted(self._share, [share - GC_TOLERANCE, share + GC_TOLERANCE])
        return self._draw(int(first), int(last), key)

    def any(self, *key: int) -> Interval:
        """A random window whatever its composition."""
        window = self._draw(0, len(self._share), key)
        assert window is not None
        return window

    def _draw(self, first: int, last: int, key: tuple[int, ...]) -> Interval | None:
        if last <= first:
            return None
        place = int(randomness.integers(first, last, *key, 0))
        start = int(self._start[place])
        strand: Strand = "+" if randomness.uniform(*key, 1) < 0.5 else "-"
        return Interval(self._region[place], start, start + self.window_bp, strand)


def gc_share(sequence: str) -> float:
    """Share of G and C among the bases that are known."""
    known = len(sequence) - sequence.count("N")
    return (sequence.count("G") + sequence.count("C")) / max(known, 1)


def gc_of_windows(
    genome: Genome, region: Interval, window_bp: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """Start, share of G and C, and whether there is an N, of every window on the grid inside the region."""
    cells = region.length // GRID_BP
    wide = window_bp // GRID_BP
    if window_bp % GRID_BP or cells < wide:
        raise ConfigError(f"window_bp must be a multiple of {GRID_BP} and fit into {region}, got {window_bp}")
    letters = np.frombuffer(genome.window(replace(region, strand="+")).sequence.encode(), np.uint8)
    letters = letters[: cells * GRID_BP].reshape(cells, GRID_BP)
    gc = np.isin(letters, np.frombuffer(b"GC", np.uint8)).sum(1)
    unknown = (letters == ord("N")).sum(1)
    gc, unknown = (np.concatenate(([0], counts.cumsum())) for counts in (gc, unknown))
    in_window, n_in_window = gc[wide:] - gc[:-wide], unknown[wide:] - unknown[:-wide]
    starts = region.start + np.arange(cells - wide + 1) * GRID_BP
    return starts, in_window / np.maximum(window_bp - n_in_window, 1), n_in_window > 0


def matched_negatives(
    positives: Sequence[Record], candidates: Candidates, *, seed: int
) -> Iterator[tuple[int, Interval]]:
    """For each positive that has one, its index and a far window of the same composition; no two overlap ("N4")."""
    taken: dict[str, list[Interval]] = {}
    for index, positive in enumerate(positives):
        for attempt in range(30):
            window = candidates.matching(gc_share(positive.sequence), seed, index, attempt)
            if window is None:
                break
            others = taken.setdefault(window.contig, [])
            if all(window.end <= other.start or other.end <= window.start for other in others):
                others.append(window)
                yield index, window
                break


def shifted_place(site: Interval, sites: Sites, *key: int, least: int = 0) -> Interval | None:
    """A base 3,000 to 9,000 from a promoter's site, past `least`, with no start near; None if none is found."""
    for attempt in range(50):
        shift = int(randomness.integers(SHIFT_BP[0], SHIFT_BP[1] + 1, *key, attempt, 0))
        sign = 1 if randomness.uniform(*key, attempt, 1) < 0.5 else -1
        place = site.start + sign * shift
        if place > least and sites.distance(site.contig, np.array([place]))[0] > SHIFT_CLEAR_BP:
            return replace(site, start=place, end=place + 1)
    return None


def shifted_negatives(sites: Sites, regions: Sequence[Interval], *, window_bp: int, seed: int) -> Iterator[Interval]:
    """Each promoter's window moved 3,000 to 9,000 bases to where no start site is near ("N6")."""
    for index, site in enumerate(site for region in regions for site in sites.promoters_in(region)):
        place = shifted_place(site, sites, seed, index, least=window_bp)
        if place is not None:
            yield centred(place, window_bp)
