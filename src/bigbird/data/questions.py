"""Questions about documents, and what is known of their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bigbird.errors import DataError


class AnswerSpan(NamedTuple):
    """Characters [start, end) of a document that answer a question."""

    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question about one document.

        document "The term ends on 1 May."   question "When does it end?"   answers [17:22] "1 May"

    name           what tells it apart in a file
    title          of the document; names it among others
    answers        every place that answers it; () where nothing does, or nothing is known
    accepted       answers as strings, which scorers compare with; those at `answers` where a file gives no others
    is_impossible  the document is known to hold no answer
    draw           key for random choices a task makes for this question, such as which windows to show
    """

    question: str
    document: str
    name: str = ""
    title: str = ""
    answers: tuple[AnswerSpan, ...] = ()
    accepted: tuple[str, ...] = ()
    is_impossible: bool = False
    draw: int = 0

    def __post_init__(self) -> None:
        for start, end in self.answers:
            if not 0 <= start < end <= len(self.document):
                raise DataError(
                    f"question {self.name!r}: an answer at characters {start} to {end} does not lie in its document of "
                    f"{len(self.document):,}; places are counted in characters from 0, the end exclusive"
                )
        if self.is_impossible and (self.answers or self.accepted):
            raise DataError(f"question {self.name!r} is marked impossible and has an answer; give it one or the other")
