"""The text of a document, and the page of each of its places."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from bigbird.errors import DataError

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # half a character of UTF-16 cannot be written, NUL stands for no letter
_SEEN = re.compile(r"[^\s\0\ufeff\u200b]")  # a letter that ink is needed for


@dataclass(frozen=True, kw_only=True)
class DocumentText:
    r"""What was read out of one document.

        text "Term.\nIt ends in May."   page_starts (0, 6)   page(9) is 2

    source       the file, as the caller named it
    text         all of it; places are counted in its characters, from 0
    page_starts  the place where each page begins; () where the format knows no pages
    remarks      what was guessed or left out, in words
    """

    source: str
    text: str
    page_starts: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()

    def page(self, place: int) -> int | None:
        """The page of a place, counted from 1; None where the format knows no pages."""
        return max(1, bisect_right(self.page_starts, place)) if self.page_starts else None


def document_text(
    source: str, text: str, *, page_starts: tuple[int, ...] = (), remarks: tuple[str, ...] = ()
) -> DocumentText:
    """Take what an extractor found; characters that nothing can write become U+FFFD, one for one.

    Raises DataError for a text of nothing but blanks.
    """
    if not _SEEN.search(text):
        raise DataError(f"{source} holds no text, only blanks. Give a document with words in it.")
    written = _UNWRITABLE.sub("\ufffd", text)
    if written != text:
        remarks = (*remarks, f"{source}: characters that are none were read as \ufffd")
    return DocumentText(source=source, text=written, page_starts=page_starts, remarks=remarks)
