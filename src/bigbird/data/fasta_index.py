"""The index of a FASTA file (.fai, and .gzi for bgzip): held against the file, made anew when it does not fit.

pysam believes any index: a stale one gives wrong bases, an empty one no contigs, and a missing .gzi in a folder that
cannot be written ends the process.
"""

from __future__ import annotations

import gzip
import logging
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from bigbird.data.fasta import check_fasta
from bigbird.data.files import is_bgzip
from bigbird.errors import DataError, require

log = logging.getLogger(__name__)

Read = Callable[[int, int], bytes]

_MAX_CHECKED = 100  # records held against the index, in bgzip some milliseconds each; a shift shows in all later ones
_MAX_HEADER = 1 << 16  # bytes between two records
_TIME_TOLERANCE_SECONDS = 1.0  # archives round times


class CannotBeIndexed(Exception):
    """No index can say where a base stands, most often because lines of a record differ in length."""


class _Row(NamedTuple):
    """A line of a .fai: where in the unpacked file the bases of a record begin, and how its lines are made.

    >chr1 words
    ACGTAC      offset: the first A;  line_bases 6, line_bytes 7
    ACG         end: behind the last G
    """

    name: str
    num_bases: int
    offset: int
    line_bases: int
    line_bytes: int

    @property
    def end(self) -> int:
        full_lines = max(self.num_bases - 1, 0) // max(self.line_bases, 1)
        return self.offset + self.num_bases + full_lines * (self.line_bytes - self.line_bases)


def index_fault(path: Path) -> DataError:
    """The error for a file that cannot be read as its index says."""
    index, _ = _index_files(path.parent, path)
    return DataError(f"the index {index} does not fit {path.name}. Delete it, and it is written anew.")


def open_indexed(path: Path) -> Any:
    """A `pysam.FastaFile` of plain FASTA or bgzip, through an index that fits.

    An index that is missing or does not fit is made, after every letter has been checked, and kept beside the file
    where that folder can be written.
    """
    fault = _fault(path, path.parent) or _staleness(path)
    if fault is None:
        return _opened(path, path.parent)
    log.warning("checking %s and writing its index %s, which %s", path, _index_files(path.parent, path)[0].name, fault)
    check_fasta(path)
    with TemporaryDirectory(prefix="bigbird-index-") as name:
        folder = Path(name)
        _write_index(path, folder)
        if _fault(path, folder):
            raise CannotBeIndexed
        _keep(path, folder)
        return _opened(path, folder)  # pysam reads an index whole when it opens it


@contextmanager
def silent_htslib() -> Iterator[None]:
    """Keep the C library below pysam from printing beside our errors."""
    pysam = _pysam()
    before = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(before)


def _pysam() -> Any:
    return require("pysam", extra="dna", purpose="an indexed genome")


def _index_files(folder: Path, path: Path) -> tuple[Path, Path]:
    """The index of a file and, for bgzip, that of its blocks."""
    return folder / f"{path.name}.fai", folder / f"{path.name}.gzi"


def _opened(path: Path, folder: Path) -> Any:
    index, block_index = _index_files(folder, path)
    paths = {"filepath_index": str(index)} | ({"filepath_index_compressed": str(block_index)} if is_bgzip(path) else {})
    try:
        with silent_htslib():
            return _pysam().FastaFile(str(path), **paths)
    except (OSError, ValueError) as error:
        raise index_fault(path) from error


def _write_index(path: Path, folder: Path) -> None:
    pysam = _pysam()
    index, block_index = map(str, _index_files(folder, path))
    try:
        with silent_htslib():
            pysam.faidx("--fai-idx", index, "--gzi-idx", block_index, str(path))
    except pysam.SamtoolsError as error:
        raise CannotBeIndexed from error


def _keep(path: Path, folder: Path) -> None:
    index, block_index = _index_files(folder, path)
    try:
        with TemporaryDirectory(dir=path.parent, prefix=".index-") as name:  # of our own: others may index it too
            for made in (block_index, index):  # in this order: there is never a .fai alone
                if made.exists():
                    shutil.copyfile(made, Path(name, made.name)).replace(path.with_name(made.name))
    except OSError as error:
        log.warning(
            "the index of %s cannot be kept beside it (%s) and is made anew each time. Copy the file to a folder you "
            "can write to, or have its owner run: samtools faidx %s",
            path,
            error.strerror or error,
            path,
        )


def _staleness(path: Path) -> str | None:
    """A file changed after its index was made; no sign in a folder of others, where copying has set the times."""
    times = [place.stat().st_mtime for place in (path, _index_files(path.parent, path)[0])]
    is_older = times[0] > times[1] + _TIME_TOLERANCE_SECONDS and os.access(path.parent, os.W_OK)
    return "is older than the file" if is_older else None


def _fault(path: Path, folder: Path) -> str | None:
    """What is wrong with the index in `folder`; None when it fits the file."""
    index, block_index = _index_files(folder, path)
    if not index.exists():
        return "is missing"
    if is_bgzip(path) and not block_index.exists():
        return f"lacks {block_index.name}"
    try:
        rows = _rows(index)
        with _unpacked(path, block_index) as read:
            return None if rows and _fits(rows, read) else "does not fit it"
    except (OSError, EOFError, ValueError, zlib.error):
        return "does not fit it"


def _rows(index: Path) -> list[_Row]:
    rows = [line.split("\t") for line in index.read_text(encoding="utf-8").splitlines()]
    return [
        _Row(name, int(num_bases), int(offset), int(line_bases), int(line_bytes))
        for name, num_bases, offset, line_bases, line_bytes in rows
    ]


@contextmanager
def _unpacked(path: Path, block_index: Path) -> Iterator[Read]:
    """A function that reads bytes [start, end) of the unpacked file."""
    in_blocks = is_bgzip(path)
    blocks = np.fromfile(block_index, "<u8") if in_blocks else np.zeros(1, np.uint64)
    if len(blocks) % 2 != 1 or int(blocks[0]) != len(blocks) // 2:
        raise ValueError("not a .gzi")
    places = np.append(np.zeros(2, np.int64), blocks[1:].astype(np.int64)).reshape(-1, 2)  # in the file, unpacked
    with path.open("rb") as file:

        def read(start: int, end: int) -> bytes:
            place, first = places[np.searchsorted(places[:, 1], start, side="right") - 1].tolist()
            file.seek(place)
            source = gzip.GzipFile(fileobj=file) if in_blocks else file
            source.seek(start - first, 0)
            return source.read(end - start)

        yield read


def _fits(rows: Sequence[_Row], read: Read) -> bool:
    """Whether records begin and end where the index says, and nothing but blanks follows the last."""
    pairs = list(pairwise([_Row("", 0, 0, 0, 0), *rows]))
    some = pairs[:: -(-len(pairs) // _MAX_CHECKED)]
    return (
        all(_follows(before.end, row, read) for before, row in (*some, pairs[-1]))
        and not read(rows[-1].end, rows[-1].end + _MAX_HEADER).strip()
    )


def _follows(end: int, row: _Row, read: Read) -> bool:
    """Whether behind byte `end` stands the header of `row`, and then lines and a last base where it says."""
    header = rb"\s*>[^\S\n]*" + re.escape(row.name.encode()) + rb"([^\S\n][^\n]*)?\n"
    first_break, last_break = row.offset + row.line_bases, row.end
    return (
        end < row.offset <= end + _MAX_HEADER
        and re.fullmatch(header, read(end, row.offset)) is not None
        and bool(read(last_break - 1, last_break).strip())
        and (first_break >= last_break or read(first_break, first_break + 1) in (b"\n", b"\r"))
    )
