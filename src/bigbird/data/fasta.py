"""FASTA files, checked letter by letter: readers in wide use drop or mangle damaged ones without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bigbird.data.files import open_binary
from bigbird.errors import DataError

_LETTERS = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv"
_BOM = b"\xef\xbb\xbf"


class FastaRecord(NamedTuple):
    """One contig: the first word of its header and its letters, as they stand in the file."""

    name: str
    sequence: str


def read_fasta(path: Path, *, max_bases: int | None = None) -> Iterator[FastaRecord]:
    """The records of a FASTA file (plain, gzip or bgzip), whatever its line ends; at least one, none empty.

    A file that unpacks to more than `max_bases` is refused before it fills the memory.
    """
    name: str | None = None
    pieces: list[bytes] = []
    num_bases = 0
    for header, piece in _checked(path):
        num_bases += len(piece)
        if max_bases is not None and num_bases > max_bases:
            raise DataError(
                f"{path} holds more than {max_bases:,} bases, too many to hold in memory. Give it lines of one length, "
                f"compress it with bgzip (or not at all) and install the index reader: pip install 'bigbird[dna]'"
            )
        if header != name:
            if name is not None:
                yield FastaRecord(name, b"".join(pieces).decode())
            name, pieces = header, []
        pieces.append(piece)
    if name is not None:
        yield FastaRecord(name, b"".join(pieces).decode())


def check_fasta(path: Path) -> None:
    """Read the whole file once and raise a `DataError` that names the line of the first fault."""
    for _ in _checked(path):
        pass


def _checked(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every sequence line, checked, with the name of its record."""
    name, names, is_empty, number = "", set[str](), False, 0
    with open_binary(path) as file:
        for number, line in enumerate(_lines(file), start=1):
            if number == 1:
                _check_first_line(line, path)
            if line.startswith(b">"):
                if is_empty:
                    raise DataError(f"{path}:{number}: the record {name!r} before this line has no sequence")
                name, is_empty = _name(line, names, f"{path}:{number}"), True
            elif line:
                _check_letters(line, f"{path}:{number}")
                is_empty = False
                yield name, line
    if number == 0:
        raise DataError(f"{path} is empty; a FASTA file begins with a line such as '>chr1'")
    if is_empty:
        raise DataError(f"{path}: the last record, {name!r}, has no sequence. Is the file cut off?")


def _lines(file: Iterator[bytes]) -> Iterator[bytes]:
    for line in file:
        for part in line.rstrip(b"\r\n").split(b"\r"):
            yield part.rstrip(b" \t")


def _check_first_line(line: bytes, path: Path) -> None:
    if line.startswith(_BOM):
        raise DataError(f"{path}:1: the file begins with a byte-order mark; save it as plain text without one")
    if line.startswith(b"@"):
        raise DataError(f"{path}:1: this looks like FASTQ; convert it to FASTA first")
    if b"\0" in line:
        raise DataError(f"{path}:1: this is a binary file, not FASTA")
    if not line.startswith(b">"):
        raise DataError(f"{path}:1: a FASTA file begins with a line such as '>chr1', got {_shown(line)}")


def _name(line: bytes, names: set[str], source: str) -> str:
    try:
        words = line[1:].decode().split()
    except UnicodeDecodeError:
        raise DataError(f"{source}: the header is not UTF-8 text: {_shown(line)}") from None
    if not words:
        raise DataError(f"{source}: a record needs a name behind '>'")
    if words[0] in names:
        raise DataError(f"{source}: a record named {words[0]!r} stands in the file already; names must differ")
    names.add(words[0])
    return words[0]


def _check_letters(line: bytes, source: str) -> None:
    strangers = line.translate(None, _LETTERS)
    if strangers:
        stranger = strangers[:1]
        raise DataError(
            f"{source}: column {line.index(stranger) + 1} holds {_shown(stranger)}, which is not a DNA letter "
            f"(A, C, G, T, U, N and IUPAC codes)"
        )


def _shown(data: bytes) -> str:
    return repr(data[:20])[1:]
