"""Which sentences of a document say what a sentence of a summary says, by the words they share.

    summary      "The fee rises in May."           The fee, fee rises, rises in, in May
    document     "In May the fee rises again."     all of the words; three of the four pairs

The weight is the mean of two recalls, those of ROUGE-1 and ROUGE-2 (Lin 2004) with rare words counting more: the
share of the summary's words, and that of its pairs of neighbouring words, that stand in the document's sentence, each
as often as there. A word counts log((sentences + 1) / sentences that hold it), of the document's sentences, as though
one held it where none does; a pair counts as its two words do. A word is a run of letters and digits in small letters,
or an ideograph.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from bigbird.data.sentences import Span, sentence_spans

# Below it a sentence of the document is no source. In 75 articles, stories and proposals (SumPubMed, SQuALITY, PEPs)
# 2 % of the sentences of another document's summary reach it somewhere; of those of the document's own summary, by
# people and mostly in their own words, 38 % (70 %, 26 %, 31 %). Without the weights of words 32 % did at 2 %.
THRESHOLD = 0.2

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+")


class _Counts(NamedTuple):
    words: Counter[str]
    pairs: Counter[tuple[str, str]]


class Overlaps:
    """The sentences of one document, ready to be compared."""

    def __init__(self, text: str) -> None:
        self._spans = sentence_spans(text)
        self._counts = [_counts(text[start:end]) for start, end in self._spans]
        self._holding = Counter(word for counts in self._counts for word in counts.words)

    def weights(self, sentence: str) -> list[tuple[Span, float]]:
        """The document's sentences in order, with how much the given one leans on each: 0 to 1."""
        given = _counts(sentence)
        words = {word: self._rarity(word) for word in given.words}
        pairs = {pair: words[pair[0]] + words[pair[1]] for pair in given.pairs}
        parts: list[tuple[Counter[Any], Mapping[Any, float]]] = [(given.words, words)]
        if pairs:
            parts.append((given.pairs, pairs))
        totals = [sum(count * weights[item] for item, count in counts.items()) for counts, weights in parts]
        found = []
        for span, own in zip(self._spans, self._counts, strict=True):
            weight = 0.0
            if not words.keys().isdisjoint(own.words):  # else nothing is shared, as with most of a long document
                shares = [_shared(counts, other, weights) for (counts, weights), other in zip(parts, own, strict=False)]
                weight = sum(share / total for share, total in zip(shares, totals, strict=True)) / len(parts)
            found.append((span, weight))
        return found

    def _rarity(self, word: str) -> float:
        return math.log((len(self._spans) + 1) / max(1, self._holding[word]))


def _counts(text: str) -> _Counts:
    words = _WORD.findall(text.casefold())
    return _Counts(Counter(words), Counter(pairwise(words)))


def _shared(given: Counter[Any], own: Counter[Any], weights: Mapping[Any, float]) -> float:
    return sum(min(count, own[item]) * weights[item] for item, count in given.items() if item in own)
