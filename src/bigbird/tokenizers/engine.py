"""What a kind of text vocabulary does for `TextTokenizer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import DataError
from bigbird.tokenizers.base import Encoding

MOST_LETTERS_OF_A_RUN = 1_000_000  # half a second and 120 MB; the longest real ones, Chinese books, are shorter


class Engine(Protocol):
    """Pieces and their ids, texts to pieces and back."""

    @property
    def pieces(self) -> tuple[str, ...]:
        """Names of all ids, in their order."""

    @property
    def ordinary_ids(self) -> NDArray[np.int64]:
        """All ids that stand for characters: neither special tokens nor symbols nor the unknown piece."""

    @property
    def max_letters(self) -> int:
        """Characters of the longest ordinary piece."""

    @property
    def letters(self) -> NDArray[np.int64]:
        """Characters of each id, see `Tokenizer`."""

    @property
    def word_starts(self) -> NDArray[np.bool_]:
        """Whether each id begins a word, see `Tokenizer`."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What tokenizer_config.json says beside the special tokens."""

    def encode_batch(self, texts: Sequence[str], *, read_symbols: bool) -> list[Encoding]:
        """Ids and places of each text, without special tokens."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text the ids stand for, special tokens left out."""

    def write(self, folder: Path) -> None:
        """Write the vocabulary's files."""


def check_run(length: int) -> None:
    """Refuse a stretch without space that no text has: time and memory grow with it, and it is one word."""
    if length > MOST_LETTERS_OF_A_RUN:
        raise DataError(
            f"a text has {length:,} characters in a row without a space; at most {MOST_LETTERS_OF_A_RUN:,} are read. "
            f"Is it text? DNA has tokenizers of its own; otherwise cut it."
        )
