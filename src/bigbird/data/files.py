"""Reading and writing files without surprises: every fault names the file, nothing half-written stays."""

from __future__ import annotations

import errno
import gzip
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bigbird.errors import DataError, InputError

_GZIP_MAGIC = b"\x1f\x8b"
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")  # SAM specification, 4.1.2
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def ending_of(path: Path) -> str:
    """What a file's name says it holds, in small letters and without .gz: ".bed" of Peaks.BED.gz; "" for nothing."""
    endings = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return endings[-1] if endings else ""


def is_gzip(path: Path) -> bool:
    """Whether a file is gzip, bgzip included."""
    with path.open("rb") as file:
        return _head(file).startswith(_GZIP_MAGIC)


def is_bgzip(path: Path) -> bool:
    """Whether a file is gzip in blocks that can be read singly, which a field "BC" in its header tells."""
    with path.open("rb") as file:
        return _begins_bgzip(_head(file))


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain or gzip (bgzip too) file; a missing, damaged or cut-off one is a `DataError`."""
    try:
        with path.open("rb") as raw:
            head = _head(raw)
            if _begins_bgzip(head):
                _check_bgzip_end(raw, path)
            if head.startswith(_GZIP_MAGIC):
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


def _head(file: IO[bytes]) -> bytes:
    head = file.read(18)
    file.seek(0)
    return head


def _begins_bgzip(head: bytes) -> bool:
    return len(head) == 18 and head.startswith(_GZIP_MAGIC) and bool(head[3] & 4) and head[12:14] == b"BC"


def _check_bgzip_end(file: IO[bytes], path: Path) -> None:
    """Cut between two blocks, a bgzip file would unpack without a fault; only its missing last block tells."""
    file.seek(-min(len(_BGZIP_END), path.stat().st_size), os.SEEK_END)
    if file.read() != _BGZIP_END:
        raise DataError(f"{path} is cut off: the block that ends a bgzip file is missing. Copy or download it again.")
    file.seek(0)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, line ends and a byte-order mark taken off; plain or gzip."""
    with open_binary(path) as file:
        for number, line in enumerate(_universal_lines(file), start=1):
            if b"\0" in line:
                raise DataError(f"{path}:{number}: this is a binary file, not text")
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(f"{path}:{number}: byte {error.start + 1} is not UTF-8 text") from error


def _universal_lines(file: IO[bytes]) -> Iterator[bytes]:
    for line in file:
        yield from line.rstrip(b"\r\n").split(b"\r")  # old Macintosh files end lines with CR alone


def check_new_file(path: Path, *inputs: Path, option: str = "--out") -> None:
    """Raise, before any work is done, when `written_whole` could not write `path` or would replace an input."""
    if any(path.resolve() == source.resolve() for source in inputs):
        raise InputError(f"{option} {path} is what is read; name another file")
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not an ordinary file"
        raise InputError(f"{option} {path} is {kind}; name a file, new or to be replaced")
    _check_room(path.parent, f"{option} {path}")


def check_new_folder(path: Path, *, option: str = "--out") -> None:
    """Raise, before any work is done, when no files could be written into the folder `path`."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{option} {path} is a file; name a folder, new or one to write into")
    _check_room(path, f"{option} {path}")


def _check_room(folder: Path, given: str) -> None:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"{given} cannot be written: {there} is a file, not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{given} cannot be written: you may not write into the folder {there.absolute()}")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name once the block has run without error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        is_nameless = (
            error.filename is None and error.errno in _DISK_ERRORS
        )  # the system names files it cannot open alone
        if not is_nameless and (error.filename is None or Path(error.filename) != temporary):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # the name the caller knows
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Let a file, or the names in a folder, reach the disk: only then does a loss of power leave them as they are."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):  # disks that sync no folders
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)


def json_text(value: object) -> str:
    """Indented JSON; what JSON has no number for, NaN and infinity, is null."""
    return json.dumps(_without_nan(value), indent=2, allow_nan=False) + "\n"


def _without_nan(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return [_without_nan(item) for item in value] if isinstance(value, list | tuple) else value
