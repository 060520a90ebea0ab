"""Marks in a text that may overlap, as pieces that do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from bigbird.data.sentences import Span


class Piece(NamedTuple):
    """Characters [start, end) of a text, and the numbers of the spans that cover all of them; () for none."""

    start: int
    end: int
    covered_by: tuple[int, ...]


def pieces(length: int, spans: Sequence[Span], *, cuts: Sequence[int] = ()) -> Iterator[Piece]:
    """Cut a text of `length` characters where a span begins or ends, and at `cuts`.

        spans  0: ..####....        pieces  ..|##|##|##|..
               1: ....####..                   0  01  1

    Together the pieces are the text; none is empty.
    """
    places = {0, length, *cuts, *(place for span in spans for place in span)}
    starts: dict[int, list[int]] = {}
    ends: dict[int, list[int]] = {}
    for number, span in enumerate(spans):
        starts.setdefault(span.start, []).append(number)
        ends.setdefault(span.end, []).append(number)
    open_now: dict[int, None] = {}
    ordered = sorted(place for place in places if 0 <= place <= length)
    for start, end in pairwise(ordered):
        for number in ends.get(start, ()):
            open_now.pop(number, None)
        open_now.update(dict.fromkeys(starts.get(start, ())))
        yield Piece(start, end, tuple(sorted(open_now)))
