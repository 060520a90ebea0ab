"""Questions whose answer is put together from several sentences, and must be shown with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bigbird.data.questions import Question
from bigbird.errors import DataError


class Fact(NamedTuple):
    """A sentence by the title of its paragraph and its number there, from 0."""

    title: str
    number: int


class Sentence(NamedTuple):
    """Characters [start, end) of a document that are one sentence; perhaps none."""

    start: int
    end: int
    fact: Fact


@dataclass(frozen=True, kw_only=True)
class MultiHopQuestion:
    r"""A question with the sentences of its document and those that support the answer.

        document   "Kiss and Tell\nA film of 1945.\n\nShirley Temple\nShe was Chief of Protocol."
        sentences                  0···············                  1··························    supporting (1,)

    asked       the question itself; `answers` are places of its answer, none for yes and no
    yes_no      "yes" or "no" where that is the answer, else ""
    sentences   in their order
    supporting  their numbers in `sentences`
    facts       supporting facts as the file names them; scorers compare with these, a wrong one included
    kind        such as "bridge" or "comparison"; "" where nothing is known
    """

    asked: Question
    yes_no: str = ""
    sentences: tuple[Sentence, ...] = ()
    supporting: tuple[int, ...] = ()
    facts: tuple[Fact, ...] = ()
    kind: str = ""

    @property
    def name(self) -> str:
        """What tells it apart in a file."""
        return self.asked.name

    def __post_init__(self) -> None:
        if self.yes_no not in ("", "yes", "no"):
            raise DataError(f"question {self.asked.name!r}: yes_no must be 'yes', 'no' or '', got {self.yes_no!r}")
        if any(not 0 <= number < len(self.sentences) for number in self.supporting):
            raise DataError(
                f"question {self.asked.name!r}: supporting sentences {self.supporting} must be numbers of its "
                f"{len(self.sentences)} sentences, from 0"
            )
