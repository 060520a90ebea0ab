"""The same questions put to every document of a folder; what is done stays done, one bad document loses no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from bigbird.data.files import json_text, written_whole
from bigbird.data.folder_lock import folder_lock
from bigbird.documents.document_files import read_document
from bigbird.documents.document_text import DocumentText
from bigbird.errors import DataError, InputError, MissingDependency
from bigbird.reading.asking import Answered, AskConfig, AskedQuestion, AsksText, as_json, put_questions
from bigbird.reading.review_index import IndexRow, cells_of, index_page
from bigbird.reading.review_page import document_page

INDEX_FILE = "index.html"
_MAX_NAME_BYTES = 200  # of a document's file name; most disks take 255, and endings are added

Report = Callable[[str, int], None]


@dataclass(frozen=True, kw_only=True)
class Review:
    """What is asked of every document, and of whom.

    model  as the caller named it; told in every file
    """

    questions: tuple[AskedQuestion, ...]
    config: AskConfig
    model: str


def review_documents(
    reader: AsksText,
    documents: Sequence[Path],
    out: Path,
    review: Review,
    *,
    root: Path,
    report: Report = lambda _name, _num_questions: None,
) -> list[IndexRow]:
    """Write a JSON file and a page for each document into `out`, and index.html over all; the rows of the index.

    A document whose files stand there, made of the same contents by the same questions, model and settings, is left as
    it is. One that cannot be read is a row with its error, and is tried again the next time.

    root    folder that documents are named from; their files lie in `out` as they lie in it
    report  is told of (document, 0) as it is begun and of (document, questions) as they are answered, or were before
    """
    with folder_lock(out):
        rows = [_reviewed(reader, path, out, review, root=root, report=report) for path in documents]
        with written_whole(out / INDEX_FILE) as temporary:
            temporary.write_text(index_page(rows, review.questions, model=review.model), encoding="utf-8")
    return rows


def _reviewed(reader: AsksText, path: Path, out: Path, review: Review, *, root: Path, report: Report) -> IndexRow:
    below = path.relative_to(root)
    name = below.as_posix().encode(errors="replace").decode()
    page = below.with_name(_short(below.name) + ".html")
    record_file = out / page.with_suffix(".json")
    report(name, 0)
    try:
        about = _about(path, name, review)
        record = _kept(record_file, about, review) if (out / page).is_file() else None
        if record is not None:
            report(name, len(review.questions))
        else:
            document = read_document(path, source=name)
            answered = []
            for one in put_questions(reader, document, review.questions, review.config):
                answered.append(one)
                report(name, 1)
            record = _record(about, document, answered)
            up = "../" * (len(page.parts) - 1) + INDEX_FILE
            _write(out / page, document_page(document, answered, model=review.model, up=up))
            _write(record_file, json_text(record))  # last: it says that the document is done
    except (InputError, MissingDependency) as error:
        said = str(error)
        return IndexRow(name, error=said if name in said else f"{name}: {said}")
    return IndexRow(name, page.as_posix(), cells_of(record))


def _short(name: str) -> str:
    """The name, or its beginning and a fingerprint where no disk would take it with an ending."""
    if len(name.encode(errors="surrogateescape")) <= _MAX_NAME_BYTES:
        return name
    return f"{name[:40]}-{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:16]}"


def _about(path: Path, name: str, review: Review) -> dict[str, Any]:
    """What a document's answers follow from."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or error}") from error
    return {
        "bigbird_version": metadata.version("bigbird"),
        "model": review.model,
        "settings": asdict(review.config),
        "document": name,
        "sha256": digest,
    }


def _record(about: dict[str, Any], document: DocumentText, answered: Sequence[Answered]) -> dict[str, Any]:
    """The JSON of a document; places are counted in the characters of its "text"."""
    return about | {
        "remarks": list(document.remarks),
        "num_pages": len(document.page_starts) or None,
        "questions": [as_json(one, document) for one in answered],
        "text": document.text,
    }


def _kept(file: Path, about: dict[str, Any], review: Review) -> dict[str, Any] | None:
    """What an earlier run wrote, if it answers the same."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(record, dict) or any(record.get(name) != value for name, value in about.items()):
        return None
    asked = [AskedQuestion(one["name"], one["question"]) for one in record["questions"]]
    return record if asked == list(review.questions) else None


def _write(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
