"""Vocabularies of BERT and RoBERTa at work, through `tokenizers`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tokenizers
from bigbird.tokenizers.base import TOKENIZER_FILE, Encoding
from bigbird.tokenizers.byte_alphabet import LETTERS, read_letters
from bigbird.tokenizers.engine import check_run
from bigbird.tokenizers.families import Family
from bigbird.tokenizers.vocabulary_files import MERGES_FILE, PAIR_FILE, WORD_FILE, BytePairs, WordPieces
from bigbird.tokenizers.words import begins_word_of_bytes, bytes_of, num_letters, num_letters_of_bytes
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

_SURROGATE = re.compile("[\ud800-\udfff]")
_LETTERS_AT_ONCE = 1 << 16  # of a text: `tokenizers` takes some 600 bytes for each while it works
# Behind a letter and before a space or such a mark both kinds of vocabulary end a word, and no special token goes on,
# as it would with ] or >. So the two sides can be read one after the other. Where the first word of a text counts as
# behind a space, only a space will do.
_SAFE = re.compile(r"[^\W\d_](?=[ \t\n\r!-/:-=?@\[\\^-`{-~。、，])")
_SAFE_BEFORE_SPACE = re.compile(r"[^\W\d_](?= )")
_NONE = np.empty(0, np.int64)
_SPACE = LETTERS[ord(" ")]


class PublishedPieces:
    """The engine of the families `bert` and `roberta`."""

    def __init__(self, vocabulary: WordPieces | BytePairs, family: Family) -> None:
        self._vocabulary, self._family = vocabulary, family
        self.pieces = vocabulary.pieces
        special = set(family.names.values())
        is_ordinary = [piece not in special and not _UNUSED.fullmatch(piece) for piece in self.pieces]
        self.ordinary_ids = np.flatnonzero(is_ordinary)
        self._special_ids = frozenset(index for index, piece in enumerate(self.pieces) if piece in special)

    @property
    def max_letters(self) -> int:
        """Characters of the longest piece; for RoBERTa its bytes."""
        return max(len(_bare(self.pieces[index])) for index in self.ordinary_ids)

    @cached_property
    def letters(self) -> NDArray[np.int64]:
        """Characters of each id; of bytes those that begin in it."""
        letters = np.zeros(len(self.pieces), np.int64)
        for index in self.ordinary_ids:
            piece = self.pieces[index]
            is_bytes = isinstance(self._vocabulary, BytePairs)
            letters[index] = num_letters_of_bytes(bytes_of(piece)) if is_bytes else num_letters(_bare(piece))
        return letters

    @cached_property
    def word_starts(self) -> NDArray[np.bool_]:
        """Whether each id begins a word; BERT's vocabulary marks those that do not."""
        starts = np.ones(len(self.pieces), bool)
        for index in self.ordinary_ids:
            piece = self.pieces[index]
            is_bytes = isinstance(self._vocabulary, BytePairs)
            starts[index] = begins_word_of_bytes(bytes_of(piece)) if is_bytes else _bare(piece) == piece
        return starts

    @property
    def settings(self) -> Mapping[str, Any]:
        """The switches, by their names in tokenizer_config.json."""
        vocabulary = self._vocabulary
        if isinstance(vocabulary, BytePairs):
            return {"tokenizer_class": self._family.hf_class, "add_prefix_space": vocabulary.add_prefix_space}
        return {
            "tokenizer_class": self._family.hf_class,
            "do_lower_case": vocabulary.lowercase,
            "strip_accents": vocabulary.strip_accents,
            "tokenize_chinese_chars": vocabulary.split_chinese,
        }

    def encode_batch(self, texts: Sequence[str], *, read_symbols: bool) -> list[Encoding]:
        """Ids and places of each text, without special tokens."""
        engine = self._reading if read_symbols else self._spelling
        return [self._encode(engine, _SURROGATE.sub("\ufffd", text)) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """The text the ids stand for, special tokens left out, an unknown word of BERT as [UNK]."""
        unknown = self.pieces.index(self._family.names["[UNK]"])
        kept = [self.pieces[index] for index in map(int, ids) if index == unknown or index not in self._special_ids]
        if isinstance(self._vocabulary, BytePairs):
            return read_letters("".join(kept))
        return " ".join(kept).replace(" ##", "")

    def write(self, folder: Path) -> None:
        """Write tokenizer.json, and the lists that older programs read."""
        engine = self._with_symbols(self._build())
        engine.post_processor = self._template()
        (folder / TOKENIZER_FILE).write_text(engine.to_str(pretty=True), "utf-8", newline="\n")
        if isinstance(self._vocabulary, WordPieces):
            (folder / WORD_FILE).write_text("".join(f"{piece}\n" for piece in self.pieces), newline="\n")
            return
        ids = {piece: index for index, piece in enumerate(self.pieces)}
        (folder / PAIR_FILE).write_text(json.dumps(ids, ensure_ascii=False))
        merges = "".join(f"{first} {second}\n" for first, second in self._vocabulary.merges)
        (folder / MERGES_FILE).write_text(f"#version: 0.2\n{merges}", newline="\n")

    @cached_property
    def _reading(self) -> tokenizers.Tokenizer:
        return self._with_symbols(self._build())

    @cached_property
    def _spelling(self) -> tokenizers.Tokenizer:
        return self._build()

    def _build(self) -> tokenizers.Tokenizer:
        if isinstance(self._vocabulary, BytePairs):
            return _byte_pairs(self._vocabulary)
        return _word_pieces(self._vocabulary, unknown=self._family.names["[UNK]"])

    def _template(self) -> processors.TemplateProcessing:
        """What `TextTokenizer.join` does, for other programs."""
        family = self._family
        second = family.second_type
        between = [f"{piece}:0" for piece in family.after_first]
        used = {f"{family.first}", family.last, *family.after_first}
        return processors.TemplateProcessing(
            single=[f"{family.first}:0", "$A:0", f"{family.last}:0"],
            pair=[f"{family.first}:0", "$A:0", *between, f"$B:{second}", f"{family.last}:{second}"],
            special_tokens=[(piece, self.pieces.index(piece)) for piece in sorted(used)],
        )

    def _with_symbols(self, engine: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
        engine.add_special_tokens([self._added(piece) for piece in dict.fromkeys(self._family.names.values())])
        return engine

    def _added(self, piece: str) -> AddedToken:
        takes_space = isinstance(self._vocabulary, BytePairs) and self._vocabulary.mask_takes_space
        return AddedToken(
            piece, normalized=False, special=True, lstrip=takes_space and piece == self._family.names["[MASK]"]
        )

    def _encode(self, engine: tokenizers.Tokenizer, text: str) -> Encoding:
        has_prefix = isinstance(self._vocabulary, BytePairs) and self._vocabulary.add_prefix_space
        parts = _parts(text, _SAFE_BEFORE_SPACE if has_prefix else _SAFE)
        read = [(_NONE, _NONE, _NONE), *(_part(engine, text[start:end], start) for start, end in parts)]
        ids, starts, ends = (np.concatenate(column) for column in zip(*read, strict=True))
        if isinstance(self._vocabulary, BytePairs):
            starts = self._without_space(text, ids, starts, ends)
        return Encoding(ids, starts, ends)

    def _without_space(
        self, text: str, ids: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Starts behind the space that belongs to a word; a space alone keeps its place."""
        letters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        is_space = letters[starts] == ord(" ") if len(letters) else np.zeros(len(starts), bool)
        is_before_word: NDArray[np.bool_] = self._begins_with_space[ids] & is_space & (ends - starts > 1)
        return starts + is_before_word.astype(np.int64)

    @cached_property
    def _begins_with_space(self) -> NDArray[np.bool_]:
        return np.array([piece.startswith(_SPACE) and piece.strip(_SPACE) != "" for piece in self.pieces])


_UNUSED = re.compile(r"\[unused\d+\]")


def _bare(piece: str) -> str:
    return piece.removeprefix("##")


def _parts(text: str, safe: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Parts of a text that are read alone, each of some _LETTERS_AT_ONCE characters."""
    start = 0
    while start < len(text):
        found = safe.search(text, start + _LETTERS_AT_ONCE)
        end = found.end() if found else len(text)
        check_run(end - start - _LETTERS_AT_ONCE)
        yield start, end
        start = end


def _part(
    engine: tokenizers.Tokenizer, text: str, before: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    encoded = engine.encode(text, add_special_tokens=False)
    places = np.array(encoded.offsets, np.int64).reshape(-1, 2) + before
    return np.array(encoded.ids, np.int64), places[:, 0], places[:, 1]


def _word_pieces(vocabulary: WordPieces, *, unknown: str) -> tokenizers.Tokenizer:
    ids = {piece: index for index, piece in enumerate(vocabulary.pieces)}
    engine = tokenizers.Tokenizer(models.WordPiece(ids, unk_token=unknown, max_input_chars_per_word=100))
    engine.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=vocabulary.split_chinese,
        strip_accents=vocabulary.strip_accents,
        lowercase=vocabulary.lowercase,
    )
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece(prefix="##")
    return engine


def _byte_pairs(vocabulary: BytePairs) -> tokenizers.Tokenizer:
    ids = {piece: index for index, piece in enumerate(vocabulary.pieces)}
    engine = tokenizers.Tokenizer(models.BPE(ids, list(vocabulary.merges)))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=vocabulary.add_prefix_space)
    engine.decoder = decoders.ByteLevel()
    return engine
