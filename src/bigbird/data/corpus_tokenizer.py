"""The tokenizer of a corpus: taken from a model's folder or trained on it, kept in its folder, known by hash."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple, cast, get_args

from bigbird import randomness
from bigbird.data.files import sync
from bigbird.data.shards import TOKENIZER_FOLDER
from bigbird.data.text_parts import in_parts
from bigbird.errors import CheckpointError, ConfigError
from bigbird.tokenizers import DnaTokenizer, KmerTokenizer, Tokenizer, clean_dna, load_tokenizer
from bigbird.tokenizers.train_text import LARGEST_VOCABULARY, SMALLEST_VOCABULARY, train_text_tokenizer

Kind = Literal["dna-bpe", "single-base", "text-bpe"]
_NUMBERED: dict[Kind, tuple[int, int]] = {
    "dna-bpe": (16, 1 << 24),
    "text-bpe": (SMALLEST_VOCABULARY, LARGEST_VOCABULARY),
}
_PIECE_BP = 500  # what a DNA vocabulary is trained on
_LETTERS_TO_TRAIN = {"dna-bpe": 16_000_000, "text-bpe": 200_000_000}


class NewTokenizer(NamedTuple):
    """A kind of tokenizer to make: "dna-bpe:4096", "text-bpe:8000" or "single-base"."""

    kind: Kind
    number: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}" if self.kind in _NUMBERED else self.kind


def asked_tokenizer(text: str) -> NewTokenizer | Path:
    """What --tokenizer asks for: a kind to make, or the folder of one that exists."""
    kind, colon, number = text.partition(":")
    if kind not in get_args(Kind):
        folder = Path(text)
        if not text or not folder.is_dir():
            raise ConfigError(
                f"--tokenizer {text!r} is neither a folder with a tokenizer, nor a model that comes with bigbird, nor "
                f"one to make: {', '.join(map(_example, get_args(Kind)))}"
            )
        return folder
    kind = cast("Kind", kind)
    if kind not in _NUMBERED:
        if colon:
            raise ConfigError(f"--tokenizer {kind} takes no number, got {text!r}")
        return NewTokenizer(kind, 0)
    least, most = _NUMBERED[kind]
    if not re.fullmatch("[0-9]{1,9}", number) or not least <= int(number) <= most:
        raise ConfigError(
            f"--tokenizer {kind} needs a number from {least} to {most:,}, for example {_example(kind)}, got {text!r}"
        )
    return NewTokenizer(kind, int(number))


def make_tokenizer(asked: NewTokenizer, texts: Iterable[str]) -> Tokenizer:
    """Make a tokenizer; `texts` are read only when it is trained."""
    if asked.kind == "single-base":
        return DnaTokenizer.single_base()
    if asked.kind == "dna-bpe":
        return DnaTokenizer.train(_dna_pieces(texts), vocab_size=asked.number)
    return train_text_tokenizer(texts, vocab_size=asked.number)


def training_sample(texts: Iterable[str], *, num_letters: int, kind: Kind, seed: int) -> Iterator[str]:
    """A share of texts of together `num_letters` letters that is enough for a vocabulary, drawn alike all over.

    What is drawn are texts or, of long ones, parts: else of a corpus of three books all or none might be read.
    """
    share = min(1.0, _LETTERS_TO_TRAIN[kind] / max(num_letters, 1))
    parts = (part for text in texts for part in in_parts(text))
    for number, part in enumerate(parts):
        if randomness.uniform(seed, number) < share:
            yield part


def check_masks(tokenizer: Tokenizer) -> None:
    """Raise for a tokenizer without [MASK], which no model could be pretrained with."""
    if isinstance(tokenizer, KmerTokenizer):
        raise ConfigError(
            "a corpus is for masked language modelling, and tokens that spell out their bases cannot be masked. Take "
            "another tokenizer, for example --tokenizer dna-bpe:4096 or single-base."
        )


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> str:
    """Write a tokenizer into the corpus `folder`, whole or not at all; returns its id."""
    place, temporary = folder / TOKENIZER_FOLDER, folder / f".{TOKENIZER_FOLDER}.part"
    for old in (place, temporary):
        shutil.rmtree(old, ignore_errors=True)
    temporary.mkdir(parents=True)
    tokenizer.save(temporary)
    for file in temporary.iterdir():
        sync(file)
    temporary.rename(place)
    return _hash_of_folder(place)


def load_corpus_tokenizer(folder: Path, *, expected_id: str) -> Tokenizer:
    """The tokenizer in the corpus `folder`, if its files are those that were written."""
    place = folder / TOKENIZER_FOLDER
    if not place.is_dir() or _hash_of_folder(place) != expected_id:
        raise CheckpointError(
            f"{place} is not the tokenizer that the corpus was made with. Copy the corpus again, or delete {folder} "
            f"and prepare it anew."
        )
    return load_tokenizer(place)


def tokenizer_id(tokenizer: Tokenizer) -> str:
    """The SHA-256, in hexadecimal, of the files a tokenizer is saved as: two with the same id give the same ids."""
    with TemporaryDirectory(prefix="bigbird-tokenizer-") as name:
        tokenizer.save(Path(name))
        return _hash_of_folder(Path(name))


def reads_dna(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer takes clean DNA and nothing else."""
    return isinstance(tokenizer, DnaTokenizer)


def _example(kind: Kind) -> str:
    return {"dna-bpe": "dna-bpe:4096", "text-bpe": "text-bpe:16000"}.get(kind, kind)


def _dna_pieces(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        sequence = clean_dna(text).sequence
        yield from (sequence[start : start + _PIECE_BP] for start in range(0, len(sequence), _PIECE_BP))


def _hash_of_folder(folder: Path) -> str:
    """Over the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        digest.update(f"{path.name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()
