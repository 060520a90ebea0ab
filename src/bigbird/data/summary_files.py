"""Documents with summaries in files.

    {"name": "minutes-7", "document": "… four pages …", "summary": "They buy it."}
    {"document": "…", "query": "What was decided?", "summary": ["They buy it.", "It is bought."]}

A line of JSON lines, an item of a JSON list, or a row of Parquet; in fields of any name, see `SummaryFields`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from bigbird.data.files import ending_of, is_gzip, written_whole
from bigbird.data.json_entries import Entry
from bigbird.data.json_files import read_entries
from bigbird.data.line_file import LineFile
from bigbird.data.parquet_rows import parquet_rows
from bigbird.data.summaries import SummarizedDocument
from bigbird.errors import ConfigError, DataError

ListOf = Literal["summaries", "sentences"]

_LINES, _JSON, _PARQUET = (".jsonl", ".ndjson"), ".json", ".parquet"
_CURE = "Name the fields so; or give a run their names, --set data.fields.document=NAME: its model is scored by them."
_SENTENCE_MARKS = re.compile(r"^\s*<S>\s*|\s*</S>\s*$")  # round each sentence of an abstract in arXiv's and PubMed's


@dataclass(frozen=True, kw_only=True)
class SummaryFields:
    """Under which names a file holds what; query and name may be absent, and other fields are passed over.

    document, summary  text, or a list of texts; those of a document are its sentences or paragraphs, set on lines
    query              what the summary answers
    name               text or a whole number; without it the file's name and the place in it
    list_of            what a list under `summary` holds: several people's "summaries", or the "sentences" of one, as in
                       Cohan et al.'s arXiv and PubMed (document="article_text", summary="abstract_text")
    """

    document: str = "document"
    summary: str = "summary"
    query: str = "query"
    name: str = "name"
    list_of: ListOf = "summaries"

    def __post_init__(self) -> None:
        if self.list_of not in get_args(ListOf):
            raise ConfigError(f"fields.list_of must be one of {', '.join(get_args(ListOf))}, got {self.list_of!r}")


OWN_FIELDS = SummaryFields()


def read_summaries(path: Path, fields: SummaryFields = OWN_FIELDS) -> Iterator[SummarizedDocument]:
    """All items of a file, in its order, few in memory at a time: .jsonl, .ndjson and .json, also .gz, and .parquet."""
    if ending_of(path) == _PARQUET:
        rows = parquet_rows(path, (fields.document, fields.summary), cure=_CURE, wanted=(fields.query, fields.name))
        entries: Iterator[Entry] = (Entry(row, f"{path}:{number}") for number, row in rows)
    elif ending_of(path) in (*_LINES, _JSON):
        entries = read_entries(path)
    else:
        raise DataError(
            f"{path}: documents with summaries are read from .jsonl, .ndjson, .json (also .gz) and .parquet"
        )
    is_empty = True
    for entry in entries:
        is_empty = False
        yield _item(entry, path, fields)
    if is_empty:
        raise DataError(f"{path} holds no rows")


def open_summaries(path: Path, fields: SummaryFields = OWN_FIELDS) -> Sequence[SummarizedDocument]:
    """All items of a file, everyone of them checked; those of a plain .jsonl are read when asked for.

    What cannot be read so, gzip and Parquet, has to be held in memory whole; items about one text share its memory.
    """
    texts: dict[str, str] = {}
    try:
        if ending_of(path) in _LINES and not is_gzip(path):
            for _ in read_summaries(path, fields):
                pass
            return LineFile(path, partial(_item, path=path, fields=fields))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    return [replace(one, document=texts.setdefault(one.document, one.document)) for one in read_summaries(path, fields)]


def write_summaries(path: Path, documents: Iterable[SummarizedDocument]) -> None:
    """Write JSON lines so that `read_summaries` gives them back; `draw` is no part of a file."""
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="\n") as file:
        for one in documents:
            query = {"query": one.query} if one.query else {}
            row = {"name": one.name, "document": one.document, **query, "summary": list(one.summaries)}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _item(entry: Entry, path: Path, fields: SummaryFields) -> SummarizedDocument:
    own = path.name + entry.where.removeprefix(str(path))
    summaries = tuple(_texts(entry, fields.summary))
    if fields.list_of == "sentences":
        summaries = ("\n".join(_SENTENCE_MARKS.sub("", sentence) for sentence in summaries),)
    if not summaries:
        raise DataError(f"document {own!r} has no summary; give it one, or leave it out")
    try:
        return SummarizedDocument(
            document="\n".join(_texts(entry, fields.document)),
            summaries=summaries,
            query=entry.text(fields.query, ""),
            name=entry.label(fields.name) if entry.has(fields.name) else own,
        )
    except DataError as error:
        raise error if entry.where in str(error) else DataError(f"{entry.where}: {error}") from None


def _texts(entry: Entry, name: str) -> Sequence[str]:
    if not entry.has(name):
        others = ", ".join(entry.values) or "nothing"
        fault = f"{name!r} is null" if name in entry.values else f"there is no {name!r}; it has {others}"
        raise DataError(f"{entry.where}: {fault}. Leave the line out, or n{_CURE[1:]}")
    value = entry.values[name]
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise entry.wrong(name, "text or a list of texts")
