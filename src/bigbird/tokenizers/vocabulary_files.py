"""Vocabularies of BERT and RoBERTa: vocab.txt, vocab.json with merges.txt, or tokenizer.json of a known shape.

Only pieces, merges and a few switches are taken out of a tokenizer.json, and the engine is built anew from them: the
format can hold regular expressions and any chain of steps, which a stranger's file shall neither run nor slip in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bigbird.errors import CheckpointError
from bigbird.tokenizers.base import TOKENIZER_FILE
from bigbird.tokenizers.byte_alphabet import LETTERS
from bigbird.tokenizers.families import Family
from bigbird.tokenizers.sentencepiece_file import MAX_PIECE_CHARACTERS, MAX_PIECES

WORD_FILE, PAIR_FILE, MERGES_FILE = "vocab.txt", "vocab.json", "merges.txt"
MAX_BYTES = 16 << 20  # the largest tokenizer.json of its kind, of 128,000 pieces, has 9 MB
_MAX_NESTED = 2 * MAX_PIECES  # brackets of a JSON file: a merge is a list in newer ones
_STRANGE = re.compile("[\n\r\ud800-\udfff]")
_LONGEST_WORD = 100  # letters; longer ones are unknown to every BERT


@dataclass(frozen=True)
class WordPieces:
    """Whole words, and parts that begin with ##. `strip_accents` None: as `lowercase`."""

    pieces: tuple[str, ...]
    lowercase: bool = True
    strip_accents: bool | None = None
    split_chinese: bool = True


@dataclass(frozen=True)
class BytePairs:
    """Pieces in GPT-2's alphabet of bytes, and which pairs become one, first ones first.

    add_prefix_space  whether the first word of a text counts as one behind a space
    mask_takes_space  whether <mask> found in text takes the space before it, which only tokenizer.json tells
    """

    pieces: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    add_prefix_space: bool = False
    mask_takes_space: bool = False


def read_vocabulary(folder: Path, family: Family, settings: Mapping[str, Any]) -> WordPieces | BytePairs:
    """The vocabulary of a folder; `settings` are those of its tokenizer_config.json."""
    is_words = family.kind == "word pieces"
    path = folder / TOKENIZER_FILE
    if not path.exists():
        path = folder / (WORD_FILE if is_words else PAIR_FILE)
    try:
        if path.name == TOKENIZER_FILE:
            described = _json(_bytes(path))
            found = _described_words(described, settings) if is_words else _described_pairs(described, settings)
            found = _with_added(described, found, family)
        else:
            found = _listed_words(path, settings) if is_words else _listed_pairs(path, settings)
        _check(found, family)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is no usable vocabulary of family {family.name}: {error}. Copy the files that were published with "
            f"the checkpoint."
        ) from None
    return found


def model_type(folder: Path) -> str | None:
    """`model.type` of a folder's tokenizer.json, "WordPiece" or "BPE" with bytes; None for others and none."""
    try:
        described = _json(_bytes(folder / TOKENIZER_FILE))
    except (OSError, ValueError, RecursionError):
        return None
    model, splitter = described.get("model"), described.get("pre_tokenizer")
    kind = model.get("type") if isinstance(model, dict) else None
    is_bytes = isinstance(splitter, dict) and splitter.get("type") == "ByteLevel"
    return kind if kind == "WordPiece" or (kind == "BPE" and is_bytes) else None


def plain_pairs(path: Path) -> str:
    """A tokenizer.json that holds a byte-pair model and no steps around it, as `DnaTokenizer` writes it."""
    data = _bytes(path)
    described = _json(data)
    _expect(_part(described, "model"), "model", type="BPE")
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        if described.get(name) is not None:
            raise ValueError(f"it has a {name}; a DNA vocabulary has none")
    return data.decode()


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path.name} is no ordinary file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
    return path.read_bytes()


def _json(data: bytes) -> dict[str, Any]:
    if data.count(b"[") + data.count(b"{") > _MAX_NESTED:
        raise ValueError(f"it has more than {_MAX_NESTED:,} lists and objects")
    values = json.loads(data.decode(), object_pairs_hook=_unique)
    if not isinstance(values, dict):
        raise ValueError("it holds no object of names")
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return values


