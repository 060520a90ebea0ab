"""Documents of text files, JSON lines, Parquet and FASTA, one after the other; every fault names its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bigbird.data.corpus_files import CorpusFile
from bigbird.data.files import read_lines
from bigbird.data.genome_documents import GenomeWalk, genome_documents
from bigbird.data.json_files import json_lines
from bigbird.data.parquet_rows import parquet_rows
from bigbird.errors import DataError


class Document(NamedTuple):
    """A text or a stretch of DNA.

    name      from its file, or made of the file's name and the place in it
    where     the file and line, for errors
    contig    that a stretch of DNA lies on; "" of what is no genome
    held_out  True where its place decides that it is not trained on
    """

    name: str
    text: str
    where: str
    contig: str = ""
    held_out: bool = False


_CURE = "Name the field with --text-field or --name-field, in a run with --set data.text_field=NAME."
_SURROGATE = re.compile("[\ud800-\udfff]")  # in names of files and in JSON: half a character, which nothing can write


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How documents are taken out of files.

    text_field  of JSON lines and Parquet; "chapters.text" is a field in a field, and lists on the way are joined
    name_field  likewise; without it a document is named after its file and line
    walk        of FASTA
    """

    text_field: str = "text"
    name_field: str = ""
    walk: GenomeWalk = field(default_factory=GenomeWalk)


def read_documents(file: CorpusFile, reading: Reading) -> Iterator[Document]:
    """The documents of one file, in its order; one without text is among them."""
    for document in _documents_of(file, reading):
        yield document._replace(name=_SURROGATE.sub("\ufffd", document.name))


def _documents_of(file: CorpusFile, reading: Reading) -> Iterator[Document]:
    if file.format == "text":
        yield Document(file.name, "\n".join(line for _, line in read_lines(file.path)), str(file.path))
    elif file.format == "fasta":
        for piece in genome_documents(file.path, reading.walk):
            yield Document(piece.name, piece.sequence, f"{file.path} {piece.name}", piece.contig, piece.held_out)
    else:
        rows = (
            json_lines(file.path, example='{"text": …}')
            if file.format == "jsonl"
            else _parquet_rows(file.path, reading)
        )
        for number, row in rows:
            where = f"{file.path}:{number}"
            name = _field(row, reading.name_field, where) if reading.name_field else f"{file.name}:{number}"
            yield Document(name, _field(row, reading.text_field, where), where)


def _parquet_rows(path: Path, reading: Reading) -> Iterator[tuple[int, Mapping[str, object]]]:
    needed = {name.partition(".")[0] for name in (reading.text_field, reading.name_field) if name}
    return parquet_rows(path, needed, cure=_CURE)


def _field(row: Mapping[str, object], name: str, where: str) -> str:
    """The text under a dotted name; the parts of lists with an empty line between them."""
    parts = list(_parts(row, name.split("."), name, where))
    return "\n\n".join(parts)


def _parts(value: object, path: list[str], name: str, where: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _parts(item, path, name, where)
    elif path:
        if not isinstance(value, Mapping) or path[0] not in value:
            has = f"it has {', '.join(map(str, value))}" if isinstance(value, Mapping) else f"{value!r:.40}"
            raise DataError(f"{where}: there is no field {name!r} ({has}). {_CURE}")
        yield from _parts(value[path[0]], path[1:], name, where)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
    elif value is not None:
        raise DataError(f"{where}: field {name!r} must hold text, got {value!r:.60}")
