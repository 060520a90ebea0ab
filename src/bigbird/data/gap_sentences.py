r"""Sentences that a model is to write again because they tell most of a document: Pegasus' gaps (Zhang et al. 2020).

    document   "Cats sleep. It rains. Cats sleep late. Why?"
    example    parts "" " It rains. " " Why?" around two gaps, target "Cats sleep.\nCats sleep late."

How much a sentence tells is the F1 of ROUGE-1 with the rest of its document, words in small letters and unstemmed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness
from bigbird.data.sentences import Span, on_lines, sentence_spans
from bigbird.errors import ConfigError

Strategy = Literal["random", "lead", "ind-orig", "ind-uniq", "seq-orig", "seq-uniq"]

_WORD = re.compile(r"[^\W_]+")  # of a-z and 0-9 those of rouge-score; it leaves nothing of other alphabets
_CHOICE, _SHOWN = 0, 1  # keys of what is drawn

Ints = NDArray[np.int64]


class GapExample(NamedTuple):
    """A document with gaps, and what stood there.

    parts   the text between the gaps: a model is shown them with a mask token at each seam; perhaps ""
    target  the sentences chosen, in the document's order, a line each
    """

    parts: tuple[str, ...]
    target: str

    def masked(self, mask: str) -> str:
        """The document as one text, `mask` in each gap."""
        return mask.join(self.parts)


@dataclass(frozen=True, kw_only=True)
class GapSentences:
    """Which sentences are taken out (section 3.1); as they stand the settings are those of the paper's large model.

    strategy  "random"; "lead", the first; or the principal ones: scored one by one ("ind") or again after each choice,
              those chosen together against what is left ("seq"), with words counted as often as they occur ("orig") or
              once ("uniq")
    ratio     of a document's sentences, rounded down; at least one is chosen and one left
    shown     of the chosen ones are left standing, and must be copied (section 6.2: 0.45 with 0.2 shown leaves as many
              gaps as 0.3, the best of their trials)
    max_letters  of all sentences chosen, where ratio would choose more: as much as a decoder shall write. One is chosen
              whatever its length. 0: no limit
    """

    strategy: Strategy = "ind-orig"
    ratio: float = 0.45
    shown: float = 0.2
    max_letters: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in get_args(Strategy):
            raise ConfigError(f"strategy must be one of {', '.join(get_args(Strategy))}, got {self.strategy!r}")
        if not 0 < self.ratio < 1:
            raise ConfigError(f"ratio must be between 0 and 1, got {self.ratio}")
        if not 0 <= self.shown < 1:
            raise ConfigError(f"shown must be from 0 to below 1, got {self.shown}")
        if self.max_letters < 0:
            raise ConfigError(f"max_letters must be at least 0, got {self.max_letters}")

    def chosen(self, sentences: Sequence[str], draw: int) -> list[int]:
        """Numbers of the sentences chosen, in their order; none of fewer than two. Of equals the first wins.

        draw  key of the choice "random"
        """
        if len(sentences) < 2:
            return []
        count = max(1, int(len(sentences) * self.ratio))
        order = self._order(sentences, count, draw)
        if self.max_letters:  # whoever is next fits or is the end, so that fewer are the first of more
            letters = np.cumsum([len(sentences[place]) for place in order])
            order = order[: max(1, int(np.searchsorted(letters, self.max_letters, side="right")))]
        return sorted(order)

    def _order(self, sentences: Sequence[str], count: int, draw: int) -> list[int]:
        """So many sentences, the first chosen first."""
        if self.strategy == "lead":
            return list(range(count))
        if self.strategy == "random":
            drawn: list[int] = randomness.permutation(len(sentences), draw, _CHOICE)[:count].tolist()
            return drawn
        words = _Words(sentences, counts_once=self.strategy.endswith("uniq"))
        return words.alone(count) if self.strategy.startswith("ind") else words.one_by_one(count)

    def example(self, document: str, *, draw: int, spans: Sequence[Span] | None = None) -> GapExample | None:
        """What to learn of a document; None of one with fewer than two sentences.

        draw   key of what is random, such as of (seed, epoch, index)
        spans  its sentences, where they are known
        """
        spans = sentence_spans(document) if spans is None else spans
        chosen = [spans[place] for place in self.chosen([document[start:end] for start, end in spans], draw)]
        if not chosen:
            return None
        is_gap = randomness.uniform(draw, _SHOWN, np.arange(len(chosen))) >= self.shown
        is_gap[0] |= not is_gap.any()
        parts, begin = [], 0
        for (start, end), gap in zip(chosen, is_gap, strict=True):
            if gap:
                parts.append(document[begin:start])
                begin = end
        return GapExample((*parts, document[begin:]), on_lines(document, chosen))


class _Words:
    """The words of a document's sentences: which sentence has which how often, an entry per word and sentence."""

    def __init__(self, sentences: Sequence[str], *, counts_once: bool) -> None:
        vocabulary: dict[str, int] = {}
        entries = [
            (place, vocabulary.setdefault(word, len(vocabulary)), count)
            for place, sentence in enumerate(sentences)
            for word, count in Counter(_WORD.findall(sentence.lower())).items()
        ]
        columns = np.array(entries, np.int64).reshape(-1, 3).T
        self.sentences, self.words, self.counts = columns
        self.num_sentences = len(sentences)
        self.total = _added(self.words, self.counts, len(vocabulary))
        self.counts_once = counts_once

    def alone(self, count: int) -> list[int]:
        """The best by their own scores."""
        scores = self._scores(np.zeros_like(self.total))
        best: list[int] = np.argsort(-scores, kind="stable")[:count].tolist()
        return best

    def one_by_one(self, count: int) -> list[int]:
        """Each time the one that raises the score of all chosen most, or lowers it least."""
        inside = np.zeros_like(self.total)
        chosen: list[int] = []
        for _ in range(count):
            scores = self._scores(inside)
            scores[chosen] = -1.0
            chosen.append(int(scores.argmax()))
            own = self.sentences == chosen[-1]
            inside[self.words[own]] += self.counts[own]
        return chosen

    def _scores(self, inside: Ints) -> NDArray[np.float64]:
        """For each sentence the F1 of the words `inside` and its own with those of all other sentences."""
        outside = self.total - inside
        more, less = inside[self.words] + self.counts, outside[self.words] - self.counts
        old_more, old_less = self._counted(inside), self._counted(outside)
        new_more, new_less = self._counted(more), self._counted(less)
        old_shared = np.minimum(old_more, old_less)
        shared = self._sums(old_shared, np.minimum(new_more, new_less))
        first, second = self._sums(old_more, new_more), self._sums(old_less, new_less)
        precision, recall = shared / np.maximum(first, 1), shared / np.maximum(second, 1)
        with np.errstate(invalid="ignore"):
            return np.where(shared > 0, 2 * precision * recall / (precision + recall), 0.0)

    def _counted(self, counts: Ints) -> Ints:
        return np.minimum(counts, 1) if self.counts_once else counts

    def _sums(self, old: Ints, new: Ints) -> Ints:
        """Sums over words for each sentence that moves: `old` per word, `new` per entry where it changes."""
        sums: Ints = old.sum() + _added(self.sentences, new - old[self.words], self.num_sentences)
        return sums


def _added(places: Ints, values: Ints, length: int) -> Ints:
    """Values summed at their places; the sums are below 2**53, where floats are exact."""
    return np.bincount(places, weights=values, minlength=length).astype(np.int64)
