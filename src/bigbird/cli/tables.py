"""Predictions as a table separated by tabs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from bigbird.checkpoint import LoadedModel
    from bigbird.data.records import Record
    from bigbird.tasks import Prediction


def write_table(file: TextIO, loaded: LoadedModel, records: Sequence[Record], answers: Iterable[Prediction]) -> None:
    """One line per record; columns depend on what the model answers."""
    from bigbird.tasks import Classification, MaskedLM

    columns: list[str]
    cells: Callable[[Record, Prediction], list[str]]
    labels = loaded.task.labels
    if isinstance(loaded.task, Classification):
        columns, cells = ["label", *labels], _whole_cells
    elif isinstance(loaded.task, MaskedLM):
        columns, cells = ["bits per letter", "hidden letters"], _masked_cells
    else:
        columns, cells = [f"{label} {part}" for label in labels for part in ("score", "place")], _token_cells
    print("name", *columns, sep="\t", file=file)
    for record, answer in zip(records, answers, strict=True):
        print(record.name, *cells(record, answer), sep="\t", file=file)


def _whole_cells(_: Record, answer: Prediction) -> list[str]:
    return [";".join(answer.labels), *(f"{value:.6f}" for value in answer.probabilities)]


def _masked_cells(_: Record, answer: Prediction) -> list[str]:
    from math import log

    bits = answer.nats / log(2) / answer.num_letters if answer.num_letters else float("nan")
    return [f"{bits:.4f}", str(answer.num_letters)]


def _token_cells(record: Record, answer: Prediction) -> list[str]:
    best = answer.probabilities.argmax(0)
    pairs = [(f"{answer.probabilities[place, column]:.6f}", _place(record, place)) for column, place in enumerate(best)]
    return [cell for pair in pairs for cell in pair]


def _place(record: Record, index: int) -> str:
    """Where a base of a record lies, counted from 1: on its genome if it has one."""
    interval = record.interval
    if interval is None:
        return str(index + 1)
    place = interval.end - 1 - index if interval.strand == "-" else interval.start + index
    return f"{interval.contig}:{place + 1}"
