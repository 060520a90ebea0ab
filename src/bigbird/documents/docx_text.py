"""The text of a Word document (.docx): a zip archive with the words in XML (ECMA-376, WordprocessingML)."""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from xml.parsers import expat

from bigbird.documents.document_text import DocumentText, document_text
from bigbird.errors import DataError

MAX_XML_BYTES = 256 * 2**20  # unpacked; 5,000 pages of text take 50 MiB
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"  # the container of .doc, and of a .docx behind a password
_MAIN_PART = "word/document.xml"
_NOTES = ("foot", "end")
_LETTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "\u2011"}
_UNSEEN = frozenset({"del", "moveFrom", "Fallback", "instrText"})  # struck out, moved away, said twice, field codes


def docx_text(path: Path, source: str) -> DocumentText:
    """Extract the words of a .docx with its tables, footnotes and endnotes; numbers of lists are not in the file.

    Pages are as Word last laid them out, where it wrote that down, else as page breaks were set.

    Raises DataError for a damaged or protected file, one that unpacks to far too much, and one without text.
    """
    with path.open("rb") as file:
        if file.read(4) == _OLD_OFFICE:
            raise DataError(f"{source} is protected by a password, or an old .doc. Save it as a .docx without one.")
    try:
        with zipfile.ZipFile(path) as archive:
            words = _Words()
            main = _main_part(archive, source)
            for name in (main, *(posixpath.join(posixpath.dirname(main), f"{kind}notes.xml") for kind in _NOTES)):
                if name in archive.namelist():
                    words.read(_unpacked(archive, name, source))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise DataError(f"{source} is no .docx, or a damaged one ({error}). Copy or save it again.") from None
    except expat.ExpatError as error:
        raise DataError(f"{source} is damaged: its XML ends or breaks at {error}. Copy or save it again.") from None
    return document_text(source, words.text(), page_starts=words.page_starts())


def _main_part(archive: zipfile.ZipFile, source: str) -> str:
    """Where the words are; nearly always word/document.xml, and otherwise as the archive's own list says."""
    names = set(archive.namelist())
    if _MAIN_PART in names:
        return _MAIN_PART
    found: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.endswith(" Relationship") and attributes.get("Type", "").endswith("/officeDocument"):
            found.append(attributes.get("Target", "").lstrip("/"))

    if "_rels/.rels" in names:
        _parse(_unpacked(archive, "_rels/.rels", source), start=start)
    if not found or found[0] not in names or not found[0].startswith("word/"):
        raise DataError(f"{source} is no Word document: it has no {_MAIN_PART}. Save it as .docx.")
    return found[0]


def _unpacked(archive: zipfile.ZipFile, name: str, source: str) -> bytes:
    """One part; what the archive says of its size is not believed."""
    with archive.open(name) as part:
        data = part.read(MAX_XML_BYTES + 1)
    if len(data) > MAX_XML_BYTES:
        raise DataError(
            f"{source} unpacks to more than {MAX_XML_BYTES // 2**20} MiB of XML, which no document needs. It is "
            f"damaged or made to do harm."
        )
    return data


class _Words:
    """Collects the words of the parts one after the other."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._unseen = self._text = 0
        self._laid_out: list[int] = []
        self._set: list[int] = []

    def read(self, xml: bytes) -> None:
        _parse(xml, start=self._start, end=self._end, data=self._data)

    def text(self) -> str:
        return "".join(self._parts)

    def page_starts(self) -> tuple[int, ...]:
        starts = self._laid_out or self._set
        return tuple(sorted({0, *starts})) if starts else ()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        kind, _, name = tag.rpartition(" ")
        if name in _UNSEEN:
            self._unseen += 1
        elif self._unseen:
            return
        elif name == "t":
            self._text += 1
        elif name == "lastRenderedPageBreak":
            self._laid_out.append(self._length)
        elif name == "br" and any(key.endswith("type") and value == "page" for key, value in attributes.items()):
            self._add("\n")
            self._set.append(self._length)
        elif name in _LETTERS and "wordprocessingml" in kind and not (name == "tab" and attributes):
            self._add(_LETTERS[name])  # a tab with attributes is a tab stop, a setting

    def _end(self, tag: str) -> None:
        name = tag.rpartition(" ")[2]
        if name in _UNSEEN:
            self._unseen -= 1
        elif name == "t" and self._text:
            self._text -= 1
        elif name == "p" and not self._unseen:
            self._add("\n")
        elif name == "tc" and not self._unseen:
            self._add("\t")

    def _data(self, data: str) -> None:
        if self._text and not self._unseen:
            self._add(data)

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)


_Start = Callable[[str, dict[str, str]], None]


def _parse(
    xml: bytes, *, start: _Start, end: Callable[[str], None] | None = None, data: Callable[[str], None] | None = None
) -> None:
    """Tell what stands in the XML; names are "namespace name"."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data

    def refuse(*_: object) -> None:  # with it go entities, which may swell without end
        raise expat.ExpatError("a document type, which no .docx has")

    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(xml, True)
