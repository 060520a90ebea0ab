"""Sentencepiece's compiled table of character replacements (NFKC and the like), applied with places kept.

`tokenizers` reads the same table, but looks up whole graphemes and takes the shortest entry: ids then differ from
sentencepiece's wherever accents, Hangul letters or ligatures combine. Sentencepiece takes the longest entry at each
place, and so does this file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import CheckpointError

_MAX_KEY_BYTES = 64
_MAX_TEXT_BYTES = 256  # the longest of NFKC, of U+FDFA, has 33: a damaged one must not blow a text up
_MAX_NODES = 16_000  # of one depth: the table of NFKC has 3,841 among its first characters
_NUM_CODES = 0x110000
_LABEL = 0x800000FF  # of a unit: a byte, or more where the unit is a value
_SURROGATE = re.compile("[\ud800-\udfff]")


class Mapped(NamedTuple):
    """Characters after replacement, and the characters of the source each stands for.

    codes          uint32 [length], code points
    starts, ends   int64 [length], places in the source, end exclusive

        "ﬁt"  ->  f i t      starts 0 0 1, ends 1 1 2
    """

    codes: NDArray[np.uint32]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class CharacterMap:
    """Replaces characters; a lone surrogate becomes U+FFFD, as bad UTF-8 does in sentencepiece.

    one_to_one    what each code point becomes where nothing longer begins with it
    may_grow      [3, codes]: whether more than that may happen where the next character is of any kind or missing
                  (row 0), is ASCII (1), is not ASCII (2)
    longest       (text, place) -> (end, replacement) of the longest key there, or None
    """

    def __init__(
        self,
        one_to_one: NDArray[np.uint32] | None = None,
        may_grow: NDArray[np.bool_] | None = None,
        longest: Callable[[str, int], tuple[int, str] | None] | None = None,
    ) -> None:
        self._one_to_one = np.arange(_NUM_CODES, dtype=np.uint32) if one_to_one is None else one_to_one
        self._may_grow = may_grow
        self._longest = longest

    def apply(self, text: str) -> Mapped:
        """Map `text`."""
        text = _SURROGATE.sub("\ufffd", text)
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        starts = np.arange(len(codes))
        mapped = Mapped(self._one_to_one[codes], starts, starts + 1)
        edits = self._edits(text, codes)
        return _edited(mapped, edits) if edits else mapped

    def _edits(self, text: str, codes: NDArray[np.uint32]) -> list[tuple[int, int, str]]:
        """(start, end, replacement) wherever the number of characters may change."""
        if self._may_grow is None or self._longest is None:
            return []
        always, before_ascii, before_other = self._may_grow
        candidates = always[codes]
        candidates[:-1] |= np.where(codes[1:] < 128, before_ascii[codes[:-1]], before_other[codes[:-1]])
        edits, done = [], 0
        for place in np.flatnonzero(candidates).tolist():
            found = self._longest(text, place) if place >= done else None
            if found:
                done = found[0]
                edits.append((place, *found))
        return edits


def _edited(mapped: Mapped, edits: list[tuple[int, int, str]]) -> Mapped:
    """Take out the characters of the edits and put the replacements in their places."""
    begins, stops = np.array([edit[0] for edit in edits]), np.array([edit[1] for edit in edits])
    change = np.zeros(len(mapped.codes) + 1, np.int64)
    change[begins] += 1
    np.subtract.at(change, stops, 1)
    kept = change[:-1].cumsum() == 0
    counts = np.array([len(edit[2]) for edit in edits])
    inserted = np.frombuffer("".join(edit[2] for edit in edits).encode("utf-32-le"), np.uint32)
    starts = np.concatenate((mapped.starts[kept], begins.repeat(counts)))
    order = starts.argsort(kind="stable")
    return Mapped(
        np.concatenate((mapped.codes[kept], inserted))[order],
        starts[order],
        np.concatenate((mapped.ends[kept], stops.repeat(counts)))[order],
    )


def compiled_map(data: bytes, *, source: str) -> CharacterMap:
    """The map of a compiled table; see `_Table`."""
    if not data:
        return CharacterMap()
    try:
        return _Table(data, source).character_map()
    except (ValueError, IndexError):  # no UTF-8, places outside the table, too much of anything
        raise _damaged(source) from None


def _damaged(source: str) -> CheckpointError:
    return CheckpointError(
        f"{source}: its table of character replacements is damaged. Copy the file that was published with the "
        f"checkpoint."
    )


class _Table:
    """A double-array trie of UTF-8 keys (darts-clone's layout), then the texts they become.

    data  uint32 size of the trie in bytes; its units; texts, each closed by a zero byte

    NFKC's 220,000 keys share their ends, so they are looked up here and never listed; only first characters are.
    """

    def __init__(self, data: bytes, source: str) -> None:
        self._source = source
        size = int.from_bytes(data[:4], "little")
        if size % 4 or not 4 <= size <= len(data) - 4:
            raise ValueError
        self._units = np.frombuffer(data, np.uint32, size // 4, 4).astype(np.int64)
        self._list: list[int] = self._units.tolist()
        self._texts = data[4 + size :]

    def character_map(self) -> CharacterMap:
        one_to_one, may_grow = np.arange(_NUM_CODES, dtype=np.uint32), np.zeros((3, _NUM_CODES), bool)
        for character, place, is_key in self._first_characters():
            code = ord(character)
            if is_key:
                text = self._text(place)
                one_to_one[code] = ord(text) if len(text) == 1 else code
                may_grow[0, code] = len(text) != 1
            may_grow[1:, code] = self._followers(place)
        return CharacterMap(one_to_one, may_grow, self.longest)

    def longest(self, text: str, place: int) -> tuple[int, str] | None:
        """End and replacement of the longest key that begins at `place`."""
        units, node, found = self._list, _offset(self._list[0]), None
        for end in range(place, min(place + _MAX_KEY_BYTES, len(text))):
            for byte in text[end].encode():
                child = node ^ byte
                if child >= len(units) or units[child] & _LABEL != byte:
                    return found
                node = child ^ _offset(units[child])
            if units[child] & 256:
                found = (end + 1, self._text(node))
        return found

    def _followers(self, place: int) -> tuple[bool, bool]:
        """Whether keys go on with an ASCII character, and with another, after the node whose children lie there."""
        labels = np.arange(1, 256)
        children = place ^ labels
        labels = labels[children < len(self._units)]
        hits = labels[self._units[place ^ labels] & _LABEL == labels]
        return bool((hits < 128).any()), bool((hits >= 128).any())

    def _text(self, leaf: int) -> str:
        """The text of a key; those of longer keys are looked at when a text first holds them."""
        try:
            place = self._list[leaf] & 0x7FFFFFFF
            return self._texts[place : self._texts.index(b"\0", place, place + _MAX_TEXT_BYTES)].decode()
        except (ValueError, IndexError):
            raise _damaged(self._source) from None

    def _first_characters(self) -> list[tuple[str, int, bool]]:
        """(character, place of its children, whether it is a key) for every character that begins a key."""
        labels, units = np.arange(1, 256), self._units
        found, keys, places = [], [b""], np.array([_offset(self._list[0])])
        for _ in range(4):
            children = places[:, None] ^ labels
            hits = (children < len(units)) & ((units[np.minimum(children, len(units) - 1)] & _LABEL) == labels)
            nodes = children[hits]
            if len(nodes) > _MAX_NODES:
                raise ValueError
            rows, columns = hits.nonzero()
            keys = [
                keys[row] + bytes((column + 1,)) for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            ]
            places = nodes ^ (units[nodes] >> 10 << ((units[nodes] & 512) >> 6))
            whole = np.array([_num_bytes(key[0]) == len(key) for key in keys], bool)
            found += [
                (keys[index].decode(), int(places[index]), bool(units[nodes[index]] & 256))
                for index in np.flatnonzero(whole).tolist()
            ]
            keys = [key for key, is_whole in zip(keys, whole, strict=True) if not is_whole]
            places = places[~whole]
        if keys:
            raise ValueError
        return found


def _num_bytes(first: int) -> int:
    """Bytes of a UTF-8 character that begins so."""
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _offset(unit: int) -> int:
    return unit >> 10 << ((unit & 512) >> 6)
