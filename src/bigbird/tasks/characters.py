"""Places in a text that do not cut what a reader sees as one character, and hold no blanks at their ends.

text     e ´ 👩 ✋ 🏽 _ _ a         ´ stands for a mark on e, 🏽 for the skin of ✋, _ for blanks
place    0 1 2 3 4 5 6 7
[1, 7)   becomes [0, 5)
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
_Codes = NDArray[np.uint32]

_JOINERS = (0x200C, 0x200D)  # zero width
_SKINS = (0x1F3FB, 0x1F3FF)
_TAGS = (0xE0020, 0xE007F)  # spell the flags of regions
_FLAGS = (0x1F1E6, 0x1F1FF)  # two letters make a flag
_JAMO = ((0x1160, 0x11FF), (0xD7B0, 0xD7FF))  # vowels and final consonants
_HANGUL = ((0x1100, 0x11FF), (0xA960, 0xA97F), (0xAC00, 0xD7FF))


def trimmed(text: str, starts: Places, ends: Places) -> tuple[Places, Places]:
    """Places [start, end) of a text widened to whole characters, then without the blanks around them.

    starts, ends  int64 [places]; a place of blanks alone comes back empty, its start not below its end

    Characters are Unicode's grapheme clusters but for rare scripts: marks, joiners, skins, flags and Hangul are known.
    """
    letters = _Letters.of(text)
    codes, inside = letters.codes, _is_inside(letters)
    place = np.arange(len(codes) + 1)
    before = np.maximum.accumulate(np.where(inside, 0, place))
    behind = np.minimum.accumulate(np.where(inside, len(codes), place)[::-1])[::-1]
    is_seen = ~letters.each(str.isspace) | inside[1:]  # a blank that bears a mark is none
    first_seen = np.append(np.where(is_seen, place[:-1], len(codes)), len(codes))
    first_seen = np.minimum.accumulate(first_seen[::-1])[::-1]
    last_seen = np.maximum.accumulate(np.append(0, np.where(is_seen, place[1:], 0)))
    return first_seen[before[starts]], last_seen[behind[ends]]


def covering(starts: Places, ends: Places, start: int, end: int) -> tuple[int, int]:
    """Numbers of the first and the last of some tokens that have a part of characters [start, end); none: first > last.

    starts, ends  int64 [tokens], the characters of each
    """
    first, last = covering_all(starts, ends, np.array([start]), np.array([end]))
    return int(first[0]), int(last[0])


def covering_all(starts: Places, ends: Places, begins: Places, behinds: Places) -> tuple[Places, Places]:
    """`covering` of many places, characters [begins, behinds): int64 [places] each."""
    first = np.searchsorted(np.maximum.accumulate(ends), begins, side="right")
    return first, np.searchsorted(np.maximum.accumulate(starts), behinds, side="left") - 1


class _Letters(NamedTuple):
    """The code points of a text, those that occur, and for each place which of these it is."""

    codes: _Codes
    different: _Codes
    which: NDArray[np.int64]

    @classmethod
    def of(cls, text: str) -> _Letters:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        different, which = np.unique(codes, return_inverse=True)
        return cls(codes, different, which)

    def each(self, test: Callable[[str], bool]) -> NDArray[np.bool_]:
        """`test` of each code point, asked once for each that occurs."""
        answers: NDArray[np.bool_] = np.array([test(chr(code)) for code in self.different], bool)[self.which]
        return answers


def _is_inside(letters: _Letters) -> NDArray[np.bool_]:
    """Whether a cut before each code point, or behind the last, would lie inside a character: bool [codes + 1]."""
    codes = letters.codes
    inside = np.zeros(len(codes) + 1, bool)
    if not len(codes) or codes.max() < 0x300:
        return inside
    continues = letters.each(lambda letter: unicodedata.category(letter)[0] == "M")
    continues |= np.isin(codes, _JOINERS) | _between(codes, _SKINS) | _between(codes, _TAGS)
    before, here = codes[:-1], codes[1:]
    is_picture = letters.each(lambda letter: unicodedata.category(letter) == "So")
    inside[1:-1] = continues[1:] | ((before == _JOINERS[1]) & is_picture[1:])
    inside[1:-1] |= _among(here, _JAMO) & _among(before, _HANGUL)
    inside[1:-1] |= _is_second_of_flag(codes)[1:]
    return inside


def _is_second_of_flag(codes: _Codes) -> NDArray[np.bool_]:
    """Every second letter of a run of them."""
    is_letter = _between(codes, _FLAGS)
    place = np.arange(len(codes))
    run_start = np.maximum.accumulate(np.where(is_letter, -1, place))  # the last code before that is no such letter
    is_second: NDArray[np.bool_] = is_letter & ((place - run_start) % 2 == 0)
    return is_second


def _between(codes: _Codes, limits: tuple[int, int]) -> NDArray[np.bool_]:
    return (codes >= limits[0]) & (codes <= limits[1])


def _among(codes: _Codes, ranges: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.logical_or.reduce([_between(codes, limits) for limits in ranges])
    return found
