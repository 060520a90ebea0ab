"""A genome: contigs by name, any stretch of them as clean DNA, windows that may reach over the ends."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

from bigbird.data.fasta import check_fasta, read_fasta
from bigbird.data.files import GZIP_MAGIC, open_binary
from bigbird.data.intervals import Interval
from bigbird.errors import DataError, require
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
    """Random access to FASTA files: plain or bgzip through an index (needs pysam), anything else from memory.

    The index is written beside a file the first time, after every letter has been checked.

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
        return cls({str(path): _reader(Path(path)) for path in paths})

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


def _reader(path: Path) -> _Reader:
    return _IndexedReader(path) if _can_be_indexed(path) else _MemoryReader(path)


class _MemoryReader:
    def __init__(self, path: Path) -> None:
        self._sequences = dict(read_fasta(path, max_bases=MAX_BASES_IN_MEMORY))
        self.contigs: Mapping[str, int] = {name: len(sequence) for name, sequence in self._sequences.items()}

    def fetch(self, contig: str, start: int, end: int) -> str:
        return self._sequences[contig][start:end]


class _IndexedReader:
    def __init__(self, path: Path) -> None:
        pysam = require("pysam", extra="dna", purpose="an indexed genome")
        index = _index_of(path)
        if not index.exists():
            log.warning("checking %s and writing its index %s", path, index.name)
            check_fasta(path)
            _write_index(path)
        try:
            self._file = pysam.FastaFile(str(path))
        except (OSError, ValueError) as error:
            raise _index_fault(path) from error
        self._path = path
        self.contigs: Mapping[str, int] = dict(zip(self._file.references, self._file.lengths, strict=True))

    def fetch(self, contig: str, start: int, end: int) -> str:
        try:
            sequence: str = self._file.fetch(contig, start, end)
        except (OSError, ValueError) as error:
            raise _index_fault(self._path) from error
        if len(sequence) != end - start:
            raise _index_fault(self._path)
        return sequence


def _can_be_indexed(path: Path) -> bool:
    """Plain FASTA with lines of one length, or bgzip (gzip in blocks, marked by a "BC" field), and pysam at hand."""
    with open_binary(path):
        pass  # a missing or unreadable file is told here
    with path.open("rb") as file:
        head = file.read(18)
    is_bgzip = head[:2] == GZIP_MAGIC and head[3:4] == b"\x04" and head[12:14] == b"BC"
    if head[:2] == GZIP_MAGIC and not is_bgzip:
        return False
    return importlib.util.find_spec("pysam") is not None


def _index_of(path: Path) -> Path:
    return path.with_name(path.name + ".fai")


def _write_index(path: Path) -> None:
    pysam = require("pysam", extra="dna", purpose="an indexed genome")
    index, block_index = _index_of(path), path.with_name(path.name + ".gzi")
    try:
        with TemporaryDirectory(dir=path.parent, prefix=".index-") as folder:
            new_index, new_block_index = Path(folder, "fai"), Path(folder, "gzi")
            pysam.faidx("--fai-idx", str(new_index), "--gzi-idx", str(new_block_index), str(path))
            if new_block_index.exists():
                new_block_index.replace(block_index)
            new_index.replace(index)
    except OSError as error:
        raise DataError(
            f"{path} has no index, and none can be written beside it ({error.strerror}). Copy the file to a folder you "
            f"can write to, or have its owner run: samtools faidx {path}"
        ) from error
    except pysam.SamtoolsError as error:
        raise DataError(
            f"{path} cannot be indexed; most often its lines differ in length. Give it lines of one length, or "
            f"compress it with plain gzip to have it read into memory."
        ) from error


def _index_fault(path: Path) -> DataError:
    index = _index_of(path)
    return DataError(f"the index {index} does not fit {path.name}. Delete it, and it is written anew.")
