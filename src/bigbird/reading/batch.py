"""Many questions to many texts: JSON lines in, a line of answers for each out, in the same order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bigbird.data.files import open_binary
from bigbird.errors import DataError, InputError
from bigbird.reading.asking import AskConfig, AskedQuestion, AsksText, as_json, put_questions
from bigbird.reading.document_files import read_document
from bigbird.reading.document_text import DocumentText, document_text

_HALF = re.compile("[\ud800-\udfff]")


class BatchLine(NamedTuple):
    """One line of the input.

    name      as the line says, else "line 7"
    question  "" where the line is faulty
    text      of the document; None where `file` names it
    file      a path, seen from the folder of the input
    error     what is wrong with the line; "" if nothing
    """

    name: str
    question: str = ""
    text: str | None = None
    file: str = ""
    error: str = ""


def read_batch(path: Path) -> Iterator[BatchLine]:
    """The lines of a batch, empty ones left out; a faulty one is told in its place and stops nothing.

    Other fields than these are left alone:

        {"name": "a", "question": "When does it end?", "text": "It ends in May."}
        {"name": "b", "question": "When does it end?", "file": "contracts/b.pdf"}

    Raises DataError when the file cannot be read.
    """
    with open_binary(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip(b" \t\r\n\xef\xbb\xbf"):
                yield _batch_line(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, f"line {number}")


def answer_batch(reader: AsksText, lines: Iterable[BatchLine], folder: Path, config: AskConfig) -> Iterator[Any]:
    """A JSON object for each line: {"name", "question", "is_found", "no_answer", "answers"} or {"name", "error"}.

    folder  that the lines' files are seen from

    Raises MissingDependency, which concerns more than one line; other faults are told in their line.
    """
    known: dict[str, DocumentText] = {}  # the last file: questions to one document mostly follow each other
    for line in lines:
        if line.error:
            yield {"name": line.name, "error": line.error}
            continue
        try:
            if line.text is not None:
                document = document_text(f"the text of {line.name}", line.text)
            elif line.file in known:
                document = known[line.file]
            else:
                document = read_document(folder / line.file, source=line.file)
                known = {line.file: document}
            yield _answers(reader, line, document, config)
        except (InputError, OSError) as error:
            yield {"name": line.name, "question": line.question, "error": str(error)}


def _answers(reader: AsksText, line: BatchLine, document: DocumentText, config: AskConfig) -> dict[str, Any]:
    (answered,) = put_questions(reader, document, [AskedQuestion(line.name, line.question)], config)
    remarks = {"remarks": list(document.remarks)} if document.remarks else {}
    return as_json(answered, document) | remarks


def _batch_line(line: bytes, number: str) -> BatchLine:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return BatchLine(number, error=f"{number}: byte {error.start + 1} is not UTF-8 text")
    except (ValueError, RecursionError) as error:
        return BatchLine(number, error=f"{number}: not valid JSON: {error}")
    if not isinstance(row, dict):
        return BatchLine(number, error=f'{number}: not a JSON object such as {{"name", "question", "text"}}')
    name = row.get("name", number)
    if not isinstance(name, str) or _HALF.search(name):
        return BatchLine(number, error=f"{number}: its name is not text")
    try:
        _check_row(row, number)
    except DataError as error:
        return BatchLine(name, error=str(error))
    return BatchLine(name, " ".join(row["question"].split()), row.get("text"), row.get("file", ""))


def _check_row(row: dict[str, Any], number: str) -> None:
    for field in ("question", "text", "file"):
        value = row.get(field, "")
        if not isinstance(value, str):
            raise DataError(f"{number}: its {field} is {str(value)[:40]!r}, which is no text")
        if _HALF.search(value):
            raise DataError(f"{number}: its {field} holds half a character (a lone surrogate such as \\ud800)")
    if not row.get("question", "").strip():
        raise DataError(f"{number}: it has no question")
    if ("text" in row) == ("file" in row):
        raise DataError(f'{number}: it needs "text" or "file", one of them')
    if "file" in row and not row["file"]:
        raise DataError(f"{number}: its file has no name")
