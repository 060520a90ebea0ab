"""Reading a sentencepiece `.model` file: a small protobuf of pieces, each with a score and a kind.

Read here, field by field, rather than through a library: the format needs three of protobuf's wire types, a strict
reader is shorter than the wrapping of a lenient one, and files come from strangers. Field numbers are those of
sentencepiece_model.proto (github.com/google/sentencepiece).
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from bigbird.errors import CheckpointError

MAX_FILE_BYTES = 64 << 20  # the largest published vocabularies (256,000 pieces) take 5 MB
MAX_PIECES = 400_000
MAX_PIECE_CHARACTERS = 512

_MAX_FIELDS = 100_000  # beside pieces, and of a setting; a trainer's list of symbols is one field each
_MAX_PIECE_FIELDS = 16  # of a piece, which has three

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_BYTE = re.compile("<0x[0-9A-F]{2}>")
_MODEL_TYPES = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


class Kind(IntEnum):
    """What a piece is for."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3  # placed by programs, never found in text
    SYMBOL = 4  # user-defined: always one token where it stands in text
    UNUSED = 5
    BYTE = 6  # stands for a byte of a character that no piece holds


@dataclass(frozen=True)
class SentencePieceModel:
    """The contents of a `.model` file; a piece's place is its id.

    charsmap     sentencepiece's compiled table of character replacements; empty: none
    unknown_text what decoding writes for the unknown piece
    """

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    kinds: tuple[Kind, ...]
    byte_fallback: bool
    charsmap: bytes
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool
    unknown_text: str

    @property
    def unknown_id(self) -> int:
        """Id of the one unknown piece."""
        return self.kinds.index(Kind.UNKNOWN)


def read_bytes(path: Path) -> bytes:
    """The bytes of a `.model` file, if it is there and not too large to be one."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise _refused(str(path), "it is no ordinary file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _refused(str(path), f"it has {path.stat().st_size} bytes, more than {MAX_FILE_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def parse_sentencepiece(data: bytes, *, source: str = "the model") -> SentencePieceModel:
    """Read the bytes of a `.model` file (or spiece.model); anything unusual is an error that names `source`."""
    try:
        return _parsed(data)
    except _Damaged as error:
        raise _refused(source, str(error)) from None


class _Damaged(Exception):
    """What is wrong, without the file's name."""


def _refused(source: str, error: str) -> CheckpointError:
    return CheckpointError(
        f"{source} is no usable sentencepiece model: {error}. Copy the file that was published with the checkpoint."
    )


def _parsed(data: bytes) -> SentencePieceModel:
    pieces: list[dict[int, Any]] = []
    specs: dict[int, dict[int, Any]] = {}
    for index, (number, value) in enumerate(_fields(data)):
        if index - len(pieces) > _MAX_FIELDS:
            raise _Damaged(f"it has more than {_MAX_FIELDS} fields beside its pieces")
        if number == 1:
            if len(pieces) == MAX_PIECES:
                raise _Damaged(f"it has more than {MAX_PIECES} pieces")
            pieces.append(_message(value, _PIECE, most=_MAX_PIECE_FIELDS))
        elif number in _SPECS:
            if number in specs:
                raise _Damaged(f"field {number} stands twice")
            specs[number] = _message(value, _SPECS[number], most=_MAX_FIELDS)
    trainer, normalizer = specs.get(2, {}), specs.get(3, {})
    _check_settings(trainer, normalizer)
    names = tuple(piece.get(1, "") for piece in pieces)
    kinds = tuple(piece.get(3, Kind.NORMAL) for piece in pieces)
    if len(trainer.get(44, "")) > MAX_PIECE_CHARACTERS:
        raise _Damaged(f"what it writes for the unknown piece has more than {MAX_PIECE_CHARACTERS} characters")
    _check_pieces(names, kinds, byte_fallback=trainer.get(35, False))
    return SentencePieceModel(
        pieces=names,
        scores=tuple(piece.get(2, 0.0) for piece in pieces),
        kinds=kinds,
        byte_fallback=trainer.get(35, False),
        charsmap=normalizer.get(2, b""),
        add_dummy_prefix=normalizer.get(3, True),
        remove_extra_whitespaces=normalizer.get(4, True),
        unknown_text=trainer.get(44, " ⁇ "),
    )


