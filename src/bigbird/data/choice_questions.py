"""Questions that are answered by choosing one of several candidates."""

from __future__ import annotations

from dataclasses import dataclass

from bigbird.data.questions import AnswerSpan
from bigbird.errors import DataError


@dataclass(frozen=True, kw_only=True)
class ChoiceQuestion:
    """A question, its candidates, and the texts to choose by.

    question    as the file has it; of WikiHop a relation and its subject, "country_of_citizenship stella pevsner"
    document    all texts, one after the other
    texts       where each lies in the document
    candidates  to choose from
    answer      the right one; "" where it is not known
    draw        key for random choices a task makes for this question, such as which windows to show
    """

    question: str
    document: str
    candidates: tuple[str, ...]
    name: str = ""
    texts: tuple[AnswerSpan, ...] = ()
    answer: str = ""
    draw: int = 0

    def __post_init__(self) -> None:
        if not self.candidates:
            raise DataError(f"question {self.name!r} has no candidates; it needs at least one to choose from")
        if self.answer and self.answer not in self.candidates:
            raise DataError(
                f"question {self.name!r}: its answer {self.answer!r} is not among its {len(self.candidates)} candidates"
            )
