"""A genome: contigs by name, any stretch of them as clean DNA, windows that may reach over the ends."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from bigbird.data.fasta import read_fasta
from bigbird.data.fasta_index import CannotBeIndexed, index_fault, open_indexed, silent_htslib
from bigbird.data.files import is_bgzip, is_gzip, open_binary
from bigbird.data.intervals import Interval
from bigbird.errors import DataError
from bigbird.tokenizers import clean_dna, reverse_complement

log = logging.getLogger(__name__)

MAX_BASES_IN_MEMORY = 1_000_000_000


class Window(NamedTuple):
    """Clean DNA of one interval, on the interval's strand.

    num_padded     bases beyond the contig's ends, filled with N
    num_ambiguous  IUPAC codes that became N
    """

    sequence: str
    num_padded: int
    num_ambiguous: int


class _Reader(Protocol):
    @property
    def contigs(self) -> Mapping[str, int]: ...

    def fetch(self, contig: str, start: int, end: int) -> str: ...


class Genome:
    """Random access to FASTA files: plain with even lines or bgzip through an index (needs pysam), others from memory.

    The index is written beside a file the first time, after every letter has been checked; see `fasta_index`.

    contigs  length of each contig, in the files' order
    """

    def __init__(self, readers: Mapping[str, _Reader]) -> None:
        self.source = ", ".join(readers)
        self.contigs: dict[str, int] = {}
        self._reader_of: dict[str, _Reader] = {}
        for path, reader in readers.items():
            for contig, length in reader.contigs.items():
                if contig in self.contigs:
                    raise DataError(f"{path} has a contig {contig!r} that another of the files has too")
                self.contigs[contig], self._reader_of[contig] = length, reader

    @classmethod
    def open(cls, *paths: Path | str) -> Genome:
        """Open one or several FASTA files as one genome; raises `DataError` for anything that is not FASTA."""
        return cls(dict(_readers([Path(path) for path in paths])))

    def window(self, interval: Interval) -> Window:
        """The interval's bases, N where it reaches beyond the contig; reverse-complemented on strand "-"."""
        length = self.contigs.get(interval.contig)
        if length is None:
            raise DataError(f"{self.source} has no contig {interval.contig!r}; it has {', '.join(self.contigs)}")
        start, end = max(interval.start, 0), min(interval.end, length)
        inside = self._reader_of[interval.contig].fetch(interval.contig, start, end) if start < end else ""
        cleaned = clean_dna(inside, source=f"{self.source} {interval.contig}:{start}")
        before = min(max(-interval.start, 0), interval.length)
        after = interval.length - before - len(inside)
        sequence = "N" * before + cleaned.sequence + "N" * after
        if interval.strand == "-":
            sequence = reverse_complement(sequence)
        return Window(sequence, before + after, cleaned.num_ambiguous)


class _MemoryReader:
    def __init__(self, path: Path) -> None:
        self._sequences = dict(read_fasta(path, max_bases=MAX_BASES_IN_MEMORY))
        self.contigs: Mapping[str, int] = {name: len(sequence) for name, sequence in self._sequences.items()}

    def fetch(self, contig: str, start: int, end: int) -> str:
        return self._sequences[contig][start:end]


class _IndexedReader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open_indexed(path)
        self.contigs: Mapping[str, int] = dict(zip(self._file.references, self._file.lengths, strict=True))

    def fetch(self, contig: str, start: int, end: int) -> str:
        try:
            with silent_htslib():
                sequence: str = self._file.fetch(contig, start, end)
        except (OSError, ValueError) as error:
            raise index_fault(self._path) from error
        if len(sequence) != end - start:
            raise index_fault(self._path)
        return sequence


def _readers(paths: Sequence[Path]) -> Iterator[tuple[str, _Reader]]:
    indexable = [path for path in paths if _can_be_indexed(path)]
    if indexable and importlib.util.find_spec("pysam") is None:
        log.warning(
            "pysam is not installed, so %s is read into memory; to have it read through an index, run: "
            "pip install 'bigbird[dna]'",
            ", ".join(map(str, indexable)),
        )
        indexable = []
    for path in paths:
        yield str(path), _indexed_if_even(path) if path in indexable else _MemoryReader(path)


def _can_be_indexed(path: Path) -> bool:
    with open_binary(path):
        pass  # a missing, unreadable or cut-off file is told here
    return is_bgzip(path) or not is_gzip(path)


def _indexed_if_even(path: Path) -> _Reader:
    try:
        return _IndexedReader(path)
    except CannotBeIndexed:
        log.warning("%s cannot be indexed, most often as its lines differ in length, and is read into memory", path)
        return _MemoryReader(path)
