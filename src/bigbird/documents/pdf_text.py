"""The text of a PDF, page by page, as pypdf reads it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from bigbird.documents.document_text import DocumentText, document_text
from bigbird.errors import DataError, MissingDependency, require

_BETWEEN_PAGES = "\n"


def pdf_text(path: Path, source: str) -> DocumentText:
    """Extract the text of a PDF; pages without text, and pages that cannot be read, are told in its remarks.

    A PDF that only forbids copying or printing, and opens without a password, is read.

    Raises DataError for a damaged file, one behind a password, and one that is all pictures, such as a scan;
    MissingDependency without pypdf.
    """
    pypdf = require("pypdf", extra="documents", purpose=f"reading {source}")
    with _quiet():
        reader = _opened(pypdf, path, source)
        pages, faults = _pages(reader)
    if len(faults) == len(pages):
        reason = f": {faults[1]}" if pages else ""
        raise DataError(f"{source} is a damaged PDF, no page of it can be read{reason}. Copy or save it again.")
    silent = [number for number, page in enumerate(pages, 1) if not page.strip() and number not in faults]
    if len(silent) + len(faults) == len(pages):
        raise DataError(
            f"{source} holds no text: its pages are pictures, such as a scan. Let a program for text recognition (OCR) "
            f"write a PDF with text."
        )
    remarks = [f"{source}: {_numbers(list(faults))} could not be read"] if faults else []
    remarks += [f"{source}: {_numbers(silent)} held no text"] if silent else []
    starts = accumulate((len(page) + len(_BETWEEN_PAGES) for page in pages[:-1]), initial=0)
    return document_text(source, _BETWEEN_PAGES.join(pages), page_starts=tuple(starts), remarks=tuple(remarks))


@contextmanager
def _quiet() -> Iterator[None]:
    """What pypdf mends on its way is no news to a reader; what it cannot mend is told as an error."""
    logger = logging.getLogger("pypdf")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _opened(pypdf: Any, path: Path, source: str) -> Any:
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DataError(f"{source} is protected by a password. Save a copy without one.")
        len(reader.pages)
    except (DataError, OSError):
        raise
    except pypdf.errors.DependencyError as error:  # its cipher needs another package
        raise MissingDependency(
            f"reading {source}, which is encrypted, needs cryptography, which is not installed. Run: pip install "
            f"'bigbird[documents]'"
        ) from error
    except Exception as error:  # noqa: BLE001 - of a hostile file pypdf raises whatever Python does
        raise DataError(f"{source} is no PDF, or a damaged one ({_words(error)}). Copy or save it again.") from None
    return reader


def _pages(reader: Any) -> tuple[list[str], dict[int, str]]:
    """The text of each page, and what is wrong with which."""
    pages, faults = [], {}
    for number in range(1, len(reader.pages) + 1):
        try:
            pages.append(reader.pages[number - 1].extract_text())
        except Exception as error:  # noqa: BLE001 - one bad page is not to lose the others
            pages.append("")
            faults[number] = _words(error)
    return pages, faults


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _numbers(pages: Sequence[int]) -> str:
    some = ", ".join(map(str, pages[:10])) + (f" and {len(pages) - 10} more" if len(pages) > 10 else "")
    return f"page {some}" if len(pages) == 1 else f"pages {some}"
