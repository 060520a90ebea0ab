"""What every tokenizer offers: ids with the place of each token in its source, and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

TOKENIZER_FILE = "tokenizer.json"


class Encoding(NamedTuple):
    """Tokens of one sequence.

    ids            int64 [length]
    starts, ends   int64 [length], the characters (for DNA: bases) each token stands for, end exclusive
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class Tokenizer(Protocol):
    """Turns sequences into token ids without adding special tokens; the task adds those it wants."""

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""

    @property
    def ordinary_ids(self) -> NDArray[np.int64]:
        """All ids that stand for characters."""

    @property
    def max_letters(self) -> int:
        """Most characters one token stands for, runs of unknown ones aside."""

    @property
    def letters(self) -> NDArray[np.int64]:
        """Characters (for DNA: bases) that each id stands for, white space not counted: int64 [vocab_size].

        0 for special tokens and for spaces alone, so that the tokens of a text have as many letters as the text
        whatever the vocabulary; words that a vocabulary does not know are not counted.
        """

    @property
    def word_starts(self) -> NDArray[np.bool_]:
        """Whether a token begins a word, True for special tokens too: bool [vocab_size]. DNA has no words: all True."""

    def special_id(self, token: str) -> int:
        """Id of a special token such as "[CLS]"."""

    def encode_batch(self, sequences: Sequence[str]) -> list[Encoding]:
        """Encode each sequence."""

    def decode(self, ids: Sequence[int]) -> str:
        """The characters the ids stand for, special tokens left out."""

    def save(self, folder: Path) -> None:
        """Write the vocabulary files into `folder`."""
