"""Lines of a batch: each a JSON object that brings a document and what is wanted of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bigbird.data.files import open_binary
from bigbird.documents.document_files import read_document
from bigbird.documents.document_text import DocumentText, document_text
from bigbird.errors import DataError

_HALF = re.compile("[\ud800-\udfff]")


class LineFields(NamedTuple):
    """Under which names a line holds what.

    question        what is asked of the document
    needs_question  whether every line must ask something
    texts           the document's text, or a list of its parts, set on lines; all of them mean the same
    """

    question: str = "question"
    needs_question: bool = True
    texts: tuple[str, ...] = ("text",)


class BatchLine(NamedTuple):
    """One line of the input.

    name      as the line says, else "line 7"
    question  "" where the line is faulty, or asks nothing
    text      of the document; None where `file` names it
    file      a path, seen from the folder of the input
    error     what is wrong with the line; "" if nothing
    asked_as  the name of the question's field
    """

    name: str
    question: str = ""
    text: str | None = None
    file: str = ""
    error: str = ""
    asked_as: str = "question"

    @property
    def marks(self) -> Mapping[str, str]:
        """What a row of results repeats of its line, where it has these fields at all."""
        return {"name": self.name, self.asked_as: self.question}


def read_batch(path: Path, fields: LineFields = LineFields()) -> Iterator[BatchLine]:  # noqa: B008 - a constant
    """The lines of a batch, empty ones left out; a faulty one is told in its place and stops nothing.

    Other fields than these are left alone, a null question is none, and a name may be a whole number:

        {"name": "a", "question": "When does it end?", "text": "It ends in May."}
        {"name": "b", "question": "When does it end?", "file": "contracts/b.pdf"}

    Raises DataError when the file cannot be read.
    """
    with open_binary(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip(b" \t\r\n\xef\xbb\xbf"):
                whole = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                yield _batch_line(whole, f"line {number}", fields)


class LineDocuments:
    """The documents of a batch's lines.

    folder  that the lines' files are seen from
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: dict[str, DocumentText] = {}  # lines about one document mostly follow each other

    def of(self, line: BatchLine) -> DocumentText:
        """The line's own text, or that of its file; raises as `read_document` does."""
        if line.text is not None:
            return document_text(f"the text of {line.name}", line.text)
        if line.file not in self._last:
            self._last = {line.file: read_document(self._folder / line.file, source=line.file)}
        return self._last[line.file]


def _batch_line(line: bytes, number: str, fields: LineFields) -> BatchLine:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return BatchLine(number, error=f"{number}: byte {error.start + 1} is not UTF-8 text")
    except (ValueError, RecursionError) as error:
        return BatchLine(number, error=f"{number}: not valid JSON: {error}")
    if not isinstance(row, dict):
        form = ", ".join(f'"{name}"' for name in ("name", fields.question, fields.texts[0]))
        return BatchLine(number, error=f"{number}: not a JSON object such as {{{form}}}")
    name = row.get("name", number)
    if name is None:
        name = number
    if isinstance(name, bool) or not isinstance(name, str | int) or _HALF.search(str(name)):
        return BatchLine(number, error=f"{number}: its name is neither text nor a whole number")
    name = str(name)
    row = _plain(row, fields)
    try:
        _check_row(row, number, fields)
    except DataError as error:
        return BatchLine(name, error=str(error))
    text = next((row[field] for field in fields.texts if field in row), None)
    question = " ".join(row.get(fields.question, "").split())
    return BatchLine(name, question, text, row.get("file", ""), asked_as=fields.question)


def _plain(row: Mapping[str, Any], fields: LineFields) -> dict[str, Any]:
    """The row as a file of documents with summaries may also write it: without null questions and lists of texts."""
    values = {name: value for name, value in row.items() if name != fields.question or value is not None}
    for field in fields.texts:
        parts = values.get(field)
        if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
            values[field] = "\n".join(parts)
    return values


def _check_row(row: dict[str, Any], number: str, fields: LineFields) -> None:
    for field in (fields.question, *fields.texts, "file"):
        value = row.get(field, "")
        if not isinstance(value, str):
            raise DataError(f"{number}: its {field} is {str(value)[:40]!r}, which is no text")
        if _HALF.search(value):
            raise DataError(f"{number}: its {field} holds half a character (a lone surrogate such as \\ud800)")
    if fields.needs_question and not row.get(fields.question, "").strip():
        raise DataError(f"{number}: it has no {fields.question}")
    if sum(field in row for field in (*fields.texts, "file")) != 1:
        names = [f'"{field}"' for field in (*fields.texts, "file")]
        raise DataError(f"{number}: it needs {', '.join(names[:-1])} or {names[-1]}, one of them")
    if "file" in row and not row["file"]:
        raise DataError(f"{number}: its file has no name")
