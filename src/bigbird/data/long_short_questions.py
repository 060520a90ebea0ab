"""Questions whose answer is looked for twice: the paragraph or table that holds it, and the words themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.questions import AnswerSpan
from bigbird.errors import DataError


class TokenSpan(NamedTuple):
    """Tokens [start, end) of a page, and bytes of its HTML where they are known, else -1."""

    start: int
    end: int
    start_byte: int = -1
    end_byte: int = -1

    @property
    def is_place(self) -> bool:
        """Whether it names tokens or bytes, and what it names is in order."""
        pairs = (self[:2], self[2:])
        return max(self) >= 0 and all((start < 0 and end < 0) or 0 <= start < end for start, end in pairs)

    def is_same(self, other: TokenSpan) -> bool:
        """Whether both name one place, by bytes or by tokens, whichever both have."""
        by_bytes = min(self.start_byte, other.start_byte) >= 0 and self[2:] == other[2:]
        return by_bytes or (min(self.start, other.start) >= 0 and self[:2] == other[:2])


class Annotation(NamedTuple):
    """What one person answered.

    long    the paragraph, table or list that holds the answer; None where none does
    short   all parts of the answer itself
    yes_no  "yes" or "no" where that is the answer, else ""
    """

    long: TokenSpan | None = None
    short: tuple[TokenSpan, ...] = ()
    yes_no: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class LongShortQuestion:
    """A question about a page, answered by one person or several.

        tokens    <P> | Larry | and | Sergey | </P>          document  "Larry and Sergey"
        places    (0,0) (0,5) (6,9) (10,16) (16,16)

    document    the page's words, without its tags
    places      int64 [tokens, 2]: characters [start, end) of each token in the document; none of a tag
    candidates  for the long answer, in the file's order
    top_level   of each candidate: it lies in no other
    draw        key for random choices a task makes for this question, such as which windows to show
    """

    question: str
    document: str
    places: NDArray[np.int64]
    name: str = ""
    title: str = ""
    candidates: tuple[TokenSpan, ...] = ()
    top_level: tuple[bool, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    draw: int = 0

    def characters(self, span: TokenSpan) -> AnswerSpan:
        """Where tokens lie in the document; tags at the ends add nothing."""
        if not 0 <= span.start < span.end <= len(self.places):
            raise DataError(
                f"question {self.name!r}: tokens {span.start} to {span.end} do not lie in its {len(self.places):,}"
            )
        places = self.places[span.start : span.end]
        words = places[places[:, 0] < places[:, 1]]
        start, end = (words[0, 0], words[-1, 1]) if len(words) else (places[0, 0], places[0, 0])
        return AnswerSpan(int(start), int(end))

    def tokens(self, span: AnswerSpan) -> TokenSpan:
        """The fewest tokens that hold all these characters."""
        start, end = span
        touched = np.flatnonzero((self.places[:, 0] < end) & (self.places[:, 1] > start))
        if not len(touched):
            raise DataError(f"question {self.name!r}: characters {start} to {end} hold no word of its document")
        return TokenSpan(int(touched[0]), int(touched[-1]) + 1)
