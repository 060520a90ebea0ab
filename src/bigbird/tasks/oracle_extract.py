"""The sentences of a document that suit its summary best: how well anything that copies sentences could do."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from bigbird.data.sentences import Span, sentence_spans
from bigbird.tasks.extractive import check_count
from bigbird.tasks.rouge_words import rouge_words
from bigbird.tasks.word_overlap import from_counts

Pair = tuple[str, str]


def oracle(document: str, references: Sequence[str], num_sentences: int) -> tuple[Span, ...]:
    """At most so many sentences that score high, found greedily (Nallapati et al. 2017, section 3); in order.

    Again and again the sentence comes in that raises the F1 of ROUGE-1 plus that of ROUGE-2 most, until none raises
    it; of equals the first. Scores are those of the sentences' text in document order, stemmed as `rouge` has them. Of
    several references it is the one that can be met best.
    """
    check_count(num_sentences)
    spans = sentence_spans(document)
    sentences = [rouge_words(document[start:end], stem=True) for start, end in spans]
    found = [_Search(sentences, rouge_words(text, stem=True)).chosen(num_sentences) for text in references]
    best = max(found, key=lambda one: one.score)
    return tuple(spans[place] for place in best.places)


class _Chosen(NamedTuple):
    """Sentences by their numbers, and what their text shares with the reference."""

    places: tuple[int, ...]
    words: Counter[str]
    pairs: Counter[Pair]
    shared: tuple[int, int]
    length: int
    score: float


class _Search:
    """Sentences for one reference."""

    def __init__(self, sentences: Sequence[list[str]], reference: list[str]) -> None:
        self.sentences = sentences
        self.num_words = len(reference)
        self.words, self.pairs = Counter(reference), Counter(pairwise(reference))
        self.own_words = [_only(words, self.words) for words in sentences]
        self.own_pairs = [_only(pairwise(words), self.pairs) for words in sentences]

    def chosen(self, num_sentences: int) -> _Chosen:
        """At most so many."""
        chosen = self._with((), 0.0)
        while len(chosen.places) < num_sentences:
            left = [place for place, words in enumerate(self.sentences) if words and place not in chosen.places]
            scores = [self._score(place, chosen) for place in left]
            best = max(scores, default=0.0)
            if best <= chosen.score:
                break
            chosen = self._with((*chosen.places, left[scores.index(best)]), best)
        return chosen

    def _with(self, places: tuple[int, ...], score: float) -> _Chosen:
        text = [word for place in sorted(places) for word in self.sentences[place]]
        words, pairs = _only(text, self.words), _only(pairwise(text), self.pairs)
        shared = (words & self.words).total(), (pairs & self.pairs).total()
        return _Chosen(tuple(sorted(places)), words, pairs, shared, len(text), score)

    def _score(self, place: int, chosen: _Chosen) -> float:
        """Of what is chosen with one sentence more; only what changes is counted."""
        length = chosen.length + len(self.sentences[place])
        words = chosen.shared[0] + _gained(chosen.words, self.own_words[place], self.words)
        pairs = chosen.shared[1] + _gained(chosen.pairs, self._changed_pairs(place, chosen.places), self.pairs)
        first = from_counts(words, length, self.num_words).f1
        return first + from_counts(pairs, length - 1, self.num_words - 1).f1

    def _changed_pairs(self, place: int, places: Sequence[int]) -> Counter[Pair]:
        """Pairs of neighbours that come, and one that may go, when the sentence is set between those chosen."""
        come = [pair for pair in self._seams(place, places) if pair in self.pairs]
        goes = [pair for pair in self._broken_seam(place, places) if pair in self.pairs]
        if not come and not goes:  # as a rule
            return self.own_pairs[place]
        changed = self.own_pairs[place].copy()
        changed.update(come)
        changed.subtract(goes)
        return changed

    def _seams(self, place: int, places: Sequence[int]) -> Iterator[Pair]:
        """Pairs of neighbours across the sentence's ends, where it stands between those chosen."""
        number = bisect(places, place)
        if number:
            yield self.sentences[places[number - 1]][-1], self.sentences[place][0]
        if number < len(places):
            yield self.sentences[place][-1], self.sentences[places[number]][0]

    def _broken_seam(self, place: int, places: Sequence[int]) -> Iterator[Pair]:
        number = bisect(places, place)
        if 0 < number < len(places):
            yield self.sentences[places[number - 1]][-1], self.sentences[places[number]][0]


def _only(items: Iterable[Any], known: Counter[Any]) -> Counter[Any]:
    return Counter(item for item in items if item in known)


def _gained(counts: Counter[Any], more: Counter[Any], reference: Counter[Any]) -> int:
    """How many more of the reference's items a summary has, each as often as both have it, with `more` added."""
    return sum(
        min(counts[item] + number, reference[item]) - min(counts[item], reference[item])
        for item, number in more.items()
    )
