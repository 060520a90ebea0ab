"""DNA as tokens of a fixed number of bases, whose ids spell the bases out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import CheckpointError, ConfigError
from bigbird.tokenizers.base import TOKENIZER_FILE, Encoding

NUM_LETTERS = 8  # digits of an id: none, A, C, G, T, N and two special tokens
MIN_BASES, MAX_BASES = 8, 20

_LETTERS = "ACGTN"
_CODES = np.zeros(256, np.int64)
_CODES[np.frombuffer(_LETTERS.encode(), np.uint8)] = range(1, len(_LETTERS) + 1)
_SPECIAL_IDS = {"[PAD]": 0, "[CLS]": 6, "[SEP]": 7}
_KIND = "bigbird-kmers"


class KmerTokenizer:
    """Every `bases_per_token` bases are one token; a sequence's last token may be shorter.

        ACGTTTGAACGT  ->  [ACGTTTGA] [ACGT]      with 8 bases per token

    An id is its bases as digits of base 8, first base lowest (A 1, C 2, G 3, T 4, N 5, none 0), so a model can read
    single bases at the cost of one token for many: see `EncoderConfig.bases_per_token`. There is no table of that many
    ids, hence no [MASK] and no masked-language model.
    """

    def __init__(self, bases_per_token: int) -> None:
        if not isinstance(bases_per_token, int) or not MIN_BASES <= bases_per_token <= MAX_BASES:
            raise ConfigError(f"bases_per_token must be from {MIN_BASES} to {MAX_BASES}, got {bases_per_token!r}")
        self.bases_per_token = bases_per_token

    @classmethod
    def load(cls, folder: Path) -> KmerTokenizer | None:
        """Read the tokenizer file of a model folder; None when it describes another kind of tokenizer."""
        path = folder / TOKENIZER_FILE
        try:
            if path.exists() and not path.is_file():  # a pipe would be waited for
                raise ValueError("it is no ordinary file")
            description = json.loads(path.read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} is not a readable tokenizer file: {error}") from error
        if not isinstance(description, dict) or description.get("kind") != _KIND:
            return None
        return cls(description.get("bases_per_token", 0))

    @property
    def vocab_size(self) -> int:
        """Number of ids that many digits can spell."""
        return int(NUM_LETTERS**self.bases_per_token)

    @property
    def max_letters(self) -> int:
        """Bases of a token."""
        return self.bases_per_token

    @property
    def ordinary_ids(self) -> NDArray[np.int64]:
        """Too many to list: always an error."""
        raise ConfigError("tokens that spell out their bases have no vocabulary to mask or guess; use tokenizer bpe")

    @property
    def letters(self) -> NDArray[np.int64]:
        """Too many to list: always an error."""
        return self.ordinary_ids

    @property
    def word_starts(self) -> NDArray[np.bool_]:
        """DNA has no words: True for all, in no memory."""
        return np.broadcast_to(np.bool_(True), (self.vocab_size,))

    def special_id(self, token: str) -> int:
        """Id of [PAD], [CLS] or [SEP]."""
        if token not in _SPECIAL_IDS:
            raise ConfigError(f"tokens that spell out their bases have no {token}; use tokenizer bpe")
        return _SPECIAL_IDS[token]

    def encode_batch(self, sequences: Sequence[str]) -> list[Encoding]:
        """Encode clean DNA; see `clean_dna`."""
        return [self._encoded(sequence) for sequence in sequences]

    def decode(self, ids: Sequence[int]) -> str:
        """The bases the ids stand for, special tokens left out."""
        letters = f"-{_LETTERS}--"
        places = [NUM_LETTERS**digit for digit in range(self.bases_per_token)]
        return "".join(letters[index // place % NUM_LETTERS] for index in ids for place in places).replace("-", "")

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` into `folder`."""
        description = {"kind": _KIND, "bases_per_token": self.bases_per_token}
        (folder / TOKENIZER_FILE).write_text(json.dumps(description) + "\n")

    def _encoded(self, sequence: str) -> Encoding:
        size, length = self.bases_per_token, len(sequence)
        codes = _CODES[np.frombuffer(sequence.encode(), np.uint8)]
        rows = np.pad(codes, (0, -length % size)).reshape(-1, size)
        starts = np.arange(len(rows), dtype=np.int64) * size
        ids = rows @ NUM_LETTERS ** np.arange(size)
        return Encoding(ids, starts, np.minimum(starts + size, length))
