"""A file of results, a JSON object for each line of input, so written that a killed run goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from bigbird.data.files import json_text, written_whole
from bigbird.documents.batch_lines import BatchLine
from bigbird.errors import ConfigError, DataError

_CURE = "Give another --out, or delete the file first."


class RowsDone(NamedTuple):
    """Rows that stand in the file, and how many of them tell an error."""

    num_rows: int
    num_errors: int


def settings_file(out: Path) -> Path:
    """Beside the rows: what they were made with, which a run that goes on must share."""
    return out.with_name(f"{out.name}.settings.json")


@contextmanager
def row_file(out: Path, settings: Mapping[str, Any]) -> Iterator[IO[bytes]]:
    """Open a file of rows to go on with, a torn last line taken off; one program at a time.

    Raises ConfigError when it was made with other settings, or is another program's; DataError when it is damaged.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{out} is being written by another program. Wait for it, or give another --out"
            ) from None
        _check_settings(out, settings)
        _mend(file, out)
        yield file


def check_done(file: IO[bytes], lines: Iterator[BatchLine], out: Path) -> RowsDone:
    """Take from `lines` those that have their row; raise when they are not the same lines in the same order."""
    file.seek(0)
    num_rows = num_errors = 0
    for number, done in enumerate(file, start=1):
        row = json.loads(done)
        line = next(lines, None)
        if line is None:
            raise ConfigError(f"{out} holds more lines than the input: line {number} belongs to none. {_CURE}")
        if not _is_of(row, line):
            raise ConfigError(
                f"{out}:{number} belongs to {row['name']!r}, where {line.name!r} stands now. The lines or their order "
                f"have changed. {_CURE}"
            )
        num_rows += 1
        num_errors += "error" in row
    return RowsDone(num_rows, num_errors)


def _is_of(row: Mapping[str, Any], line: BatchLine) -> bool:
    """A row tells no empty mark, so one that is absent was empty; of a faulty line it may not have been read."""
    return all(row.get(name, mark if "error" in row else "") == mark for name, mark in line.marks.items())


def append_rows(file: IO[bytes], rows: Iterable[Mapping[str, Any]]) -> RowsDone:
    """Write each row as it comes, its line whole before the next is begun."""
    num_rows = num_errors = 0
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        file.flush()
        num_rows += 1
        num_errors += "error" in row
    return RowsDone(num_rows, num_errors)


def _check_settings(out: Path, settings: Mapping[str, Any]) -> None:
    path = settings_file(out)
    if out.stat().st_size == 0:
        with written_whole(path) as temporary:
            temporary.write_text(json_text(settings), encoding="utf-8")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{out} has contents, and {path.name}, which tells how to go on, is missing. {_CURE}"
        ) from None
    except ValueError:
        raise DataError(f"{path} is damaged. {_CURE}") from None
    for name, value in settings.items():
        if before.get(name) != value:
            raise ConfigError(f"{out} was begun with {name} {before.get(name)!r}, now it is {value!r}. {_CURE}")


def _mend(file: IO[bytes], out: Path) -> None:
    """Cut off what a killed run, or a loss of power, left of its last line."""
    file.seek(0)
    whole = 0
    torn_at = 0
    for number, line in enumerate(file, start=1):
        if torn_at:
            raise DataError(f"{out}:{torn_at} is damaged: no JSON object with a name. {_CURE}")
        if line.endswith(b"\n") and _is_row(line):
            whole += len(line)
        else:
            torn_at = number
    if torn_at:
        os.truncate(file.fileno(), whole)


def _is_row(line: bytes) -> bool:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and isinstance(row.get("name"), str)
