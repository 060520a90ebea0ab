"""Pairs of segments for BERT's second task: does B follow A? (Devlin et al. 2019, section 3.1, task 2)

    piece of document 3        | a a a a a a a a a a |
    half of the pieces         [ a a a a ] [ a a a a a ]      B follows A
    the others                 [ a a a a ] [ b b b b b ]      B is a stretch of another document

A pair has a token fewer than its piece, which makes room for one more [SEP], so rows stay as full as they were. Where B
is another document's, the rest of the piece is not seen in that epoch: with pairs, tokens are not seen once each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol, overload

import numpy as np

from bigbird import randomness
from bigbird.data.packing import TokenPiece, TokenRow
from bigbird.errors import DataError

_SHORTEST = 4  # tokens of a piece that can be cut into a pair
_ATTEMPTS = 100  # rows that are drawn to find another document, before all are looked through


class SegmentPair(NamedTuple):
    """Two segments; `second` is None where a piece was too short for two."""

    first: TokenPiece
    second: TokenPiece | None
    follows: bool


@dataclass(frozen=True)
class PairRow:
    """The pieces of a row as pairs."""

    pairs: tuple[SegmentPair, ...]

    @property
    def name(self) -> str:
        """The names of the documents its pairs begin with."""
        return " + ".join(pair.first.name for pair in self.pairs)


class _Source(Protocol):
    def __len__(self) -> int: ...
    def record(self, index: int, *, epoch: int) -> object: ...


class PairedSource:
    """A `RecordSource` of `PairRow` out of one of `TokenRow`; a row and an epoch always give the same pairs."""

    def __init__(self, rows: _Source) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def record(self, index: int, *, epoch: int) -> PairRow:
        """See `RecordSource`."""
        return _paired(index, len(self), lambda row: _token_row(self._rows.record(row, epoch=epoch)))


class PairedRows(Sequence[PairRow]):
    """A sequence of rows as pairs."""

    def __init__(self, rows: Sequence[TokenRow]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> PairRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PairRow]: ...
    def __getitem__(self, index: int | slice) -> PairRow | Sequence[PairRow]:
        """A row, or several."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return _paired(range(len(self))[index], len(self), lambda row: _token_row(self._rows[row]))


def _token_row(item: object) -> TokenRow:
    assert isinstance(item, TokenRow)  # all that prepared corpora give
    return item


def _paired(index: int, count: int, row_at: Callable[[int], TokenRow]) -> PairRow:
    row = row_at(index)
    others: list[TokenPiece] = []
    pairs = []
    for piece in row.pieces:
        if len(piece.token_ids) < _SHORTEST:
            pairs.append(SegmentPair(piece, None, follows=False))
            continue
        first, second = _cut(piece)
        follows = bool(randomness.uniform(piece.draw, piece.start, 11) < 0.5)
        if not follows:
            others = [one for one in others if one.document != piece.document]
            others = others or _pieces_of_others(piece, count, row_at)
            second = _stretch(others, like=second, key=(piece.draw, piece.start))
        pairs.append(SegmentPair(first, second, follows))
    return PairRow(tuple(pairs))


def _cut(piece: TokenPiece) -> tuple[TokenPiece, TokenPiece]:
    """A piece in two, somewhere in its middle half, less its last token."""
    length = len(piece.token_ids)
    highest = min(length - 2, 3 * length // 4)
    place = int(randomness.integers(length // 4, highest + 1, piece.draw, piece.start, 10))
    return _part(piece, 0, place), _part(piece, place, length - 1)


def _part(piece: TokenPiece, start: int, end: int) -> TokenPiece:
    return piece._replace(token_ids=piece.token_ids[start:end], start=piece.start + start)


def _pieces_of_others(piece: TokenPiece, count: int, row_at: Callable[[int], TokenRow]) -> list[TokenPiece]:
    """The pieces of another row, drawn for this piece, that are of other documents."""
    drawn = randomness.integers(0, count, piece.draw, piece.start, 12, np.arange(_ATTEMPTS)).tolist()
    behind = ((drawn[0] + step) % count for step in range(count))  # a document may fill nearly all rows
    for index in chain(drawn, behind):
        row = row_at(index)
        others = [one for one in row.pieces if one.document != piece.document]
        if others:
            return others
    raise DataError(
        f"none of {count} rows holds another document than {piece.name!r}, so no segment can be drawn that does "
        f"not follow. Prepare a corpus of more documents, also among those held out, or set task.next_segment=false."
    )


def _stretch(pieces: Sequence[TokenPiece], *, like: TokenPiece, key: tuple[int, int]) -> TokenPiece:
    """As many tokens as `like` has, or as there are, from anywhere in one of the pieces."""
    piece = pieces[int(randomness.integers(0, len(pieces), *key, 13))]
    length = min(len(like.token_ids), len(piece.token_ids))
    start = int(randomness.integers(0, len(piece.token_ids) - length + 1, *key, 14))
    return _part(piece, start, start + length)
