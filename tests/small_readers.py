"""A reader that needs no model: it finds what a question has in quotation marks, by search."""

import re
from typing import NamedTuple

from bigbird.errors import DataError


class Found(NamedTuple):
    text: str
    start: int
    end: int
    score: float


class FoundAll(NamedTuple):
    answers: tuple
    no_answer: float


class SearchReader:
    """Every place of the first "…" of a question answers it; without one, the first word does, badly.

    `asked` counts the questions that were put; `fail_after` raises KeyboardInterrupt, as Ctrl-C does, after so many.
    """

    def __init__(self, *, fail_after=None):
        self.asked, self.fail_after = 0, fail_after

    def ask_all(self, text, questions, *, top_k=3):
        for question in questions:
            if self.asked == self.fail_after:
                raise KeyboardInterrupt
            self.asked += 1
            if len(question) > 1_000:
                raise DataError("the question is longer than the window of the model")
            yield found(text, question, top_k)


def found(text, question, top_k):
    sought = re.search('"([^"]+)"', question)
    places = list(re.finditer(re.escape(sought[1]), text, re.IGNORECASE))[:top_k] if sought else []
    if not places:
        guess = re.search(r"\S+", text)
        return FoundAll((Found(guess[0], *guess.span(), 0.03),), 0.97)
    scores = [0.9 * 0.1**rank for rank in range(len(places))]
    return FoundAll(
        tuple(Found(place[0], *place.span(), score) for place, score in zip(places, scores, strict=True)),
        1 - sum(scores),
    )
