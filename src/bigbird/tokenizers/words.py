"""What a piece of a text vocabulary stands for: how many letters, and whether a word begins with it."""

from __future__ import annotations

import unicodedata

from bigbird.tokenizers.byte_alphabet import LETTERS

_BYTES = {letter: byte for byte, letter in enumerate(LETTERS)}
_WHITE_SPACE = frozenset(" \t\n\r\v\f")
_CHINESE = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FA1F))  # BERT's words of one sign


def num_letters(text: str) -> int:
    """Characters other than white space."""
    return sum(letter not in _WHITE_SPACE for letter in text)


def begins_word(text: str) -> bool:
    """Whether a word begins with `text`, which stands right behind other text.

    At white space, at what is neither letter nor digit, and at each Chinese sign, as BERT's splitter has it.
    """
    if not text:
        return False
    code = ord(text[0])
    is_chinese = any(low <= code <= high for low, high in _CHINESE)
    return is_chinese or unicodedata.category(text[0])[0] not in "LNM"  # letters, numbers, marks on letters


def bytes_of(piece: str) -> bytes:
    """A piece in GPT-2's alphabet as the bytes it stands for; a letter that is none of the alphabet as its UTF-8."""
    return b"".join(bytes((_BYTES[letter],)) if letter in _BYTES else letter.encode() for letter in piece)


def num_letters_of_bytes(data: bytes) -> int:
    """Characters that begin in `data` (UTF-8, perhaps cut), white space left out.

    The pieces of a text thus have as many letters together as the text, also where a character is cut in two.
    """
    return sum(byte >= 0xC0 or (byte < 0x80 and chr(byte) not in _WHITE_SPACE) for byte in data)


def begins_word_of_bytes(data: bytes) -> bool:
    """As `begins_word`; the rest of a cut character begins none."""
    if not data or data[0] & 0xC0 == 0x80:
        return False
    return begins_word(data[:4].decode("utf-8", "ignore"))
