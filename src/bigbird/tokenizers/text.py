"""Text as the tokens of a published checkpoint, each with its place in the text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import CheckpointError, ConfigError
from bigbird.tokenizers.base import TOKENIZER_FILE, Encoding
from bigbird.tokenizers.byte_alphabet import byte_map, read_letters
from bigbird.tokenizers.charsmap import compiled_map
from bigbird.tokenizers.families import FAMILIES, Family, family_named, in_layout_of
from bigbird.tokenizers.normalizer import Normalizer
from bigbird.tokenizers.segmenter import Segmenter
from bigbird.tokenizers.sentencepiece_file import Kind, SentencePieceModel, parse_sentencepiece, read_bytes
from bigbird.tokenizers.tokenizer_json import as_tokenizer

SENTENCEPIECE_FILE = "spiece.model"
SETTINGS_FILE = "tokenizer_config.json"


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
    """A sentencepiece vocabulary of unigrams and its family's special tokens.

        "The  ﬁfth"  ->  [▁The] [▁fifth]      starts 0 5, ends 3 9

    Ids are those of sentencepiece (docs/tokenizers.md says how equal). Places leave out the space before a word. A
    piece that is part of a replaced character (ﬁ -> f, i) has that whole character as its place.
    """

    def __init__(self, data: bytes, *, family: str, source: str = "the model") -> None:
        self.family = family_named(family)
        self._data = data
        published = parse_sentencepiece(data, source=source)
        try:
            self._model = in_layout_of(self.family, published)
        except ConfigError as error:
            raise CheckpointError(f"{source}: {error}") from None
        self._ids = {piece: index for index, piece in enumerate(self._model.pieces)}
        missing = sorted(set(self.family.names.values()) - set(self._ids))
        if missing:
            raise CheckpointError(
                f"{source} is no vocabulary of family {family}: it lacks {', '.join(missing)}. Choose another of "
                f"{', '.join(FAMILIES)}, or copy the file that was published with the checkpoint."
            )
        self._normalizer = _normalizer(self._model, self.family, source)
        self._marks = np.array([len(piece) - len(piece.lstrip("▁")) for piece in self._model.pieces])
        self._marks[[piece.strip("▁") == "" for piece in self._model.pieces]] = 0  # a space alone keeps its place

    @classmethod
    def from_sentencepiece(cls, path: Path, *, family: str) -> TextTokenizer:
        """Read a published vocabulary: spiece.model, gpt2.model (family bigbird) or pegasus.model (family pegasus)."""
        return cls(read_bytes(path), family=family, source=str(path))

    @classmethod
    def load(cls, folder: Path) -> TextTokenizer | None:
        """Read the vocabulary of a model folder, ours or one of the Hub; None when it has no spiece.model."""
        path = folder / SENTENCEPIECE_FILE
        return cls.from_sentencepiece(path, family=_family_of(folder)) if path.exists() else None

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return len(self._ids)

    @property
    def ordinary_ids(self) -> NDArray[np.int64]:
        """All ids that stand for characters: neither special tokens nor symbols nor the unknown piece."""
        return np.flatnonzero([kind in (Kind.NORMAL, Kind.BYTE) for kind in self._model.kinds])

    @property
    def max_letters(self) -> int:
        """Characters of the longest piece; a run of unknown ones may be longer, and NFKC may shorten."""
        return max(len(self._model.pieces[index]) for index in self.ordinary_ids)

    def special_id(self, token: str) -> int:
        """Id of a special token, by the name all tokenizers share ([CLS]) or the vocabulary's own (<pad>)."""
        piece = self.family.names.get(token, token)
        if piece not in self._ids or self._model.kinds[self._ids[piece]] in (Kind.NORMAL, Kind.BYTE):
            raise ConfigError(
                f"family {self.family.name} has no special token {token}; it has {', '.join(self.family.names)}"
            )
        return self._ids[piece]

    def encode_batch(self, sequences: Sequence[str], *, read_symbols: bool = True) -> list[Encoding]:
        """Encode each text, without special tokens.

        read_symbols  as sentencepiece does, text that spells a symbol ([MASK], <n>) becomes its token. False: text of
                      strangers can never place one; it is spelled out.
        """
        normalized = [self._normalizer.apply(text) for text in sequences]
        segmenter = self._reading if read_symbols else self._spelling
        segmented = segmenter.segment([text for text, _, _ in normalized])
        return [
            self._with_places(encoding, starts, ends)
            for encoding, (_, starts, ends) in zip(segmented, normalized, strict=True)
        ]

    def join(self, first: Encoding, second: Encoding | None = None) -> JoinedTexts:
        """Put the special tokens around encoded texts, which the caller has cut to length.

        bigbird  [CLS] a [SEP]      [CLS] a [SEP] b [SEP]      token types 0 0 0 1 1
        pegasus  a </s>             a b </s>                                 0 1 1
        """
        family, runs = self.family, []
        if family.first:
            runs.append(_special(self._ids[family.first], 0))
        runs.append(_ordinary(first, 0))
        if second is not None:
            if family.after_first:
                runs.append(_special(self._ids[family.after_first], 0))
            runs.append(_ordinary(second, 1))
        runs.append(_special(self._ids[family.last], 0 if second is None else 1))
        return JoinedTexts(*(np.concatenate(column) for column in zip(*runs, strict=True)))

    def decode(self, ids: Sequence[int]) -> str:
        """The text the ids stand for, special tokens left out, an unknown one as sentencepiece writes it ( ⁇ )."""
        parts = [self._text_of(int(index)) for index in ids]
        text = b"".join(parts).decode("utf-8", "replace")
        text = self._without_prefix(text)
        return read_letters(text) if self.family.bytes_for_unknown else text

    def save(self, folder: Path) -> None:
        """Write spiece.model, which `load` reads, and for other programs tokenizer.json with its settings."""
        (folder / SENTENCEPIECE_FILE).write_bytes(self._data)
        as_tokenizer(self._model, self.family).save(str(folder / TOKENIZER_FILE))
        settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bigbird_family": self.family.name}
        settings |= {_HF_NAMES[name]: piece for name, piece in self.family.names.items()}
        (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n")

    @cached_property
    def _reading(self) -> Segmenter:
        return Segmenter(self._model, symbols=True)

    @cached_property
    def _spelling(self) -> Segmenter:
        return Segmenter(self._model, symbols=False)

    def _with_places(self, encoding: Encoding, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Encoding:
        if not len(encoding.ids):
            return encoding
        begins = np.minimum(encoding.starts + self._marks[encoding.ids], encoding.ends - 1)
        return Encoding(encoding.ids, starts[begins], ends[encoding.ends - 1])

    def _text_of(self, index: int) -> bytes:
        piece, kind = self._model.pieces[index], self._model.kinds[index]
        if kind is Kind.UNKNOWN:
            return self._model.unknown_text.encode()
        if kind is Kind.CONTROL or piece in self.family.names.values():
            return b""
        return bytes((int(piece[3:5], 16),)) if kind is Kind.BYTE else piece.encode()

    def _without_prefix(self, text: str) -> str:
        if self._model.remove_extra_whitespaces:
            text = text.lstrip("▁")
        elif self._model.add_dummy_prefix:
            text = text.removeprefix("▁")
        return text.replace("▁", " ")


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


def _ordinary(encoding: Encoding, part: int) -> tuple[NDArray[np.int64], ...]:
    parts = np.full(len(encoding.ids), part, np.int64)
    return encoding.ids, parts, encoding.starts, encoding.ends, parts


def _normalizer(model: SentencePieceModel, family: Family, source: str) -> Normalizer:
    characters = byte_map() if family.bytes_for_unknown else compiled_map(model.charsmap, source=source)
    for piece, kind in zip(model.pieces, model.kinds, strict=True):
        mapped = characters.apply(piece).codes.tobytes().decode("utf-32-le") if kind is Kind.SYMBOL else piece
        if mapped != piece:
            raise CheckpointError(
                f"{source}: the symbol {piece!r} is changed by its own table of characters to {mapped!r}"
            )
    return Normalizer(characters, model.add_dummy_prefix, model.remove_extra_whitespaces)


def _family_of(folder: Path) -> str:
    path = folder / SETTINGS_FILE
    try:
        settings = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is needed beside {SENTENCEPIECE_FILE} and cannot be read: {error}") from None
    named = settings if isinstance(settings, dict) else {}
    if str(named.get("bigbird_family")) in FAMILIES:
        return str(named["bigbird_family"])
    by_class = {family.hf_class: name for name, family in reversed(FAMILIES.items())}
    tokenizer_class = str(named.get("tokenizer_class")).removesuffix("Fast")
    if tokenizer_class not in by_class:
        raise CheckpointError(
            f"{path}: bigbird_family must be one of {', '.join(FAMILIES)}, or tokenizer_class one of "
            f"{', '.join(by_class)}"
        )
    return by_class[tokenizer_class]
