"""The sentences of prose and of contracts, as spans that leave nothing out."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

MAX_LETTERS = 2000  # of one sentence; what is longer, a table without a full stop, is cut between words

_BLANKS = re.compile(r"\s+")
_CJK_END = re.compile("[。！？｡]+[」』”’）】]*")  # these end sentences without a blank after them
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n|\r[^\S\r\n]*\r|\r\n[^\S\n]*\r\n|[\f\u2029]")
_LINE_END = re.compile("[\n\r\u2028]")
_WORD = re.compile(r"[^\W\d_]+")
_SMALL_BEGINNING = re.compile(r"(?<=[.!?]\s)[a-z]")
_CLOSERS = "\"'”’»)]}*_"
_OPENERS = "\"'“‘«([{*_"

# What ends in a full stop within a sentence; what may do so and may end one; words that mostly begin one.
_ABBREVIATIONS = """mr mrs ms dr prof st rev hon gen col sgt capt messrs vs v cf eg ie viz approx no nos art arts sec
secs para paras fig figs vol vols pp ch cl al ed eds est dept jan feb mar apr jun jul aug sep sept oct nov dec bd abs nr
bzw ca vgl mme mlle"""
_COMPANIES = "inc corp co ltd llc llp plc gmbh lp bros jr sr etc ag sa nv am pm a.m p.m u.s u.k"
_BEGINNERS = """the this these that those a an in on at if it its he she they we you i no any each all every such upon
subject for as to when where while after before during neither either both except unless provided notwithstanding
however but and or nothing there our your their his her under by with without"""
_WITHIN, _EITHER, _STARTERS = (frozenset(words.split()) for words in (_ABBREVIATIONS, _COMPANIES, _BEGINNERS))

# Numbers and letters that begin a clause or an item of a list, at the beginning of a line.
_NUMBER = re.compile(r"\(?(?:\d{1,3}(?:\.\d{1,3})*|[ivxlcIVXLC]{1,6}|[a-zA-Z]{1,2})\)?$")
_PARTS = re.compile(
    r"\b(?:section|article|clause|exhibit|schedule|annex|appendix|chapter|part|item)\s+\S+$", re.IGNORECASE
)
_ITEM = re.compile(
    r"(?:[-*•▪◦·‣–]|#{1,6})[^\S\n]+\S|(?:\d{1,3}(?:\.\d{1,3})+\.?|\d{1,3}[.)]|\(\d{1,3}\))[^\S\n]+(?![a-z])\S"
)
_LETTERED = re.compile(r"(?:\([a-zA-Z]{1,2}\)|\([ivxlcIVXLC]{1,6}\)|[a-zA-Z]\))[^\S\n]+\S")
_LOOK = 200  # characters to look back and ahead; no heading or item is longer


class Span(NamedTuple):
    """Characters [start, end) of a text."""

    start: int
    end: int


class Sentences:
    """Where the sentences of a text begin, found once.

        "Term. It ends.  Fees: 3.5 %."   →   "Term. " "It ends.  " "Fees: 3.5 %."

    A sentence owns the blanks after it, so that the sentences together are the text. Where it is unsure, after an
    abbreviation or an initial, two stay together: evidence with a sentence too many beats half a sentence. Small
    letters begin sentences where a text has no others, as arXiv's and PubMed's papers of summaries have none.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        boundaries = _boundaries(_SMALL_BEGINNING.sub(_capital, text) if text.islower() else text)
        self._starts = list(_with_long_ones_cut(text, sorted({0, *boundaries} - {len(text)})))

    def __iter__(self) -> Iterator[Span]:
        return (Span(start, end) for start, end in pairwise([*self._starts, len(self._text)]))

    def around(self, start: int, end: int) -> Span:
        """The sentence that holds characters [start, end), or the first to the last; without blanks at either end."""
        assert 0 <= start < end <= len(self._text)
        first = self._starts[bisect_right(self._starts, start) - 1]
        behind = bisect_right(self._starts, end - 1)
        last = self._starts[behind] if behind < len(self._starts) else len(self._text)
        letters = self._text[first:last]
        left, right = len(letters) - len(letters.lstrip()), len(letters.rstrip())
        return Span(min(first + left, start), max(first + right, end))


