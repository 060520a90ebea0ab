r"""Where a document spells an answer or one of its aliases, compared as TriviaQA compares (noisy spans).

aliases "sunset blvd"       document "… on The Sunset\nBlvd., and …"       place  [Sunset\nBlvd]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bigbird.data.answer_text import TRIVIA_PUNCTUATION, trivia_text
from bigbird.data.questions import AnswerSpan

_WORDS = re.compile(rf"[^\s{re.escape(TRIVIA_PUNCTUATION)}]+")


class _Word(NamedTuple):
    text: str
    start: int
    end: int


def alias_places(document: str, aliases: Iterable[str]) -> Iterator[AnswerSpan]:
    """Every place whose words are those of an alias, from left to right; of several from one word on the longest.

    Articles and punctuation between words count as nothing, as do capitals.
    """
    by_first: dict[str, list[list[str]]] = {}
    for alias in aliases:
        parts = trivia_text(alias).split()
        if parts:
            by_first.setdefault(parts[0], []).append(parts)
    words = list(_words(document))
    texts = [word.text for word in words]
    for place, word in enumerate(words):
        lengths = [len(some) for some in by_first.get(word.text, ()) if texts[place : place + len(some)] == some]
        if lengths:
            yield AnswerSpan(word.start, words[place + max(lengths) - 1].end)


def _words(document: str) -> Iterator[_Word]:
    """Words as they are compared, with their places; articles are none."""
    for match in _WORDS.finditer(document):
        for text in trivia_text(match.group()).split():  # one, or several around an article, as in "a–z"
            yield _Word(text, match.start(), match.end())
