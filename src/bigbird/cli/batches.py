"""Batches: a file of JSON lines in, a file of results out, which a second run goes on with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from bigbird.cli.arguments import new_file, watched
from bigbird.cli.entry import say
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.documents.batch_lines import BatchLine, LineFields

MakeRows = Callable[[Iterator["BatchLine"]], Iterable[Mapping[str, Any]]]


class BatchWords(NamedTuple):
    """How a batch is told of: "answered" into "ANSWERS.jsonl", a bar of "questions", and what a line looks like."""

    done: str
    file: str
    items: str
    form: str


def run_batch(
    data: Path,
    out: str | None,
    make_rows: MakeRows,
    *,
    settings: Mapping[str, Any],
    fields: LineFields,
    words: BatchWords,
) -> None:
    """Make the rows of those lines that have none yet; exit code 1 when a row tells an error.

    make_rows  is called with the lines that are left, if any
    settings   what a run that goes on must share
    """
    from bigbird.data.files import check_new_file
    from bigbird.documents.batch_lines import read_batch
    from bigbird.documents.row_file import append_rows, check_done, row_file, settings_file

    file = new_file(out, data)
    if file is None:
        raise InputError(f"{data} is {words.done} into a file: give --out {words.file}")
    check_new_file(settings_file(file), data, option=f"--out {file}: the file beside it")
    num_lines = sum(1 for _ in read_batch(data, fields))
    if not num_lines:
        raise InputError(f"{data} holds no lines; write {words.form} on each")
    with row_file(file, settings) as rows:
        lines = read_batch(data, fields)
        done = check_done(rows, lines, file)
        num_left, num_errors = num_lines - done.num_rows, done.num_errors
        if num_left:
            num_errors += append_rows(rows, watched(make_rows(lines), num_left, words.items)).num_errors
    before = f", {done.num_rows:,} of them from before" if done.num_rows else ""
    faults = (
        f"; {num_errors:,} could not be {words.done}, their lines tell why; only another --out tries them again"
        if num_errors
        else ""
    )
    say(f"{num_lines:,} lines are in {file}{before}{faults}")
    if num_errors:
        raise typer.Exit(1)
