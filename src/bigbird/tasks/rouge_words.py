"""Words as ROUGE counts them: what rouge-score's tokenizer makes of a text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from bigbird.errors import require

EXTRA = "summaries"

_OTHER = re.compile(r"[^a-z0-9]+")
_LONGEST_UNSTEMMED = 3  # letters


def rouge_words(text: str, *, stem: bool) -> list[str]:
    """Runs of a-z and 0-9, in small letters; all other letters part words, so of Greek nothing is left.

    stem  longer words without their endings (Porter): "copies" and "copied" are both "copi"
    """
    words = _OTHER.sub(" ", text.lower()).split()
    return [_stem(word) if len(word) > _LONGEST_UNSTEMMED else word for word in words] if stem else words


class RougeTokenizer:
    """Gives rouge-score these words; each is stemmed once, which its own tokenizer does every time."""

    def __init__(self, *, stem: bool) -> None:
        self.stem = stem

    def tokenize(self, text: str) -> list[str]:
        """See `rouge_words`."""
        return rouge_words(text, stem=self.stem)


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    stemmed: str = _stemmer().stem(word)
    return stemmed


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    return require("nltk.stem.porter", extra=EXTRA, purpose="stemming words for ROUGE").PorterStemmer()
