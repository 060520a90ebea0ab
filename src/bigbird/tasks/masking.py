"""Which tokens are hidden, and what is shown in their place: a function of a key and of places alone.

unit "token"   t t [t] t t t t [t] t       each token by itself (Devlin et al. 2019)
unit "word"    the [ele phant] ran home    all tokens of a word, or none (whole-word masking, Devlin's of May 2019)
unit "span"    t t [t t t] t t t t [t]     stretches that begin anywhere, of geometric length (as SpanBERT, DNABERT)

The expected share of hidden tokens is the same for all three. What is shown is drawn for every hidden token by itself:
80 % [MASK], 10 % another token, 10 % itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness
from bigbird.errors import ConfigError
from bigbird.tokenizers import Tokenizer

Unit = Literal["token", "word", "span"]

LONGEST_WORD = 16  # tokens; a longer word, such as a line of Chinese in unknown bytes, is several
_SPANS_IN_LONGEST = 5  # spans are cut at that many mean lengths, which shortens fewer than 1 in 100

Places = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How tokens are chosen.

    share      of the tokens that are hidden, on average
    unit       what is hidden as one
    mean_span  of unit "span": mean number of tokens from where a span begins
    """

    share: float
    unit: Unit
    mean_span: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"share must lie between 0 and 1, got {self.share}")
        if self.unit not in get_args(Unit):
            raise ConfigError(f"unit must be one of {', '.join(get_args(Unit))}, got {self.unit!r}")
        if not 1 <= self.mean_span <= 100:
            raise ConfigError(f"mean_span must be from 1 to 100 tokens, got {self.mean_span}")

    def chosen(self, draw: int, places: Places, word_starts: Flags) -> Flags:
        """Which tokens are hidden: bool [length].

        places       of the tokens in their document, one after the other
        word_starts  whether a word begins with the token; only unit "word" looks at it
        """
        if not len(places):
            return np.zeros(0, bool)
        if self.unit == "span":
            return self._in_spans(draw, places)
        keys = _firsts(places, word_starts) if self.unit == "word" else places
        return randomness.uniform(draw, keys, 0) < self.share

    def _in_spans(self, draw: int, places: Places) -> Flags:
        """Whether any span that begins at a place, or not too far before it, reaches it; wherever the text was cut."""
        lengths = _length_shares(self.mean_span)
        longest = len(lengths)
        begins = np.arange(places[0] - longest + 1, places[-1] + 1)
        is_begin = randomness.uniform(draw, begins, 0) < _begin_share(self.share, self.mean_span)
        length = 1 + np.searchsorted(lengths.cumsum()[:-1], randomness.uniform(draw, begins, 3), side="right")
        depth = np.zeros(len(begins) + longest, np.int64)
        np.add.at(depth, np.flatnonzero(is_begin), 1)
        np.add.at(depth, np.flatnonzero(is_begin) + length[is_begin], -1)
        return depth.cumsum()[longest - 1 : longest - 1 + len(places)] > 0


class Vocabulary(NamedTuple):
    """What masking needs of a tokenizer, looked up once.

    is_ordinary  bool [vocab_size], False for special tokens, which are never hidden
    """

    cls: int
    sep: int
    mask: int
    ordinary_ids: NDArray[np.int64]
    is_ordinary: Flags
    letters: NDArray[np.int64]
    word_starts: Flags


def vocabulary_of(tokenizer: Tokenizer) -> Vocabulary:
    """The tokenizer's vocabulary; kept while the tokenizer lives, as a text vocabulary is searched through for it."""
    found = _known.get(tokenizer)
    if found is None:
        ordinary = tokenizer.ordinary_ids
        is_ordinary = np.zeros(tokenizer.vocab_size, bool)
        is_ordinary[ordinary] = True
        cls, sep, mask = (tokenizer.special_id(name) for name in ("[CLS]", "[SEP]", "[MASK]"))
        found = Vocabulary(cls, sep, mask, ordinary, is_ordinary, tokenizer.letters, tokenizer.word_starts)
        _known[tokenizer] = found
    return found


_known: WeakKeyDictionary[Tokenizer, Vocabulary] = WeakKeyDictionary()


def shown(token_ids: NDArray[np.int64], chosen: Flags, draw: int, places: Places, vocabulary: Vocabulary) -> Places:
    """The tokens as the model sees them, int64 [length]."""
    fate = randomness.uniform(draw, places, 1)
    masked = np.where(chosen & (fate < 0.8), vocabulary.mask, token_ids)
    ordinary = vocabulary.ordinary_ids
    strangers = ordinary[randomness.integers(0, len(ordinary), draw, places, 2)]
    replaced: Places = np.where(chosen & (fate >= 0.8) & (fate < 0.9), strangers, masked)
    return replaced


def _firsts(places: Places, word_starts: Flags) -> Places:
    """The place of the first token of each token's word, as far as the word is there."""
    order = np.arange(len(places))
    first = np.maximum.accumulate(np.where(word_starts, order, 0))
    firsts: Places = places[order - (order - first) % LONGEST_WORD]
    return firsts


@lru_cache(maxsize=16)
def _length_shares(mean: float) -> NDArray[np.float64]:
    """How likely a span has 1, 2, … tokens: geometric, the rest of the tail on the longest."""
    longest = max(1, int(np.ceil(_SPANS_IN_LONGEST * mean))) if mean > 1 else 1
    stay = 1 - 1 / mean
    shares: NDArray[np.float64] = (1 - stay) * stay ** np.arange(longest, dtype=np.float64)
    shares[-1] += stay**longest
    return shares


@lru_cache(maxsize=16)
def _begin_share(share: float, mean: float) -> float:
    """How likely a span begins at a place, so that `share` of all places lie in one.

    A place is free when none of the spans that could reach it has begun: with p for each begin and s_j the chance that
    a span has more than j tokens, that is the product of 1 - p s_j over j = 0, 1, …
    """
    reaches = _length_shares(mean)[::-1].cumsum()[::-1]  # s_0 = 1, s_1, …
    low, high = 0.0, share
    for _ in range(60):
        middle = (low + high) / 2
        covered = 1 - np.prod(1 - middle * reaches)
        low, high = (middle, high) if covered < share else (low, middle)
    return high
