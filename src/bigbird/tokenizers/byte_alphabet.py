"""GPT-2's alphabet, a visible character for each byte: BigBird's pieces are spelled in it, which repairs its use."""

from __future__ import annotations

import numpy as np

from bigbird.tokenizers.charsmap import CharacterMap

_VISIBLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
LETTERS = [chr(byte) for byte in range(256)]
for _number, _byte in enumerate(sorted(set(range(256)) - set(_VISIBLE))):
    LETTERS[_byte] = chr(256 + _number)
_BYTES = {letter: byte for byte, letter in enumerate(LETTERS)}


def byte_map() -> CharacterMap:
    """Replaces each character other than printable ASCII and the space by the letters of its UTF-8 bytes: é -> Ã©."""
    may_grow = np.ones((3, 0x110000), bool)
    may_grow[:, 0x20:0x7F] = False
    return CharacterMap(None, may_grow, _spelled)


def _spelled(text: str, place: int) -> tuple[int, str]:
    return place + 1, "".join(LETTERS[byte] for byte in text[place].encode())


def read_letters(text: str) -> str:
    """What `byte_map` was given: Ã© -> é; bytes that are no UTF-8 become U+FFFD."""
    return bytes(_BYTES.get(letter, ord("?")) for letter in text.replace(" ", LETTERS[32])).decode("utf-8", "replace")