def _listed_words(path: Path, settings: Mapping[str, Any]) -> WordPieces:
    text = _bytes(path).decode().replace("\r\n", "\n")
    pieces = tuple(text.removesuffix("\n").split("\n"))
    return WordPieces(
        pieces,
        lowercase=_switch(settings, "do_lower_case", True),
        strip_accents=_switch(settings, "strip_accents", None),
        split_chinese=_switch(settings, "tokenize_chinese_chars", True),
    )


def _listed_pairs(path: Path, settings: Mapping[str, Any]) -> BytePairs:
    lines = _bytes(path.with_name(MERGES_FILE)).decode().replace("\r\n", "\n").split("\n")
    merges = [line for index, line in enumerate(lines) if line and not (index == 0 and line.startswith("#version"))]
    return BytePairs(
        _ordered(_json(_bytes(path))), _pairs(merges), add_prefix_space=_switch(settings, "add_prefix_space", False)
    )


def _described_words(described: Mapping[str, Any], settings: Mapping[str, Any]) -> WordPieces:
    model, normalizer = _part(described, "model"), _part(described, "normalizer")
    _expect(model, "model", type="WordPiece", continuing_subword_prefix="##", max_input_chars_per_word=_LONGEST_WORD)
    _expect(normalizer, "normalizer", type="BertNormalizer", clean_text=True)
    _expect(_part(described, "pre_tokenizer"), "pre_tokenizer", type="BertPreTokenizer")
    found = WordPieces(
        _ordered(_part(model, "vocab")),
        lowercase=_switch(normalizer, "lowercase", True),
        strip_accents=_switch(normalizer, "strip_accents", None),
        split_chinese=_switch(normalizer, "handle_chinese_chars", True),
    )
    _check_same(settings, do_lower_case=found.lowercase, tokenize_chinese_chars=found.split_chinese)
    if settings.get("strip_accents") is not None:
        _check_same(settings, strip_accents=found.strip_accents)
    return found


def _described_pairs(described: Mapping[str, Any], settings: Mapping[str, Any]) -> BytePairs:
    model, splitter = _part(described, "model"), _part(described, "pre_tokenizer")
    if described.get("normalizer") is not None:
        raise ValueError("it has a normalizer; those of RoBERTa have none")
    _expect(model, "model", type="BPE")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback"):
        if model.get(name):
            raise ValueError(f"model.{name} is {str(model[name])[:100]!r}; those of RoBERTa have none")
    if model.get("ignore_merges"):
        raise ValueError("model.ignore_merges is true; those of RoBERTa follow their merges")
    _expect(splitter, "pre_tokenizer", type="ByteLevel")
    if splitter.get("use_regex", True) is not True:
        raise ValueError("pre_tokenizer.use_regex is not true; words would be split in another way")
    merges = model.get("merges")
    if not isinstance(merges, list):
        raise ValueError("model.merges must be a list")
    found = BytePairs(
        _ordered(_part(model, "vocab")), _pairs(merges), add_prefix_space=_switch(splitter, "add_prefix_space", False)
    )
    _check_same(settings, add_prefix_space=found.add_prefix_space)
    return found


def _ordered(vocab: Mapping[str, Any]) -> tuple[str, ...]:
    """Pieces in the order of their ids, which must be 0, 1, 2, …"""
    if not all(type(index) is int for index in vocab.values()):
        raise ValueError("an id is no whole number")
    pieces = sorted(vocab, key=vocab.__getitem__)
    if [vocab[piece] for piece in pieces] != list(range(len(pieces))):
        raise ValueError(f"the ids of its {len(pieces):,} pieces are not 0 to {len(pieces) - 1:,}, each once")
    return tuple(pieces)


def _pairs(merges: list[Any]) -> tuple[tuple[str, str], ...]:
    """Merges, each "a b" or ["a", "b"]."""
    found = [tuple(merge.split(" ")) if isinstance(merge, str) else merge for merge in merges]
    for pair in found:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise ValueError(f"a merge is {str(pair)[:100]!r}; it must name two pieces")
    return tuple((first, second) for first, second in found)