def _check_settings(trainer: dict[int, Any], normalizer: dict[int, Any]) -> None:
    if trainer.get(3, 1) != 1:
        kind = _MODEL_TYPES.get(trainer[3], trainer[3])
        raise _Damaged(f"its type is {kind}; bigbird reads unigram models, the type of BigBird's and Pegasus' files")
    if not normalizer.get(5, True) or trainer.get(24, False):
        raise _Damaged("it marks spaces in another way than by ▁ before a word, which bigbird does not read")


def _check_pieces(names: tuple[str, ...], kinds: tuple[Kind, ...], *, byte_fallback: bool) -> None:
    if kinds.count(Kind.UNKNOWN) != 1:
        raise _Damaged(f"it has {kinds.count(Kind.UNKNOWN)} unknown pieces; exactly one is needed")
    for index, name in enumerate(names):
        if not 0 < len(name) <= MAX_PIECE_CHARACTERS:
            raise _Damaged(f"piece {index} has {len(name)} characters; allowed are 1 to {MAX_PIECE_CHARACTERS}")
    if len(set(names)) < len(names):
        ((name, count),) = Counter(names).most_common(1)
        raise _Damaged(f"the piece {name!r} stands {count} times")
    if "▁" not in names:
        raise _Damaged("it lacks the piece ▁ (a space)")
    strange = [name for name, kind in zip(names, kinds, strict=True) if kind is Kind.BYTE and not _BYTE.fullmatch(name)]
    if strange:
        raise _Damaged(f"the piece {strange[0]!r} stands for a byte, and its name is none like <0x41>")
    num_bytes = len({f"<0x{byte:02X}>" for byte in range(256)} & set(names))
    if byte_fallback and (num_bytes, kinds.count(Kind.BYTE)) != (256, 256):
        raise _Damaged(f"it falls back to bytes and has {kinds.count(Kind.BYTE)} of the 256 byte pieces")


def _message(data: object, readers: dict[int, Callable[[object], Any]], *, most: int) -> dict[int, Any]:
    """The known fields of a message; unknown ones are passed over, as protobuf asks."""
    if not isinstance(data, bytes):
        raise _Damaged("a message has the wrong wire type")
    found = {}
    for index, (number, value) in enumerate(_fields(data)):
        if index == most:
            raise _Damaged(f"a message has more than {most} fields")
        if number in readers:
            found[number] = readers[number](value)
    return found


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """(number, value) of each field; values of fixed length as their bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == _BYTES:
            length, place = _varint(data, place)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise _Damaged(f"byte {place}: wire type {wire} does not occur in such files")
        if length > len(data) - place:
            raise _Damaged(f"byte {place}: a field of {length} bytes, but {len(data) - place} are left")
        yield number, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise _Damaged("it ends within a number")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise _Damaged(f"byte {place}: a number of more than ten bytes")


def _text(value: object) -> str:
    try:
        return _blob(value).decode()
    except UnicodeDecodeError:
        raise _Damaged(f"a piece or text is not UTF-8: {str(value)[:60]}") from None


def _blob(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise _Damaged("text or bytes have the wrong wire type")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise _Damaged("a number has the wrong wire type")
    return value


def _flag(value: object) -> bool:
    return bool(_number(value))


def _score(value: object) -> float:
    if not isinstance(value, bytes) or len(value) != 4:
        raise _Damaged("a score has the wrong wire type")
    score: float = struct.unpack("<f", value)[0]
    if not math.isfinite(score):
        raise _Damaged(f"a piece has the score {score}")
    return score


def _kind(value: object) -> Kind:
    number = _number(value)
    if number not in set(Kind):
        raise _Damaged(f"a piece has the unknown kind {number}")
    return Kind(number)


_PIECE: dict[int, Callable[[object], Any]] = {1: _text, 2: _score, 3: _kind}
_SPECS: dict[int, dict[int, Callable[[object], Any]]] = {
    2: {3: _number, 24: _flag, 35: _flag, 44: _text},  # trainer: model_type, whitespace as suffix, byte_fallback
    3: {2: _blob, 3: _flag, 4: _flag, 5: _flag},  # normalizer: charsmap, dummy prefix, extra whitespaces, escape
}
