"""Where a document spells a text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bigbird.data.questions import AnswerSpan

_WORDS = re.compile(r"\S+")


def places(document: str, text: str) -> Iterator[AnswerSpan]:
    """Every place that spells `text` exactly, from left to right, apart from each other."""
    start = document.find(text) if text else -1
    while start >= 0:
        yield AnswerSpan(start, start + len(text))
        start = document.find(text, start + len(text))


def word_places(document: str, text: str, *, match_case: bool = True) -> Iterator[AnswerSpan]:
    """Those of `places` that begin and end where words do: "art" is not in "party", "1" not in "1999"."""
    for start, end in places(document, text) if match_case else _places_in_any_case(document, text):
        begins = start == 0 or not (document[start - 1].isalnum() and document[start].isalnum())
        ends = end == len(document) or not (document[end - 1].isalnum() and document[end].isalnum())
        if begins and ends:
            yield AnswerSpan(start, end)


def nearest_place(document: str, text: str, start: int) -> AnswerSpan | None:
    """The place that spells `text` nearest to character `start`; where none does, one that differs in white space."""
    found = list(places(document, text)) or list(_places_but_for_white_space(document, text))
    return min(found, key=lambda place: abs(place.start - start), default=None)


def _places_in_any_case(document: str, text: str) -> Iterator[AnswerSpan]:
    if text:
        for match in re.finditer(re.escape(text), document, re.IGNORECASE):
            yield AnswerSpan(*match.span())


def _places_but_for_white_space(document: str, text: str) -> Iterator[AnswerSpan]:
    words = [re.escape(word) for word in _WORDS.findall(text)]
    if words:
        for match in re.finditer(r"\s+".join(words), document):
            yield AnswerSpan(*match.span())