def sentence_spans(text: str) -> list[Span]:
    """The sentences in their order, each without the blanks at either end; those of blanks alone are left out."""
    spans = []
    for start, end in Sentences(text):
        letters = text[start:end]
        if letters.strip():
            first = start + len(letters) - len(letters.lstrip())
            spans.append(Span(first, first + len(letters.strip())))
    return spans


def on_lines(text: str, spans: Iterable[Span]) -> str:
    """These stretches of a text, a line each; line ends within one become blanks."""
    return "\n".join(" ".join(text[start:end].split()) for start, end in spans)


def _capital(letter: re.Match[str]) -> str:
    return letter[0].upper()


def _boundaries(text: str) -> Iterator[int]:
    for blanks in _BLANKS.finditer(text):
        if _divides(text, blanks.start(), blanks.end()):
            yield blanks.end()
    for stop in _CJK_END.finditer(text):
        blanks_after = _BLANKS.match(text, stop.end())
        yield blanks_after.end() if blanks_after else stop.end()


def _divides(text: str, start: int, end: int) -> bool:
    """Whether the blanks [start, end) stand between two sentences."""
    if start == 0 or end == len(text):
        return False
    if end - start > 1 or text[start] != " ":  # a blank alone is the common case
        blanks = text[start : min(end, start + _LOOK)]
        if _PARAGRAPH.search(blanks):  # a page that ends within a sentence leaves an empty line in it
            return not (text[end].islower() and (text[start - 1].isalnum() or text[start - 1] == ","))
        if _LINE_END.search(blanks) and _new_line_divides(text, start, end):
            return True
    return _ends_sentence(text, start, end)


def _new_line_divides(text: str, start: int, end: int) -> bool:
    """Whether a line that ends at `start` ends a sentence without a full stop: before an item, after a heading."""
    if _ITEM.match(text, end):
        return True
    if _LETTERED.match(text, end):
        return text[start - 1] in ";:,." or text[max(0, start - 4) : start].endswith((" and", " or"))
    line = _last_line(text, start)
    if len(line) == _LOOK or not _is_heading(line):
        return False
    line_end = _LINE_END.search(text, end, end + _LOOK)
    return not _is_heading(text[end : line_end.start() if line_end else end + _LOOK].strip())


def _is_heading(line: str) -> bool:
    return len(line) > 2 and line[-1] not in ",;" and line.isupper()


def _ends_sentence(text: str, start: int, end: int) -> bool:
    last = start - 1
    while last > max(0, start - 8) and text[last] in _CLOSERS:
        last -= 1
    if text[last] not in ".!?…":
        return False
    ahead = text[end : end + 40].lstrip(_OPENERS)
    if not ahead or ahead[0].islower():
        return False
    if text[last] != ".":
        return True
    line = _last_line(text, last)
    word = line.rpartition(" ")[2].lstrip(_OPENERS)
    bare = word.lower()
    if bare in _WITHIN or (len(word) == 1 and word.isalpha()):
        return False
    begins_line = not line.removesuffix(word).strip("\t #*" + _OPENERS)
    if bare in _EITHER or "." in word.strip("."):
        begins = _WORD.match(ahead)
        starts_new = begins is not None and begins[0].lower() in _STARTERS
        return starts_new or (not begins_line and any(letter.isdigit() for letter in word))
    return not (_NUMBER.match(word) and (begins_line or _PARTS.search(line)))


def _last_line(text: str, end: int) -> str:
    """The line that ends before `end`, or the last 200 characters of it, its tabs as blanks."""
    part = text[max(0, end - _LOOK) : end]
    return part[max(part.rfind("\n"), part.rfind("\r")) + 1 :].replace("\t", " ")


def _with_long_ones_cut(text: str, starts: list[int]) -> Iterator[int]:
    for start, end in pairwise([*starts, len(text)]):
        piece = start
        yield piece
        while end - piece > MAX_LETTERS:
            blank = _last_blank(text, piece + 1, piece + MAX_LETTERS)
            piece = blank + 1 if blank > 0 else piece + MAX_LETTERS
            yield piece


def _last_blank(text: str, start: int, end: int) -> int:
    line = text.rfind("\n", start, end - 1)
    return line if line > 0 else text.rfind(" ", start, end - 1)
