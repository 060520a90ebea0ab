"""DNA as tokens: byte-pair pieces of a few bases, or single bases, each with its place in the sequence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import tokenizers
from bigbird.errors import CheckpointError, ConfigError, DataError
from bigbird.tokenizers.base import TOKENIZER_FILE, Encoding
from bigbird.tokenizers.vocabulary_files import plain_pairs
from tokenizers import models, trainers

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_LETTERS = "ACGTN"
_AMBIGUOUS = "RYSWKMBDHV"  # IUPAC codes for "one of several bases"
_TO_LETTERS = str.maketrans("acgtnuU" + _AMBIGUOUS + _AMBIGUOUS.lower(), "ACGTNTT" + "N" * 2 * len(_AMBIGUOUS))
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
_N_RUNS = tuple("N" * length for length in (2, 4, 8, 16, 32, 64))  # unknown stretches stay cheap
_FIXED_TOKENS = (*SPECIAL_TOKENS, *_LETTERS, *_N_RUNS)
_MAX_PIECE_BASES = 16  # repeats would otherwise fill the vocabulary with long tokens


class CleanDna(NamedTuple):
    """A sequence in the letters A, C, G, T, N, and how many ambiguity codes became N."""

    sequence: str
    num_ambiguous: int


def clean_dna(sequence: str, *, source: str = "sequence") -> CleanDna:
    """Apply the one rule for letters: lower case is the same base, U is T, an IUPAC ambiguity code is N.

    Any other character is an error that names `source` and the place.
    """
    cleaned = sequence.translate(_TO_LETTERS)
    stranger = re.search(r"[^ACGTN]", cleaned)
    if stranger:
        raise DataError(
            f"{source}: {stranger.group()!r} at position {stranger.start() + 1} is not a DNA letter. "
            f"Allowed are A, C, G, T, U, N and the IUPAC codes {', '.join(_AMBIGUOUS)}, upper or lower case."
        )
    num_n = cleaned.count("N") - sequence.count("N") - sequence.count("n")
    return CleanDna(cleaned, num_n)


def reverse_complement(sequence: str) -> str:
    """The other strand, read in its own direction: AACG -> CGTT. Takes clean DNA."""
    return sequence.translate(_COMPLEMENT)[::-1]


class DnaTokenizer:
    """A `tokenizers` byte-pair model over A, C, G, T, N.

        ACGTTTGANNNN  ->  [ACG] [TTT] [GA] [NNNN]      starts 0 3 6 8, ends 3 6 8 12

    Single-base is the same model without merges. A run of N is cut into tokens of 64, 32, 16, 8, 4, 2 and 1 bases.
    """

    def __init__(self, model: tokenizers.Tokenizer, *, source: str = "this") -> None:
        self._model = model
        self._ids = model.get_vocab()
        missing = [token for token in (*SPECIAL_TOKENS, *_LETTERS) if token not in self._ids]
        if missing:
            raise CheckpointError(
                f"{source} is no DNA vocabulary: it lacks {', '.join(missing)}. Copy the file that "
                f"was saved with the model."
            )
        pieces = sorted(self._ids, key=self._ids.__getitem__)
        self._pieces = ["" if piece in SPECIAL_TOKENS else piece for piece in pieces]
        self.letters = np.array([len(piece) for piece in self._pieces], np.int64)
        self.word_starts = np.ones(len(self._pieces), bool)
        self.ordinary_ids = np.flatnonzero(self.letters)

    @classmethod
    def single_base(cls) -> DnaTokenizer:
        """One token per base; only N share tokens, up to 64 of them."""
        return cls.train((), vocab_size=len(_FIXED_TOKENS))

    @classmethod
    def train(cls, sequences: Iterable[str], *, vocab_size: int) -> DnaTokenizer:
        """Learn byte pairs from clean DNA. Pass pieces of some hundred bases, not whole chromosomes; N is left out."""
        num_learned = vocab_size - len(_FIXED_TOKENS)
        if num_learned < 0:
            raise ConfigError(
                f"vocab_size must be at least {len(_FIXED_TOKENS)} (special tokens, letters and runs of N), "
                f"got {vocab_size}"
            )
        model = tokenizers.Tokenizer(models.BPE(unk_token=SPECIAL_TOKENS[1]))
        trainer = trainers.BpeTrainer(
            vocab_size=len(SPECIAL_TOKENS) + len(_LETTERS) + num_learned,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=list(_LETTERS),
            max_token_length=_MAX_PIECE_BASES,
            show_progress=False,
        )
        model.train_from_iterator((piece for text in sequences for piece in text.split("N") if piece), trainer)
        return cls(_with_runs_of_n(model))

    @classmethod
    def load(cls, folder: Path) -> DnaTokenizer:
        """Read the vocabulary file of a model folder."""
        path = folder / TOKENIZER_FILE
        try:
            model = tokenizers.Tokenizer.from_str(plain_pairs(path))
        except Exception as error:
            raise CheckpointError(f"{path} is not a readable tokenizer file: {error}") from error
        return cls(model, source=str(path))

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return len(self._ids)

    @property
    def max_letters(self) -> int:
        """Bases of the longest token, runs of N aside."""
        return max(len(piece) for piece in self._pieces if "N" not in piece)

    def special_id(self, token: str) -> int:
        """Id of one of SPECIAL_TOKENS."""
        return self._ids[token]

    def encode_batch(self, sequences: Sequence[str]) -> list[Encoding]:
        """Encode clean DNA; see `clean_dna`."""
        encoded = self._model.encode_batch_fast(list(sequences), add_special_tokens=False)
        return [self._with_places(np.array(encoding.ids, np.int64)) for encoding in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        """The bases the ids stand for, special tokens left out."""
        return "".join(self._pieces[index] for index in ids)

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` into `folder`."""
        # the library's own save knows no OSError
        (folder / TOKENIZER_FILE).write_text(self._model.to_str(pretty=True), "utf-8", newline="\n")

    def _with_places(self, ids: NDArray[np.int64]) -> Encoding:
        ends = self.letters[ids].cumsum()
        return Encoding(ids, ends - self.letters[ids], ends)


def _with_runs_of_n(model: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    state = json.loads(model.to_str())
    vocab, merges = state["model"]["vocab"], state["model"]["merges"]
    for run in _N_RUNS:
        vocab[run] = len(vocab)
        merges.append([run[: len(run) // 2]] * 2)
    return tokenizers.Tokenizer.from_str(json.dumps(state))
