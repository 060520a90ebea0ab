"""Text as the tokens of a published checkpoint, each with its place in the text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import CheckpointError, ConfigError
from bigbird.tokenizers.base import TOKENIZER_FILE, Encoding
from bigbird.tokenizers.engine import Engine
from bigbird.tokenizers.families import FAMILIES, Family, family_named
from bigbird.tokenizers.published_pieces import PublishedPieces
from bigbird.tokenizers.sentencepiece_file import read_bytes
from bigbird.tokenizers.sentencepiece_text import SENTENCEPIECE_FILE, SentencePieceText
from bigbird.tokenizers.vocabulary_files import MERGES_FILE, PAIR_FILE, WORD_FILE, model_type, read_vocabulary

SETTINGS_FILE = "tokenizer_config.json"
_MOST_SETTINGS_BYTES = 4 << 20


class JoinedTexts(NamedTuple):
    """One text or a pair with the special tokens of the family.

    ids, token_types  int64 [length]; token type 0: the first text and what stands before and behind it, 1: the second
    starts, ends      int64 [length], characters of the token's own text; 0, 0 for special tokens
    parts             int64 [length]: 0 first text, 1 second, -1 special
    """

    ids: NDArray[np.int64]
    token_types: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    parts: NDArray[np.int64]


class TextTokenizer:
    """A published vocabulary and its family's special tokens.

        "The  ﬁfth"  ->  [▁The] [▁fifth]      starts 0 5, ends 3 9

    Ids are those of sentencepiece for the families bigbird and pegasus, of Hugging Face's tokenizers for bert and
    roberta (docs/tokenizers.md says how equal). Places leave out the space before a word. A piece that is part of a
    replaced character (ﬁ -> f, i) has that whole character as its place.

    vocabulary  the contents of a sentencepiece file, or the engine of another kind
    """

    def __init__(self, vocabulary: bytes | Engine, *, family: str, source: str = "the model") -> None:
        self.family = family_named(family)
        self._engine: Engine = (
            SentencePieceText(vocabulary, _of_sentencepiece(self.family), source=source)
            if isinstance(vocabulary, bytes)
            else vocabulary
        )
        self._ids = {piece: index for index, piece in enumerate(self._engine.pieces)}
        missing = sorted(set(self.family.names.values()) - set(self._ids))
        if missing:
            raise CheckpointError(
                f"{source} is no vocabulary of family {family}: it lacks {', '.join(missing)}. Choose another of "
                f"{', '.join(FAMILIES)}, or copy the file that was published with the checkpoint."
            )
        self._ordinary = frozenset(self._engine.ordinary_ids.tolist())

    @classmethod
    def from_folder(cls, folder: str | Path) -> TextTokenizer:
        """Read the text vocabulary of a model folder, ours or one of the Hub; its files tell the family."""
        found = cls.load(Path(folder))
        if found is None:
            raise CheckpointError(
                f"{folder} has no text vocabulary: no {SENTENCEPIECE_FILE}, {WORD_FILE}, {PAIR_FILE} with "
                f"{MERGES_FILE}, nor a {TOKENIZER_FILE} of BERT's or RoBERTa's kind"
            )
        return found

    @classmethod
    def from_sentencepiece(cls, path: Path, *, family: str) -> TextTokenizer:
        """Read a published vocabulary: spiece.model, gpt2.model (family bigbird) or pegasus.model (family pegasus)."""
        return cls(read_bytes(path), family=family, source=str(path))

    @classmethod
    def load(cls, folder: Path) -> TextTokenizer | None:
        """As `from_folder`; None when the folder has no vocabulary of text."""
        path = folder / SENTENCEPIECE_FILE
        if path.exists():
            return cls.from_sentencepiece(path, family=_family_of(folder))
        name = _family_of_pieces(folder)
        if name is None:
            return None
        family = FAMILIES[name]
        vocabulary = read_vocabulary(folder, family, _settings(folder))
        return cls(PublishedPieces(vocabulary, family), family=name, source=str(folder))

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return len(self._ids)

    @property
    def pieces(self) -> tuple[str, ...]:
        """Names of all ids, in the vocabulary's own spelling."""
        return self._engine.pieces

    @property
    def ordinary_ids(self) -> NDArray[np.int64]:
        """All ids that stand for characters: neither special tokens nor symbols nor the unknown piece."""
        return self._engine.ordinary_ids

    @property
    def max_letters(self) -> int:
        """Characters of the longest piece; a run of unknown ones may be longer, and normalizing may shorten."""
        return self._engine.max_letters

    @property
    def letters(self) -> NDArray[np.int64]:
        """Characters that each id stands for, see `Tokenizer`."""
        return self._engine.letters

    @property
    def word_starts(self) -> NDArray[np.bool_]:
        """Whether each id begins a word: by its space, as punctuation or as one of the Chinese signs (Devlin 2019)."""
        return self._engine.word_starts

    def special_id(self, token: str) -> int:
        """Id of a special token, by the name all tokenizers share ([CLS]) or the vocabulary's own (<pad>)."""
        piece = self.family.names.get(token, token)
        if piece not in self._ids or self._ids[piece] in self._ordinary:
            raise ConfigError(
                f"family {self.family.name} has no special token {token}; it has {', '.join(self.family.names)}"
            )
        return self._ids[piece]

    def encode_batch(self, sequences: Sequence[str], *, read_symbols: bool = True) -> list[Encoding]:
        """Encode each text, without special tokens.

        read_symbols  as the published tokenizers do, text that spells a symbol ([MASK], <n>) becomes its token. False:
                      text of strangers can never place one; it is spelled out.
        """
        return self._engine.encode_batch(sequences, read_symbols=read_symbols)

    def join(self, first: Encoding, second: Encoding | None = None) -> JoinedTexts:
        """Put the special tokens around encoded texts, which the caller has cut to length.

        bigbird, bert  [CLS] a [SEP]      [CLS] a [SEP] b [SEP]      token types 0 0 0 1 1
        roberta        <s> a </s>         <s> a </s></s> b </s>                  all 0
        pegasus        a </s>             a b </s>                               0 1 1
        """
        family, runs = self.family, []
        if family.first:
            runs.append(_special(self._ids[family.first], 0))
        runs.append(_ordinary(first, 0, 0))
        if second is not None:
            runs += [_special(self._ids[piece], 0) for piece in family.after_first]
            runs.append(_ordinary(second, 1, family.second_type))
        runs.append(_special(self._ids[family.last], 0 if second is None else family.second_type))
        return JoinedTexts(*(np.concatenate(column) for column in zip(*runs, strict=True)))

    def decode(self, ids: Sequence[int]) -> str:
        """The text the ids stand for, special tokens left out; what is unknown as the family's library writes it."""
        return self._engine.decode(ids)

    def save(self, folder: Path) -> None:
        """Write the vocabulary's files, which `load` reads, and for other programs tokenizer.json with its settings."""
        self._engine.write(folder)
        settings = {**self._engine.settings, "bigbird_family": self.family.name}
        settings |= {_HF_NAMES[name]: piece for name, piece in self.family.names.items()}
        (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n")


_HF_NAMES = {
    "[PAD]": "pad_token",
    "[UNK]": "unk_token",
    "[BOS]": "bos_token",
    "[EOS]": "eos_token",
    "[CLS]": "cls_token",
    "[SEP]": "sep_token",
    "[MASK]": "mask_token",
}


def _special(index: int, token_type: int) -> tuple[NDArray[np.int64], ...]:
    return tuple(np.array([value], np.int64) for value in (index, token_type, 0, 0, -1))


def _ordinary(encoding: Encoding, part: int, token_type: int) -> tuple[NDArray[np.int64], ...]:
    parts, types = (np.full(len(encoding.ids), value, np.int64) for value in (part, token_type))
    return encoding.ids, types, encoding.starts, encoding.ends, parts


def _of_sentencepiece(family: Family) -> Family:
    if family.kind != "sentencepiece":
        raise ConfigError(
            f"family {family.name} has no sentencepiece file; TextTokenizer.from_folder reads a folder with its own"
        )
    return family


def _family_of_pieces(folder: Path) -> str | None:
    """The family of a folder without spiece.model, by its settings or its files; None when it has none of text."""
    settings = _settings(folder)
    named = str(settings.get("bigbird_family"))
    by_class = {family.hf_class: name for name, family in FAMILIES.items() if family.kind != "sentencepiece"}
    named = named if named in by_class.values() else by_class.get(_tokenizer_class(settings), "")
    if named:
        return named
    if (folder / WORD_FILE).exists():
        return "bert"
    if (folder / PAIR_FILE).exists() and (folder / MERGES_FILE).exists():
        return "roberta"
    kinds = {"WordPiece": "bert", "BPE": "roberta"}
    return kinds.get(model_type(folder) or "")


def _family_of(folder: Path) -> str:
    """The family of a folder with spiece.model."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        raise CheckpointError(f"{path} is needed beside {SENTENCEPIECE_FILE} and cannot be read: it does not exist")
    named, pieces = _settings(folder), [family for family in FAMILIES.values() if family.kind == "sentencepiece"]
    if str(named.get("bigbird_family")) in [family.name for family in pieces]:
        return str(named["bigbird_family"])
    by_class = {family.hf_class: family.name for family in reversed(pieces)}
    if _tokenizer_class(named) not in by_class:
        raise CheckpointError(
            f"{path}: bigbird_family must be one of {', '.join(family.name for family in pieces)}, or tokenizer_class "
            f"one of {', '.join(by_class)}"
        )
    return by_class[_tokenizer_class(named)]


def _tokenizer_class(settings: Mapping[str, Any]) -> str:
    return str(settings.get("tokenizer_class")).removesuffix("Fast")


def _settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json; empty when there is none."""
    path = folder / SETTINGS_FILE
    if not path.exists():
        return {}
    try:
        if not path.is_file():  # a pipe would be waited for
            raise ValueError("it is no ordinary file")
        if path.stat().st_size > _MOST_SETTINGS_BYTES:
            raise ValueError(f"it has {path.stat().st_size:,} bytes; at most {_MOST_SETTINGS_BYTES:,} are read")
        settings = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    return settings if isinstance(settings, dict) else {}
