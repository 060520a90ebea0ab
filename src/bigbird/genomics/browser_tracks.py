"""Scores as files that genome browsers show: bedGraph and bigWig."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bigbird.data.files import written_whole
from bigbird.errors import require
from bigbird.genomics.track import Track

_ENTRIES_AT_ONCE = 100_000
_UNKNOWN = -1.0


class Level(NamedTuple):
    """Bases [start, end) of a contig that share a score, the highest of any label to three decimals."""

    start: int
    end: int
    score: float


def levels(track: Track) -> Iterator[Level]:
    """The track from left to right; unknown bases are left out, neighbours of one score are one."""
    start, score = track.region.start, _UNKNOWN
    for first, scores in track.pieces():
        best = np.nan_to_num(scores, nan=_UNKNOWN).max(axis=1).round(3)
        for change in np.flatnonzero(np.append(True, best[1:] != best[:-1])):
            if best[change] == score:
                continue
            place = track.place(first + int(change))
            if score != _UNKNOWN:
                yield Level(start, place, float(score))
            start, score = place, best[change]
    if score != _UNKNOWN:
        yield Level(start, track.region.end, float(score))


def write_bedgraph(path: Path, tracks: Sequence[Track]) -> None:
    """The highest score of any label, to three decimals; neighbouring bins of one value are one line."""
    with written_whole(path) as temporary, temporary.open("w") as file:
        print('track type=bedGraph name="bigbird" description="highest score of any label"', file=file)
        for track in tracks:
            for start, end, score in levels(track):
                print(track.region.contig, start, end, f"{score:.3f}", sep="\t", file=file)


def write_bigwig(path: Path, tracks: Sequence[Track]) -> bool:
    """The same as bigWig; False, and no file, when no base has a score. Tracks in order, each contig's together."""
    bigwig = require("pyBigWig", extra="bigwig", purpose="a bigWig file")
    contigs: dict[str, int] = {}
    for track in tracks:
        contig = track.region.contig
        contigs[contig] = max(contigs.get(contig, 0), track.contig_length, track.region.end)
    if not any(True for track in tracks for _ in levels(track)):
        return False
    with written_whole(path) as temporary:
        file = bigwig.open(str(temporary), "w")
        file.addHeader(list(contigs.items()))
        for track in tracks:
            found = levels(track)
            while some := list(islice(found, _ENTRIES_AT_ONCE)):
                starts, ends, scores = (list(column) for column in zip(*some, strict=True))
                file.addEntries([track.region.contig] * len(some), starts, ends=ends, values=scores)
        file.close()
    return True
