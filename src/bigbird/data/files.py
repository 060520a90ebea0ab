"""Reading and writing files without surprises: every fault names the file, nothing half-written stays."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bigbird.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain or gzip (bgzip too) file; a missing, damaged or cut-off one is a `DataError`."""
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            if is_gzip:
                with gzip.open(raw, "rb") as unpacked:
                    yield unpacked  # type: ignore[misc]  # a GzipFile reads like any binary file
            else:
                yield raw
    except EOFError as error:
        raise DataError(f"{path} ends in the middle of its gzip data. Copy or download it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged gzip ({error}). Copy or download it again.") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, line ends of any kind taken off; plain or gzip."""
    with open_binary(path) as file:
        for number, line in enumerate(_universal_lines(file), start=1):
            if b"\0" in line:
                raise DataError(f"{path}:{number}: this is a binary file, not text")
            try:
                yield number, line.decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{path}:{number}: byte {error.start + 1} is not UTF-8 text") from error


def _universal_lines(file: IO[bytes]) -> Iterator[bytes]:
    for line in file:
        yield from line.rstrip(b"\r\n").split(b"\r")  # old Macintosh files end lines with CR alone


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name once the block has run without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
