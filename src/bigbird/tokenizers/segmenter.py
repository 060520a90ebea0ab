"""Words to pieces: the most likely segmentation of a unigram vocabulary, each word of a call computed once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

import tokenizers
from bigbird.tokenizers.base import Encoding
from bigbird.tokenizers.engine import check_run
from bigbird.tokenizers.sentencepiece_file import Kind, SentencePieceModel
from tokenizers import models

_WORDS = re.compile("▁+[^▁]*|[^▁]+")
_LETTERS_AT_ONCE = 1_000_000
_SYMBOL_SCORE = 1000.0  # a letter; real scores are above -30, so a symbol is never spelled out


class Segmenter:
    """Pieces of normalized text (▁ for a space), with places in it.

        ▁the▁ﬂo▁the  ->  [▁the] [▁] [ﬂo unknown] [▁the]

    symbols  whether user-defined symbols in the text are their tokens; otherwise they are spelled out
    """

    def __init__(self, model: SentencePieceModel, *, symbols: bool) -> None:
        matched = {Kind.NORMAL, Kind.SYMBOL} if symbols else {Kind.NORMAL}
        self._crossing = [
            piece
            for piece, kind in zip(model.pieces, model.kinds, strict=True)
            if kind in matched and "▁" in piece.lstrip("▁")
        ]
        self._unknown = model.unknown_id
        self._byte_ids = [model.pieces.index(f"<0x{byte:02X}>") for byte in range(256)] if model.byte_fallback else []
        self._engine = tokenizers.Tokenizer(models.Unigram(_vocabulary(model, matched), model.unknown_id, False))

    def segment(self, texts: Sequence[str]) -> list[Encoding]:
        """Segment each text."""
        index: dict[str, int] = {}
        numbers = [[index.setdefault(word, len(index)) for word in self._words(text)] for text in texts]
        lengths = np.fromiter(map(len, index), np.int64, len(index))
        check_run(int(lengths.max(initial=0)))
        counts, ids, places = self._tokens(list(index), lengths)
        first = counts.cumsum() - counts
        return [_gathered(np.array(words, np.int64), ids, places, counts, first, lengths) for words in numbers]

    def _words(self, text: str) -> list[str]:
        """Parts that no piece reaches across."""
        return [text] if any(piece in text for piece in self._crossing) else _WORDS.findall(text)

    def _tokens(
        self, words: list[str], lengths: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """How many tokens each word has, the ids of all and their places [tokens, 2]; a part of the words at a time.

        Python's lists of a token's numbers take six times the room of the arrays made of them.
        """
        counts: list[int] = []
        ids, places = [np.empty(0, np.int64)], [np.empty((0, 2), np.int64)]
        parts = (lengths.cumsum() - lengths) // _LETTERS_AT_ONCE
        for _, part in groupby(zip(words, parts.tolist(), strict=True), key=itemgetter(1)):
            for word_ids, offsets in self._encode([word for word, _ in part]):
                counts.append(len(word_ids))
                ids.append(np.array(word_ids, np.int64))
                places.append(np.array(offsets, np.int64).reshape(-1, 2))
        return np.array(counts, np.int64), np.concatenate(ids), np.concatenate(places)

    def _encode(self, words: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        encoded = self._engine.encode_batch(words, add_special_tokens=False)
        return [self._with_bytes(word, one.ids, one.offsets) for word, one in zip(words, encoded, strict=True)]

    def _with_bytes(
        self, word: str, ids: list[int], offsets: list[tuple[int, int]]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Unknown characters as their bytes, where the vocabulary has such pieces."""
        if not self._byte_ids or self._unknown not in ids:
            return ids, offsets
        tokens = [
            (token, place)
            for index, place in zip(ids, offsets, strict=True)
            for token in (
                (self._byte_ids[byte] for byte in word[slice(*place)].encode()) if index == self._unknown else (index,)
            )
        ]
        return [token for token, _ in tokens], [place for _, place in tokens]


def _gathered(
    words: NDArray[np.int64],
    ids: NDArray[np.int64],
    places: NDArray[np.int64],
    counts: NDArray[np.int64],
    first: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> Encoding:
    """The tokens of `words` one after another, out of the tokens of all different words."""
    num_tokens, num_letters = counts[words], lengths[words]
    before = num_tokens.cumsum() - num_tokens
    chosen = np.arange(num_tokens.sum()) + (first[words] - before).repeat(num_tokens)
    shifted = places[chosen] + (num_letters.cumsum() - num_letters).repeat(num_tokens)[:, None]
    return Encoding(ids[chosen], shifted[:, 0], shifted[:, 1])


def _vocabulary(model: SentencePieceModel, matched: set[Kind]) -> list[tuple[str, float]]:
    """Pieces for the engine. Those that text must not match get a name with a space, which no word has."""
    usual = max((s for s, kind in zip(model.scores, model.kinds, strict=True) if kind is Kind.NORMAL), default=0.0)
    entries = []
    for index, (piece, score, kind) in enumerate(zip(model.pieces, model.scores, model.kinds, strict=True)):
        if kind not in matched:
            entries.append((f" {index}", usual))
        else:
            entries.append((piece, _SYMBOL_SCORE * len(piece) if kind is Kind.SYMBOL else score))
    return entries