def _check(found: WordPieces | BytePairs, family: Family) -> None:
    pieces = set(found.pieces)
    if len(pieces) < len(found.pieces):
        raise ValueError("a piece stands twice")
    if not 0 < len(pieces) <= MAX_PIECES:
        raise ValueError(f"it has {len(pieces):,} pieces; allowed are 1 to {MAX_PIECES:,}")
    longest = max(found.pieces, key=len)
    if len(longest) > MAX_PIECE_CHARACTERS or "" in pieces:
        raise ValueError(f"a piece has {len(longest):,} characters; allowed are 1 to {MAX_PIECE_CHARACTERS}")
    strange = next((piece for piece in found.pieces if _STRANGE.search(piece)), None)
    if strange is not None:
        raise ValueError(f"the piece {strange[:50]!r} holds the end of a line or half of a character")
    special = set(family.names.values())
    missing = sorted(special - pieces)
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if isinstance(found, BytePairs):
        _check_merges(found, pieces, special)


def _check_merges(found: BytePairs, pieces: set[str], special: set[str]) -> None:
    lost = sorted(set(LETTERS) - pieces)
    if lost:
        raise ValueError(f"it lacks the letters of {len(lost)} bytes, {' '.join(lost[:3])} and so on")
    if len(found.merges) > MAX_PIECES:
        raise ValueError(f"it has {len(found.merges):,} merges; at most {MAX_PIECES:,} are read")
    for first, second in found.merges:
        if not {first, second, first + second} <= pieces:
            raise ValueError(f"the merge of {first[:50]!r} and {second[:50]!r} is of pieces that it lacks")
        if " " in first + second:
            raise ValueError(
                f"the merge of {first[:50]!r} and {second[:50]!r} holds a space, which is {LETTERS[32]} there"
            )
        if first + second in special:
            raise ValueError(f"a merge makes the special token {first + second}, so that any text could place it")


def _with_added(described: Mapping[str, Any], found: WordPieces | BytePairs, family: Family) -> WordPieces | BytePairs:
    """What is found whole in text must be the special tokens of the family, in the ways that its files know."""
    added = described.get("added_tokens") or []
    for entry in added if isinstance(added, list) else [None]:
        token = entry if isinstance(entry, dict) else {}
        content, index = token.get("content"), token.get("id")
        if type(index) is not int or not 0 <= index < len(found.pieces) or found.pieces[index] != content:
            raise ValueError(f"the added token {str(content)[:50]!r} is not in its vocabulary, which is not read")
        if content not in family.names.values():
            raise ValueError(
                f"the added token {str(content)[:50]!r} is none of family {family.name}, which is not read"
            )
        if token.get("single_word") or token.get("rstrip") or (isinstance(found, WordPieces) and token.get("lstrip")):
            raise ValueError(f"the added token {content} takes its surroundings in a way that is not read")
        if isinstance(found, BytePairs) and content == family.names["[MASK]"]:
            found = replace(found, mask_takes_space=bool(token.get("lstrip")))
    return found


def _check_same(settings: Mapping[str, Any], **found: bool | None) -> None:
    for name, value in found.items():
        if settings.get(name, value) != value:
            raise ValueError(
                f"it says {name} {value}, tokenizer_config.json says {repr(settings[name])[:50]}; one of them is "
                f"wrong. Take that line out of tokenizer_config.json, or take {TOKENIZER_FILE} away"
            )


def _part(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = values.get(name)
    if not isinstance(part, dict):
        raise ValueError(f"{name} must be an object")
    return part


def _expect(values: Mapping[str, Any], where: str, **expected: object) -> None:
    for name, value in expected.items():
        if values.get(name, None if name == "type" else value) != value:
            raise ValueError(f"{where}.{name} is {str(values.get(name))[:100]!r}; only {value!r} is read")


def _switch(values: Mapping[str, Any], name: str, default: Any) -> Any:
    value = values.get(name, default)
    if value is not default and not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {str(value)[:50]!r}")
    return value
