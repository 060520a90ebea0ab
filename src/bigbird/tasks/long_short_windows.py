"""Windows of a page whose long and short answer are looked for, with what is known of both.

    candidates 0 0 0 0 0 1 1 1 2 2 2 2 2 2       long answer: candidate 2, short answer: s
    answers                        s s           overlap 6
    window 0   0 0 0 0 0 1 1 1                   neither: null
    window 1       0 0 0 1 1 1 2 2 2 2           short; candidate 2 is cut, so the long answer is not learned here
    window 2               1 1 1 2 2 2 2 2 2     both

Every candidate that a window can hold stands whole in some window: where regular ones cut it, one more is laid around
it. A longer one counts in the window that shows the most of it from its first token on, and ends where that ends.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.long_short_questions import LongShortQuestion, TokenSpan
from bigbird.data.questions import AnswerSpan
from bigbird.tasks.base import Example
from bigbird.tasks.span_windows import DocumentTokens, Reading, with_global_question

log = logging.getLogger(__name__)

KINDS = ("null", "long", "short", "yes", "no")
SHORT, LONG, KIND = slice(0, 2), slice(2, 4), 4  # columns of targets

Span = tuple[int, int]  # first and last token of a document


class Known(NamedTuple):
    """What annotators say, where most of them say something; tokens of the document."""

    long: tuple[Span, ...] = ()
    short: tuple[Span, ...] = ()
    yes_no: str = ""


class LongShortWindows(NamedTuple):
    """For training: windows with an answer, windows without any part of one, and windows that only cut some."""

    having: list[Example]
    null: list[Example]
    partial: list[Example]


def every_window(reading: Reading, question: LongShortQuestion, index: int) -> list[Example]:
    """For prediction. `bins` of an example are numbers of the top-level candidates that its tokens lie in.

    weights  [length, 2]: 1 where a short, and where a long answer may begin or end, and at the first token
    """
    candidates = _candidates(question, reading.document)
    of_tokens = np.full(len(reading.document.encoding.ids), -1)
    for number, (first, last) in candidates.items():
        of_tokens[first : last + 1] = number
    return [_window(reading, of_tokens, index, place) for place in _places(reading, list(candidates.values()))]


def labelled_windows(reading: Reading, question: LongShortQuestion, index: int) -> LongShortWindows:
    """The windows of `every_window`, and one more around a short answer that none of them holds whole.

    targets  [length, 5]: 1 where a short answer begins, and where one ends; the same of the long answer; the fifth is
             the number of the window's kind among `KINDS`, at the first token
    weights  as for prediction; 0 but for the first token where that kind of answer is cut, and not to be learned
    """
    known = known_answers(question, reading.document)
    candidates = list(_candidates(question, reading.document).values())
    places = _places(reading, [*candidates, *known.long, *known.short])
    room, no_bins = reading.windows.room(reading.question), np.full(len(reading.document.encoding.ids), -1)
    longest = {span: best_window(span, places, room) for span in known.long if span[1] - span[0] >= room}
    found = LongShortWindows([], [], [])
    for number, place in enumerate(places):
        example = _window(reading, no_bins, index, place)
        end = place + room
        long = [s for s in known.long if (longest[s] == number if s in longest else place <= s[0] and s[1] < end)]
        short = [span for span in known.short if place <= span[0] and span[1] < end]
        is_cut = [
            any(first < end and place <= last for first, last in spans) and not inside
            for spans, inside in ((known.short, short), (known.long, long))
        ]
        _label(example, short, long, known.yes_no)
        example.weights[1:, is_cut] = 0
        (found.having if short or long else found.partial if any(is_cut) else found.null).append(example)
    return found


def best_window(span: Span, places: Sequence[int], room: int) -> int:
    """Number of the window that shows the most of a span from its first token on; of equals, with most around it."""

    def shown(number: int) -> tuple[int, int]:
        place, behind = places[number], min(span[1] + 1, places[number] + room)
        return behind - span[0], min(span[0] - place, place + room - behind)

    return max((n for n, place in enumerate(places) if place <= span[0] < place + room), key=shown)


def known_answers(question: LongShortQuestion, document: DocumentTokens) -> Known:
    """The answers that count, see `bigbird.tasks.long_short_scores`: of two annotators or more two must have one.

    Several short parts of an annotator are one answer, from the first of them to the last (Alberti et al. 2019).
    """
    annotations = question.annotations
    least = min(2, len(annotations))
    long = [one.long for one in annotations if one.long]
    short = [one for one in annotations if one.short or one.yes_no]
    if len(short) < least:
        short = []
    places = [_tokens(question, document, one.short) for one in short if one.short]
    longs = [_tokens(question, document, (span,)) for span in long] if len(long) >= least else []
    return Known(
        tuple(dict.fromkeys(span for span in longs if span)),
        tuple(dict.fromkeys(span for span in places if span)),
        next((one.yes_no for one in short if one.yes_no), ""),
    )


def _label(example: Example, short: Sequence[Span], long: Sequence[Span], yes_no: str) -> None:
    places = np.flatnonzero(example.starts >= 0)
    context, most = int(places[0]) - example.first_token, int(places[-1])
    for columns, spans in ((SHORT, short), (LONG, long)):
        for first, last in spans:
            example.targets[context + first, columns.start] = 1
            example.targets[min(context + last, most), columns.start + 1] = 1
    kind = "short" if short else (yes_no or "long") if long else "null"
    example.targets[0, KIND] = KINDS.index(kind)


def _window(reading: Reading, of_tokens: NDArray[np.int64], index: int, place: int) -> Example:
    example = with_global_question(reading.windows.example(reading.document, reading.question, index, place))
    is_document, bins = example.starts >= 0, np.full(len(example.token_ids), -1)
    bins[is_document] = of_tokens[place : place + int(is_document.sum())]
    targets = np.zeros((len(bins), KIND + 1), np.float32)
    return example._replace(targets=targets, weights=np.repeat(example.weights[:, None], 2, axis=1), bins=bins)


def _places(reading: Reading, spans: Sequence[Span]) -> list[int]:
    """Where windows begin: the regular ones, and one more around each span that fits one and stands whole in none."""
    room, num_tokens = reading.windows.room(reading.question), len(reading.document.encoding.ids)
    places = reading.windows.places(num_tokens, room)
    for first, last in spans:
        if last - first < room and not any(place <= first and last < place + room for place in places):
            places.append(max(0, min((first + last + 1 - room) // 2, num_tokens - room)))
    return sorted(places)


def _candidates(question: LongShortQuestion, document: DocumentTokens) -> dict[int, Span]:
    """The tokens of each top-level candidate that has some, by its number."""
    pairs = enumerate(zip(question.candidates, question.top_level, strict=True))
    numbers = [number for number, (span, is_top) in pairs if is_top and span.start >= 0]
    characters = np.array([question.characters(question.candidates[number]) for number in numbers], np.int64).reshape(
        -1, 2
    )
    tokens = document.tokens_of_all(characters[:, 0], characters[:, 1]).tolist()  # at once: a page may have thousands
    return {number: (first, last) for number, (first, last) in zip(numbers, tokens, strict=True) if first <= last}


def _tokens(question: LongShortQuestion, document: DocumentTokens, spans: Sequence[TokenSpan]) -> Span | None:
    """The document's tokens from the first of some spans to the last; None, which is told, where there are none."""
    if min(span.start for span in spans) < 0:
        _tell(question.name, str(spans[0]), "its place is not told in tokens")
        return None
    characters = [question.characters(span) for span in spans]
    whole = AnswerSpan(min(start for start, _ in characters), max(end for _, end in characters))
    tokens = document.tokens_of(*whole)
    if tokens is None:
        _tell(question.name, str(spans[0]), "the vocabulary has no tokens for it")
    return tokens


@lru_cache(maxsize=10_000)  # each is told once, not in every epoch
def _tell(name: str, span: str, why: str) -> None:
    log.warning("question %r: the answer at %s is not learned: %s", name, span, why)
