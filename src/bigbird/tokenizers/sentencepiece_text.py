"""A sentencepiece vocabulary of unigrams at work: normalizing, segmenting, placing, decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import CheckpointError, ConfigError
from bigbird.tokenizers.base import TOKENIZER_FILE, Encoding
from bigbird.tokenizers.byte_alphabet import byte_map, read_letters
from bigbird.tokenizers.charsmap import compiled_map
from bigbird.tokenizers.families import Family, in_layout_of
from bigbird.tokenizers.normalizer import Normalizer
from bigbird.tokenizers.segmenter import Segmenter
from bigbird.tokenizers.sentencepiece_file import Kind, SentencePieceModel, parse_sentencepiece
from bigbird.tokenizers.tokenizer_json import as_tokenizer
from bigbird.tokenizers.words import begins_word, begins_word_of_bytes, bytes_of, num_letters, num_letters_of_bytes

SENTENCEPIECE_FILE = "spiece.model"


class SentencePieceText:
    """The engine of the families whose vocabulary is a sentencepiece file; `data` is its contents."""

    settings: Mapping[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}

    def __init__(self, data: bytes, family: Family, *, source: str) -> None:
        self._data, self._family = data, family
        published = parse_sentencepiece(data, source=source)
        try:
            self.model = in_layout_of(family, published)
        except ConfigError as error:
            raise CheckpointError(f"{source}: {error}") from None
        self.normalizer = _normalizer(self.model, family, source)
        self._marks = np.array([len(piece) - len(piece.lstrip("▁")) for piece in self.pieces])
        self._marks[[piece.strip("▁") == "" for piece in self.pieces]] = 0  # a space alone keeps its place

    @property
    def pieces(self) -> tuple[str, ...]:
        """Names of all ids."""
        return self.model.pieces

    @property
    def ordinary_ids(self) -> NDArray[np.int64]:
        """All ids that stand for characters: neither special tokens nor symbols nor the unknown piece."""
        return np.flatnonzero([kind in (Kind.NORMAL, Kind.BYTE) for kind in self.model.kinds])

    @property
    def max_letters(self) -> int:
        """Characters of the longest piece; a run of unknown ones may be longer, and NFKC may shorten."""
        return max(len(self.pieces[index]) for index in self.ordinary_ids)

    @cached_property
    def letters(self) -> NDArray[np.int64]:
        """Characters of each id; of a character in bytes the first byte has it."""
        letters = np.zeros(len(self.pieces), np.int64)
        for index in self.ordinary_ids:
            data = self._meaning(index)
            letters[index] = num_letters(data) if isinstance(data, str) else num_letters_of_bytes(data)
        return letters

    @cached_property
    def word_starts(self) -> NDArray[np.bool_]:
        """Whether each id begins a word."""
        starts = np.ones(len(self.pieces), bool)
        for index in self.ordinary_ids:
            data = self._meaning(index)
            starts[index] = begins_word(data) if isinstance(data, str) else begins_word_of_bytes(data)
        return starts

    def encode_batch(self, texts: Sequence[str], *, read_symbols: bool) -> list[Encoding]:
        """Ids and places of each text, without special tokens."""
        normalized = [self.normalizer.apply(text) for text in texts]
        segmenter = self._reading if read_symbols else self._spelling
        segmented = segmenter.segment([text for text, _, _ in normalized])
        return [
            self._with_places(encoding, starts, ends)
            for encoding, (_, starts, ends) in zip(segmented, normalized, strict=True)
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """The text the ids stand for, special tokens left out, an unknown one as sentencepiece writes it ( ⁇ )."""
        text = b"".join(self._text_of(int(index)) for index in ids).decode("utf-8", "replace")
        text = self._without_prefix(text)
        return read_letters(text) if self._family.bytes_for_unknown else text

    def write(self, folder: Path) -> None:
        """Write spiece.model, which alone is read again, and tokenizer.json for other programs."""
        (folder / SENTENCEPIECE_FILE).write_bytes(self._data)
        engine = as_tokenizer(self.model, self._family)
        (folder / TOKENIZER_FILE).write_text(engine.to_str(pretty=True), "utf-8", newline="\n")

    @cached_property
    def _reading(self) -> Segmenter:
        return Segmenter(self.model, symbols=True)

    @cached_property
    def _spelling(self) -> Segmenter:
        return Segmenter(self.model, symbols=False)

    def _with_places(self, encoding: Encoding, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Encoding:
        if not len(encoding.ids):
            return encoding
        begins = np.minimum(encoding.starts + self._marks[encoding.ids], encoding.ends - 1)
        return Encoding(encoding.ids, starts[begins], ends[encoding.ends - 1])

    def _meaning(self, index: int) -> str | bytes:
        """What an ordinary piece stands for, as text or as bytes of it."""
        piece = self.pieces[index].replace("▁", " ")
        if self.model.kinds[index] is Kind.BYTE:
            return bytes((int(piece[3:5], 16),))
        return bytes_of(piece) if self._family.bytes_for_unknown else piece

    def _text_of(self, index: int) -> bytes:
        piece, kind = self.model.pieces[index], self.model.kinds[index]
        if kind is Kind.UNKNOWN:
            return self.model.unknown_text.encode()
        if kind is Kind.CONTROL or piece in self._family.names.values():
            return b""
        return bytes((int(piece[3:5], 16),)) if kind is Kind.BYTE else piece.encode()

    def _without_prefix(self, text: str) -> str:
        if self.model.remove_extra_whitespaces:
            text = text.lstrip("▁")
        elif self.model.add_dummy_prefix:
            text = text.removeprefix("▁")
        return text.replace("▁", " ")


def _normalizer(model: SentencePieceModel, family: Family, source: str) -> Normalizer:
    characters = byte_map() if family.bytes_for_unknown else compiled_map(model.charsmap, source=source)
    for piece, kind in zip(model.pieces, model.kinds, strict=True):
        mapped = characters.apply(piece).codes.tobytes().decode("utf-32-le") if kind is Kind.SYMBOL else piece
        if mapped != piece:
            raise CheckpointError(
                f"{source}: the symbol {piece!r} is changed by its own table of characters to {mapped!r}"
            )
    return Normalizer(characters, model.add_dummy_prefix, model.remove_extra_whitespaces)
