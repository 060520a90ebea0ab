"""Bytes to text: which encoding they are in, and whether they are text at all."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from bigbird.errors import DataError

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OTHERS = (  # what a file holds whatever its name says
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a zip archive (.docx is one)"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x1f\x8b", "gzip data"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b")) + b"\x7f"  # 1a ends files of DOS, 1b begins colours
_MOST_CONTROLS = 0.002  # of all bytes; text has next to none, random bytes have a tenth
_MIN_ZEROS = 0.25  # of all bytes, where UTF-16 without a mark holds Latin letters: half of them are zero


class Decoded(NamedTuple):
    """A text, and what was guessed of it, in words."""

    text: str
    remarks: tuple[str, ...] = ()


def decoded(data: bytes, source: str, *, declared: str = "") -> Decoded:
    """The text of `data`, line ends as they are, a byte-order mark taken off.

    The encoding is what a mark says, else UTF-8, else what the document itself has `declared`, else UTF-16 by its zero
    bytes, else Windows-1252, which holds Latin-1's letters; a guess is told.

    Raises DataError for bytes that are no text.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return Decoded(_strictly(data.removeprefix(mark), encoding, source))
    _check_is_text(data, source)
    if b"\0" in data:
        return _utf16_by_its_zeros(data, source)
    if len(data) - len(data.translate(None, _CONTROLS)) > max(2, _MOST_CONTROLS * len(data)):
        raise _no_text(source)
    try:
        return Decoded(data.decode("utf-8"))
    except UnicodeDecodeError:
        return _of_a_byte_each(data, source, declared)


def _strictly(data: bytes, encoding: str, source: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.removesuffix("-le").removesuffix("-be").upper()
        raise DataError(
            f"{source} begins with the mark of {name} and is damaged at byte {error.start + 1:,}. Save it as UTF-8."
        ) from None


def _check_is_text(data: bytes, source: str) -> None:
    for magic, what in _OTHERS:
        if data.startswith(magic):
            raise DataError(f"{source} is {what} by its contents, not text. Give the file the ending it should have.")


def _no_text(source: str) -> DataError:
    return DataError(f"{source} is a binary file, not text. Give a .txt, .md, .html, .docx or .pdf.")


def _utf16_by_its_zeros(data: bytes, source: str) -> Decoded:
    for encoding, zeros, others in (("utf-16-le", data[1::2], data[::2]), ("utf-16-be", data[::2], data[1::2])):
        if zeros.count(0) >= _MIN_ZEROS * len(data) and not others.count(0):
            remark = f"{source} has no byte-order mark; it was read as {encoding.upper()}"
            try:
                return Decoded(data.decode(encoding), (remark,))
            except UnicodeDecodeError:
                break
    raise _no_text(source)


def _of_a_byte_each(data: bytes, source: str, declared: str) -> Decoded:
    if declared:
        try:
            return Decoded(data.decode(declared))
        except (LookupError, UnicodeDecodeError, ValueError):
            declared = re.sub(r"[^\w.-]", "?", declared)
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source} is text in an encoding that cannot be told: byte {error.start + 1:,} is neither UTF-8 nor "
            f"Windows-1252. Save it as UTF-8."
        ) from None
    said = f"not UTF-8, nor {declared} as it says" if declared else "not UTF-8"
    return Decoded(text, (f"{source} is {said}; it was read as Windows-1252 (Western European)",))
