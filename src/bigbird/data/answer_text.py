"""Answers as scorers compare them: small letters, without punctuation and articles, one space between words."""

from __future__ import annotations

import re
import string
from collections.abc import Callable

Normal = Callable[[str], str]  # an answer as a scorer compares it

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)  # ASCII alone: “ and – are letters to it
TRIVIA_PUNCTUATION = string.punctuation + "‘’´`"
_SPACED_PUNCTUATION = str.maketrans(dict.fromkeys(TRIVIA_PUNCTUATION, " "))


def squad_text(answer: str) -> str:
    """As SQuAD and HotpotQA compare: punctuation is taken out, so that "U.S.-led" becomes "usled"."""
    return _without_articles(answer.lower().translate(_NO_PUNCTUATION))


def trivia_text(answer: str) -> str:
    """As TriviaQA compares: punctuation, some quotes and _ become spaces, so that "U.S.-led" becomes "u s led"."""
    return _without_articles(answer.lower().translate(_SPACED_PUNCTUATION))


def _without_articles(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", text).split())
