"""A full row of a corpus: pieces of documents, each on a block boundary, as a model reads them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import ConfigError

NUM_SPECIAL = 2  # [CLS] before and [SEP] behind each piece
MIN_BLOCK_SIZE = 8  # below, special tokens and the room for whole words would leave a block nothing to hold
_MOST_SHIFTED = 4  # tokens a cut may move back to where a word starts; words of more tokens are rare


class TokenPiece(NamedTuple):
    """Tokens of one document that follow each other, special tokens not among them.

    token_ids  int32 [length]
    document   its number in the corpus
    start      place of the first of the tokens in the document
    draw       key for random choices, the same for all pieces of the document in an epoch
    name       of the document
    """

    token_ids: NDArray[np.int32]
    document: int
    start: int
    draw: int
    name: str


@dataclass(frozen=True)
class TokenRow:
    """Pieces that together fill one row; each becomes an example of its own, so none sees another.

    row_length 32, block_size 8, pieces of 14, 4 and 5 tokens:

    | C a a a a a a a | a a a a a a a S | C b b b b S . . | C c c c c c S . |     C [CLS], S [SEP], . filling
    """

    pieces: tuple[TokenPiece, ...]

    @property
    def name(self) -> str:
        """The names of its documents."""
        return " + ".join(piece.name for piece in self.pieces)


@dataclass(frozen=True, kw_only=True)
class RowShape:
    """How pieces lie in rows.

    row_length   places of a row, a multiple of block_size
    block_size   of the model's attention pattern: every piece begins on a block boundary
    whole_words  whether a document is cut where a word starts, when one starts within a few tokens
    """

    row_length: int
    block_size: int
    whole_words: bool = False

    def __post_init__(self) -> None:
        if self.block_size < MIN_BLOCK_SIZE:
            raise ConfigError(f"data.block_size must be at least {MIN_BLOCK_SIZE}, got {self.block_size}")
        if self.row_length < self.block_size or self.row_length % self.block_size:
            raise ConfigError(
                f"data.row_length must be a multiple of the model's block size {self.block_size}, got {self.row_length}"
            )

    @property
    def num_blocks(self) -> int:
        """Blocks of a row."""
        return self.row_length // self.block_size

    @property
    def shift(self) -> int:
        """Most tokens that a cut moves back; a piece that begins with a cut leaves as much room."""
        return min(_MOST_SHIFTED, self.block_size // 4) if self.whole_words else 0
