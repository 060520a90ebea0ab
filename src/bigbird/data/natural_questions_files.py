"""Natural Questions' files (Kwiatkowski et al. 2019): the original form and the simplified one, a question a line.

    {"example_id": …, "question_text": …, "document_tokens": [{"token": "<P>", "html_token": true, …}, …],
     "long_answer_candidates": [{"start_token": 5, "end_token": 22, "top_level": true, …}, …],
     "annotations": [{"long_answer": {…}, "short_answers": [{…}, …], "yes_no_answer": "NONE"}, …]}

Simplified, `document_text` holds the tokens with one space between them, and places have no bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigbird.data.json_entries import Entry
from bigbird.data.json_files import read_entries
from bigbird.data.long_short_questions import Annotation, LongShortQuestion, TokenSpan
from bigbird.errors import DataError

_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_YES_NO = {"NONE": "", "YES": "yes", "NO": "no"}

_Token = tuple[str, bool]  # its text, whether it is a tag


def read_natural_questions(path: Path) -> Iterator[LongShortQuestion]:
    """The questions of a .jsonl file in either form, plain or gzip, in its order; one in memory at a time.

    The document holds the page's words with a space between them, and a line's end where tags stand: a paragraph, a
    heading, a cell of a table is a line.
    """
    for entry in read_entries(path):
        yield question_of(entry)


def question_of(entry: Entry) -> LongShortQuestion:
    """The question of a line."""
    document, places = _document(entry)
    candidates = list(entry.entries("long_answer_candidates"))
    return LongShortQuestion(
        name=entry.label("example_id"),
        title=entry.text("document_url", ""),
        question=entry.text("question_text"),
        document=document,
        places=places,
        candidates=tuple(_needed_span(candidate, len(places)) for candidate in candidates),
        top_level=tuple(candidate.flag("top_level") for candidate in candidates),
        annotations=tuple(
            _annotation(one, len(places)) for one in (entry.entries("annotations") if entry.has("annotations") else ())
        ),
    )


def _document(entry: Entry) -> tuple[str, NDArray[np.int64]]:
    parts: list[str] = []
    places: list[tuple[int, int]] = []
    length = 0
    between = ""
    for text, is_tag in _tokens(entry):
        if is_tag:
            between = "\n" if parts else ""
            places.append((length, length))
            continue
        start = length + len(between)
        parts += (between, text)
        length = start + len(text)
        places.append((start, length))
        between = " "
    return "".join(parts), np.array(places, np.int64).reshape(-1, 2)


def _tokens(entry: Entry) -> Iterator[_Token]:
    if entry.has("document_tokens"):
        for token in entry.entries("document_tokens"):
            yield token.text("token"), token.flag("html_token")
    else:
        for text in entry.text("document_text").split(" "):  # at single spaces, as the format says
            yield text, bool(_TAG.fullmatch(text))


def _annotation(annotation: Entry, num_tokens: int) -> Annotation:
    short = (_span(one, num_tokens) for one in annotation.entries("short_answers"))
    yes_no = annotation.text("yes_no_answer", "NONE").upper()
    if yes_no not in _YES_NO:
        raise annotation.wrong("yes_no_answer", "YES, NO or NONE")
    return Annotation(
        _span(annotation.entry("long_answer"), num_tokens), tuple(span for span in short if span), _YES_NO[yes_no]
    )


def _needed_span(place: Entry, num_tokens: int) -> TokenSpan:
    span = _span(place, num_tokens)
    if span is None:
        raise DataError(f"{place.where} names no place; a candidate needs start_token and end_token")
    return span


def _span(place: Entry, num_tokens: int) -> TokenSpan | None:
    """A place by tokens, by bytes or both; None where all are -1."""
    names = ("start_token", "end_token", "start_byte", "end_byte")
    span = TokenSpan(*(place.number(name, -1) for name in names))
    if max(span) < 0:
        return None
    if not span.is_place or span.end > num_tokens:
        raise DataError(
            f"{place.where}: tokens {span.start} to {span.end}, bytes {span.start_byte} to {span.end_byte} are no "
            f"place on a page of {num_tokens:,} tokens; a start must lie before its end, and where nothing answers all "
            f"are -1"
        )
    return span
