"""Documents in files: which there are, and their text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bigbird.documents.document_text import DocumentText, document_text
from bigbird.documents.docx_text import docx_text
from bigbird.documents.html_text import html_text
from bigbird.documents.pdf_text import pdf_text
from bigbird.documents.text_bytes import decoded
from bigbird.errors import DataError

_PLAIN = (".txt", ".text", ".md", ".markdown")
_HTML = (".html", ".htm", ".xhtml")
ENDINGS = (*_PLAIN, *_HTML, ".docx", ".pdf")
MAX_BYTES = 2**30  # of one file, 200 times the longest novel

_NO_ENDING = "A document ends in .txt, .md, .html, .docx or .pdf."


def read_document(path: Path, *, source: str = "") -> DocumentText:
    """Read one document; Markdown is read as it stands, with its marks.

    source  how to name it in errors and results; as `path` says if ""

    Raises DataError for a file that is missing, a folder, empty, of another kind, damaged, protected or without text;
    MissingDependency for a PDF without pypdf.
    """
    source = source or str(path)
    _check_file(path, source)
    try:
        return _document(path, source)
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror or error}") from error


def find_documents(folder: Path, *, leave_out: Path | None) -> tuple[list[Path], list[Path]]:
    """The files of a folder and its folders that are documents by their endings, and the others; both in order.

    leave_out  a folder whose files are neither, such as that of the results; hidden files are neither as well
    """
    files = sorted(_files(folder, None if leave_out is None else leave_out.resolve()))
    documents = [path for path in files if path.suffix.lower() in ENDINGS]
    return documents, [path for path in files if path.suffix.lower() not in ENDINGS]


def _files(folder: Path, leave_out: Path | None) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_raise):
        here = Path(parent)
        folders[:] = [name for name in folders if name[0] != "." and (here / name).resolve() != leave_out]
        yield from (here / name for name in names if name[0] not in ".~")  # "~$x.docx" is Word's mark of an open file


def _document(path: Path, source: str) -> DocumentText:
    ending = path.suffix.lower()
    if ending == ".pdf":
        return pdf_text(path, source)
    if ending == ".docx":
        return docx_text(path, source)
    data = path.read_bytes()
    return html_text(data, source) if ending in _HTML else _plain_text(data, source)


def _raise(error: OSError) -> None:
    raise error


def _check_file(path: Path, source: str) -> None:
    if path.is_dir():
        raise DataError(f"{source} is a folder, and a document is wanted. Name a file in it.")
    if not path.exists():
        raise DataError(f"there is no file {source}")
    ending = path.suffix.lower()
    if ending == ".doc":
        raise DataError(f"{source} is an old Word document. Save it as .docx.")
    if ending not in ENDINGS:
        raise DataError(f"{source} is no document by its ending {ending!r}. {_NO_ENDING}")
    size = path.stat().st_size
    if size == 0:
        raise DataError(f"{source} is empty: it has 0 bytes")
    if size > MAX_BYTES:
        raise DataError(f"{source} has {size:,} bytes; a document has at most {MAX_BYTES:,}. Cut it in parts.")


def _plain_text(data: bytes, source: str) -> DocumentText:
    """Text as it stands; form feeds, which programs that print write between pages, begin a page each."""
    text, remarks = decoded(data, source)
    breaks = [place + 1 for place, letter in enumerate(text) if letter == "\f"] if "\f" in text else []
    starts = (0, *(place for place in breaks if place < len(text))) if breaks else ()
    return document_text(source, text, page_starts=starts, remarks=remarks)
