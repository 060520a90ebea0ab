"""A genome as documents of some ten thousand bases, as the paper cuts it (appendix F): a walk along each contig.

    NNNN ACGTACGTACGTACGTACGT NNNNN ACGTACGT NNN        one contig; long runs of N are cut out
         | document | docum.|       | docum.|           documents end where runs and held-out regions begin

A document is 50 to 100 sentences of 500 to 1,000 bases, each number drawn anew, so 25 to 100 thousand bases. The paper
walks each chromosome ten times from a base drawn among the first 5,000; one walk, which begins with the first base, has
every base once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bigbird import randomness
from bigbird.data.fasta import read_fasta
from bigbird.data.intervals import parse_region
from bigbird.errors import ConfigError
from bigbird.tokenizers import clean_dna

UNKNOWN_BP = 50  # a run of N from this length on is cut out; shorter ones are read
_SENTENCES = (50, 100)
_SENTENCE_BP = (500, 1000)
_START_BP = 5000  # a walk begins before this base, when there are several
_LEAST_BP = 500  # what is left behind a document and is shorter joins it


class GenomePiece(NamedTuple):
    """Clean DNA of one document, named as people type its region, such as chr16:10,001-66,321."""

    contig: str
    name: str
    sequence: str
    held_out: bool


@dataclass(frozen=True, kw_only=True)
class GenomeWalk:
    """How documents are cut from a genome.

    walks     along each contig; more than one begin at a drawn base and cut elsewhere each time
    regions   such as "chr16" or "chr22:1-20,000,000": only these are read; all when there are none
    hold_out  regions likewise, which are walked once and not trained on
    seed      of the draws
    """

    walks: int = 1
    regions: tuple[str, ...] = ()
    hold_out: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.walks <= 1000:
            raise ConfigError(f"walks must be from 1 to 1000, got {self.walks}")


def genome_documents(path: Path, walk: GenomeWalk) -> Iterator[GenomePiece]:
    """The documents of a FASTA file: those to train on of a contig, walk after walk, then those held out."""
    for number, (contig, letters) in enumerate(read_fasta(path)):
        sequence = clean_dna(letters, source=f"{path} {contig}").sequence
        length = len(sequence)
        held_out = _spans_on(contig, length, walk.hold_out)
        wanted = _spans_on(contig, length, walk.regions) if walk.regions else [(0, length)]
        known = _known(sequence)
        for turn in range(walk.walks):
            key = (walk.seed, number, turn)
            begin = int(randomness.integers(0, _START_BP, *key, 0)) if walk.walks > 1 else 0
            note = f" walk {turn + 1}" if walk.walks > 1 else ""
            spans = _shared(_without(wanted, held_out), _shared(known, [(begin, length)]))
            for start, end in _documents(spans, *key):
                yield GenomePiece(contig, f"{contig}:{start + 1:,}-{end:,}{note}", sequence[start:end], False)
        for start, end in _documents(_shared(held_out, known), walk.seed, number, -1):
            yield GenomePiece(contig, f"{contig}:{start + 1:,}-{end:,}", sequence[start:end], True)


def contig_of(region: str, contigs: set[str]) -> str | None:
    """The contig a region lies on, by its exact name; None when it is none of `contigs`."""
    return next((name for name in (region, region.rpartition(":")[0]) if name in contigs), None)


Spans = list[tuple[int, int]]  # [start, end), in order, none touching another


def _spans_on(contig: str, length: int, regions: tuple[str, ...]) -> Spans:
    """The stretches of a contig that regions name, those that touch joined."""
    here = [parse_region(text, {contig: length}) for text in regions if contig_of(text, {contig})]
    spans: Spans = []
    for start, end in sorted((interval.start, interval.end) for interval in here):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return spans


def _known(sequence: str) -> Spans:
    """Stretches between long runs of N."""
    runs = [match.span() for match in re.finditer(f"N{{{UNKNOWN_BP},}}", sequence)]
    return _without([(0, len(sequence))], runs)


def _without(spans: Spans, holes: Spans) -> Spans:
    kept = []
    for start, end in spans:
        place = start
        for hole_start, hole_end in holes:
            if hole_end > start and hole_start < end:
                kept.append((place, hole_start))
                place = max(place, hole_end)
        kept.append((place, end))
    return [(start, end) for start, end in kept if start < end]


def _shared(some: Spans, others: Spans) -> Spans:
    pairs = ((max(a, c), min(b, d)) for a, b in some for c, d in others)
    return sorted((start, end) for start, end in pairs if start < end)


def _documents(spans: Spans, *key: int) -> Spans:
    """The stretches cut into documents of drawn lengths."""
    documents: Spans = []
    for start, end in spans:
        place = start
        while place < end:
            stop = place + _document_bp(*key, start, len(documents))
            stop = end if end - stop < _LEAST_BP else stop
            documents.append((place, stop))
            place = stop
    return documents


def _document_bp(*key: int) -> int:
    count = int(randomness.integers(_SENTENCES[0], _SENTENCES[1] + 1, *key, 1))
    lengths = randomness.integers(_SENTENCE_BP[0], _SENTENCE_BP[1] + 1, *key, 2, np.arange(count))
    return int(lengths.sum())
