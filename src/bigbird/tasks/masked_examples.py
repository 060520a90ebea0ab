"""Windows, pieces and pairs of segments as examples with hidden tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.packing import TokenPiece
from bigbird.data.segment_pairs import SegmentPair
from bigbird.errors import ConfigError
from bigbird.tasks.base import Example
from bigbird.tasks.masking import Masking, Vocabulary, shown
from bigbird.tasks.windows import TokenWindow

Ids = NDArray[np.int64]


class _Part(NamedTuple):
    """A stretch of an example's tokens: as shown, targets, weights, and the characters or places they stand for."""

    shown: Ids
    targets: Ids
    weights: Ids
    starts: Ids
    ends: Ids


@dataclass(frozen=True)
class ExampleMaking:
    """Makes examples. Targets are the true ids of hidden tokens, -1 elsewhere; weights are their letters, else 0."""

    masking: Masking
    vocabulary: Vocabulary
    max_length: int

    def of_window(self, window: TokenWindow, draw: int, index: int) -> Example:
        """A window of a record, whose places count from where the window begins."""
        places = np.arange(len(window.token_ids)) + int(window.starts[1])
        widths = window.ends - window.starts
        word_starts = self.vocabulary.word_starts[window.token_ids]
        word_starts[1] = True  # behind [CLS]
        chosen = self.masking.chosen(draw, places, word_starts) & (widths > 0)
        return Example(
            index,
            shown(window.token_ids, chosen, draw, places, self.vocabulary),
            window.starts,
            window.ends,
            np.where(chosen, window.token_ids, -1).astype(np.float32),
            (chosen * widths).astype(np.float32),
        )

    def of_pair(self, pair: SegmentPair, index: int) -> Example:
        """[CLS] a [SEP] b [SEP] with their order, or one piece alone."""
        if pair.second is None:
            return self.of_pieces((pair.first,), index)
        example = self.of_pieces((pair.first, pair.second), index)
        types = (np.arange(len(example.token_ids)) >= len(pair.first.token_ids) + 2).astype(np.int64)
        return example._replace(token_types=types, order=0 if pair.follows else 1)

    def of_pieces(self, pieces: Sequence[TokenPiece], index: int) -> Example:
        """[CLS] a [SEP], or [CLS] a [SEP] b [SEP]; starts and ends are places in the pieces' documents."""
        length = 1 + sum(len(piece.token_ids) + 1 for piece in pieces)
        if length > self.max_length:
            raise ConfigError(
                f"a piece of document {pieces[0].name!r} has {length} tokens with [CLS] and [SEP], more than "
                f"task.max_length {self.max_length}. Give data.row_length={self.max_length}, or a greater "
                f"task.max_length."
            )
        parts = [_special(self.vocabulary.cls, pieces[0].start)]
        for piece in pieces:
            parts += [self._hidden(piece), _special(self.vocabulary.sep, piece.start + len(piece.token_ids))]
        whole = _Part(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        targets, weights = whole.targets.astype(np.float32), whole.weights.astype(np.float32)  # ids are below 2**24
        return Example(index, whole.shown, whole.starts, whole.ends, targets, weights)

    def _hidden(self, piece: TokenPiece) -> _Part:
        vocabulary, token_ids = self.vocabulary, piece.token_ids.astype(np.int64)
        places = piece.start + np.arange(len(token_ids))
        chosen = self.masking.chosen(piece.draw, places, vocabulary.word_starts[token_ids])
        chosen &= vocabulary.is_ordinary[token_ids]
        return _Part(
            shown(token_ids, chosen, piece.draw, places, vocabulary),
            np.where(chosen, token_ids, -1),
            chosen * vocabulary.letters[token_ids],
            places,
            places + 1,
        )


def _special(token: int, place: int) -> _Part:
    return _Part(*(np.array([value], np.int64) for value in (token, -1, 0, place, place)))
