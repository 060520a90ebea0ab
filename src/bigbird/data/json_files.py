"""JSON of any size, one entry at a time: a line of JSON lines, or an item of the one long list a JSON file holds."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bigbird.data.files import ending_of, open_binary, read_lines
from bigbird.data.json_entries import Entry
from bigbird.errors import DataError

_LINE_ENDINGS = (".jsonl", ".ndjson")
_BYTES_AT_ONCE = 1 << 20
_WHITE = " \t\r\n"
_AFTER_VALUE = frozenset(_WHITE + ",:]}")


def read_entries(path: Path, *, list_name: str = "") -> Iterator[Entry]:
    """The objects of a file, in its order, few in memory at a time; a damaged file is a `DataError` with the place.

        data.jsonl   {…}                    an object a line
        data.json    [{…}, {…}]             one list
        data.json    {"data": [{…}, {…}]}   the list that an object holds under `list_name`

    All may be gzip (.gz). A file without any object is an error.
    """
    is_empty = True
    for entry in _lines(path) if ending_of(path) in _LINE_ENDINGS else _items(path, list_name):
        is_empty = False
        yield entry
    if is_empty:
        raise DataError(f"{path} holds no entries")


def top_value(path: Path, name: str) -> object:
    """The value under a name of the object that a whole JSON file is; None without it, or of another kind of file."""
    if ending_of(path) in _LINE_ENDINGS:
        return None
    with open_binary(path) as file:
        text = _Text(file, path)
        for member in _members(text) if text.next() == "{" else ():
            value = text.value()
            if member == name:
                return value
    return None


def json_lines(path: Path, *, example: str = "") -> Iterator[tuple[int, dict[str, object]]]:
    """The number of each line, from 1, and the object it holds; empty lines are left out.

    example  of a line, for errors
    """
    for number, line in read_lines(path):
        if line.strip():
            yield number, _object(line, f"{path}:{number}", example)


def entry_of_line(line: bytes, where: str) -> Entry:
    """The object on one line of a file of JSON lines, which was found by other means."""
    try:
        return Entry(_object(line.decode("utf-8-sig"), where, ""), where)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: byte {error.start + 1} is not UTF-8 text") from None


def _lines(path: Path) -> Iterator[Entry]:
    for number, row in json_lines(path):
        yield Entry(row, f"{path}:{number}")


def _items(path: Path, list_name: str) -> Iterator[Entry]:
    with open_binary(path) as file:
        text = _Text(file, path)
        if text.next() == "{":
            if not list_name:
                raise DataError(f"{path} must hold a list of objects, [{{…}}, …], or end in .jsonl with one a line")
            _go_to(text, list_name)
        elif text.next() != "[":
            raise DataError(f"{path} is not JSON: it begins with {text.next()!r}")
        yield from _list(text, list_name or "entry")


def _object(line: str, where: str, example: str) -> dict[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError also of a number of thousands of digits
        raise DataError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        such = f" such as {example}" if example else ""
        raise DataError(f"{where}: each line must be a JSON object{such}, got {value!r:.60}")
    return value


def _members(text: _Text) -> Iterator[str]:
    """Names of an object; each time what comes next is the value, which the caller passes."""
    text.expect("{")
    while text.next() != "}":
        name = str(text.value())
        text.expect(":")
        yield name
        if text.next() == ",":
            text.expect(",")


def _go_to(text: _Text, list_name: str) -> None:
    """Pass an object's members up to the list of that name."""
    names = []
    for name in _members(text):
        if name == list_name:
            if text.next() != "[":
                raise DataError(f"{text.path}: {list_name!r} must hold a list, it begins with {text.next()!r}")
            return
        names.append(name)
        text.value()
    raise DataError(f"{text.path}: there is no list {list_name!r}; it has {', '.join(names) or 'nothing'}")


def _list(text: _Text, name: str) -> Iterator[Entry]:
    text.expect("[")
    number = 0
    while text.next() != "]":
        number += 1
        where = f"{text.path}, {name} {number}"
        value = text.value(where)
        if not isinstance(value, dict):
            raise DataError(f"{where} must be an object, got {value!r:.60}")
        yield Entry(value, where)
        if text.next() != "]":
            text.expect(",", where)
    text.expect("]")


class _Text:
    """Text of a file read bit by bit; what is passed is forgotten."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.path = path
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text = ""
        self._place = 0  # of what comes next in _text
        self._is_over = False

    def next(self) -> str:
        """The next character that is not white; that a file is over in the middle is an error."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in _WHITE:
                    return self._text[self._place]
                self._place += 1
            if self._is_over:
                raise DataError(f"{self.path} ends in the middle of its JSON. Copy or download it again.")
            self._more()

    def expect(self, character: str, where: str = "") -> None:
        """Pass a character that must come next."""
        if self.next() != character:
            after = f", after {where.rpartition(', ')[2]}" if where else ""
            raise DataError(f"{self.path} is not valid JSON{after}: {character!r} must follow, not {self.next()!r}")
        self._place += 1

    def value(self, where: str = "") -> object:
        """Pass a whole value of any kind."""
        self.next()  # there is one
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._place)
            except (ValueError, RecursionError) as error:
                if self._is_over or isinstance(error, RecursionError):
                    raise DataError(
                        f"{where or self.path}: damaged or cut off: {error}. Copy or download it again."
                    ) from None
            else:
                if self._is_over or self._text[end : end + 1] in _AFTER_VALUE:  # else a number might go on: 1 of 1.5
                    self._place = end
                    return value
            self._more()

    def _more(self) -> None:
        """Read as much again as is kept: a long value is tried a few times, not once a megabyte."""
        kept = self._text[self._place :]
        try:
            data = self._file.read(max(_BYTES_AT_ONCE, len(kept)))
            self._text = kept + self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path} is not UTF-8 text: {error.reason}") from None
        self._place = 0
        self._is_over = not data
