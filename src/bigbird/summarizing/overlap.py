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

# Below it a sentence of the document is no source. Of the sentences of people's summaries, mostly in their own words,
# 56 % reach it in their own document, and 3 % in another (benchmarks/results/summary_support.json: 235 documents).
THRESHOLD = 0.2

_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+")


class _Counts(NamedTuple):
    words: Counter[str]
    pairs: Counter[tuple[str, str]]


class _Part(NamedTuple):
    """The words of a sentence, or its pairs, and what each counts."""

    counts: Counter[Any]
    rarity: Mapping[Any, float]
    total: float

    def recall(self, own: Counter[Any]) -> float:
        """The share of it that another sentence has."""
        shared = sum(min(count, own[one]) * self.rarity[one] for one, count in self.counts.items() if one in own)
        return shared / self.total


class Overlaps:
    """The sentences of one document, ready to be compared."""

    def __init__(self, text: str) -> None:
        self._spans = sentence_spans(text)
        self._counts = [_counts(text[start:end]) for start, end in self._spans]
        self._holding = Counter(word for counts in self._counts for word in counts.words)

    def weights(self, sentence: str) -> list[tuple[Span, float]]:
        """The document's sentences in order, with how much the given one leans on each: 0 to 1."""
        given = _counts(sentence)
        rarity = {word: self._rarity(word) for word in given.words}
        words = _part(given.words, rarity)
        pairs = _part(given.pairs, {pair: rarity[pair[0]] + rarity[pair[1]] for pair in given.pairs})
        found = []
        for span, own in zip(self._spans, self._counts, strict=True):
            weight = 0.0
            if not given.words.keys().isdisjoint(own.words):  # else nothing is shared, as with most of a document
                weight = words.recall(own.words)
                if given.pairs:
                    weight = (weight + pairs.recall(own.pairs)) / 2
            found.append((span, weight))
        return found

    def _rarity(self, word: str) -> float:
        return math.log((len(self._spans) + 1) / max(1, self._holding[word]))


def _counts(text: str) -> _Counts:
    words = _WORD.findall(text.casefold())
    return _Counts(Counter(words), Counter(pairwise(words)))


def _part(counts: Counter[Any], rarity: Mapping[Any, float]) -> _Part:
    return _Part(counts, rarity, sum(count * rarity[one] for one, count in counts.items()))
