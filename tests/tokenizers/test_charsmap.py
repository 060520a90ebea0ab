import struct
import time
import unicodedata

import pytest

import sentencepiece_models as made
from bigbird.errors import CheckpointError
from bigbird.tokenizers.charsmap import CharacterMap, compiled_map
from bigbird.tokenizers.normalizer import Normalizer

MAP = compiled_map(made.charsmap_bytes(made.NFKC), source="here")


def mapped(text):
    codes, starts, ends = MAP.apply(text)
    return codes.tobytes().decode("utf-32-le"), list(zip(starts.tolist(), ends.tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "expected", "places"),
    [
        ("", "", []),
        ("ab", "ab", [(0, 1), (1, 2)]),
        ("ｔｈ", "th", [(0, 1), (1, 2)]),
        ("aﬁ b", "afi b", [(0, 1), (1, 2), (1, 2), (2, 3), (3, 4)]),
        ("xe\u0301y", "xéy", [(0, 1), (1, 3), (3, 4)]),
        ("e\u0301\u0301", "é\u0301", [(0, 2), (2, 3)]),
        ("ﬁ\u0301", "fi\u0301", [(0, 1), (0, 1), (1, 2)]),  # tokenizers loses the accent here
        ("ᄒ\u1161\u11ab", "한", [(0, 3)]),  # and does not join these
        ("ᄒ\u1161ᄒ", "하ᄒ", [(0, 2), (2, 3)]),
        ("a\u200bb", "ab", [(0, 1), (2, 3)]),
        ("\ud800a", "\ufffda", [(0, 1), (1, 2)]),
    ],
)
def test_the_longest_key_is_replaced_and_places_are_kept(text, expected, places):
    assert mapped(text) == (expected, places)


def test_spaces_are_merged_marked_and_dropped_at_the_ends():
    text, starts, ends = Normalizer(MAP, add_prefix=True, merge_spaces=True).apply(" a \n ﬁt ")
    assert text == "▁a▁fit"
    assert starts.tolist() == [1, 1, 2, 5, 5, 6]
    assert ends.tolist() == [1, 2, 3, 6, 6, 7]


def test_no_table_changes_nothing():
    assert CharacterMap().apply("ﬁ\u0301").codes.tolist() == [ord("ﬁ"), 0x301]
    assert compiled_map(b"", source="").apply("Ａ").codes.tolist() == [ord("Ａ")]


GOOD = made.charsmap_bytes({"a": "b"})
SIZE = struct.unpack("<I", GOOD[:4])[0]


def sharing():
    """A trie in which all first bytes lead to the same second ones, these to the same third: 835,584 keys in 5 kB."""
    first = (*range(0xE1, 0xED), *range(0xF1, 0xF4))
    units = [0] * 256 * 5
    units[0] = 256 << 10
    for level, labels in enumerate((first, *[range(0x80, 0xC0)] * 3), start=1):
        for byte in labels:
            here = 256 * level ^ byte
            units[here] = (here ^ 256 * (level + 1)) << 10 | byte
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units)


@pytest.mark.parametrize(
    "data",
    [
        b"ab",
        struct.pack("<I", 1 << 30) + bytes(100),
        struct.pack("<I", 6) + bytes(100),
        struct.pack("<I", 0) + bytes(100),
        GOOD[: 4 + SIZE],  # no texts
        GOOD.replace(b"b\0", b"\xff\0"),
        made.charsmap_bytes({"a": "b"}).replace(struct.pack("<I", 1 << 31), struct.pack("<I", 1 << 31 | 77)),
        sharing(),
    ],
    ids=["short", "huge", "odd", "empty", "no texts", "no UTF-8", "place outside", "too many keys"],
)
def test_a_damaged_table_is_refused_at_once(data):
    start = time.perf_counter()
    with pytest.raises(CheckpointError, match="here: its table of character replacements is damaged. Copy the file"):
        compiled_map(data, source="here")
    assert time.perf_counter() - start < 2


def test_a_key_of_several_characters_that_leads_outside_is_found_when_it_is_used():
    whole = made.charsmap_bytes({"ab": "c", "d": "e"})
    damaged = whole.replace(struct.pack("<I", 1 << 31), struct.pack("<I", 1 << 31 | 7777))
    assert damaged != whole
    own = compiled_map(damaged, source="here")
    assert own.apply("dax").codes.tobytes().decode("utf-32-le") == "eax"
    with pytest.raises(CheckpointError, match="here: its table of character replacements is damaged"):
        own.apply("ab")


def test_a_replacement_longer_than_any_character_s_is_damage():
    assert compiled_map(made.charsmap_bytes({"a": "b" * 200}), source="").apply("aa").codes.shape == (400,)
    with pytest.raises(CheckpointError, match="here: its table of character replacements is damaged"):
        compiled_map(made.charsmap_bytes({"a": "b" * 300}), source="here")


def test_a_table_made_from_unicode_s_own_nfkc_gives_it():
    letters = [chr(code) for code in (*range(0xA0, 0x180), *range(0xFF00, 0xFFA0), *range(0xFB00, 0xFB07))]
    letters = [letter for letter in letters if unicodedata.normalize("NFKC", letter) != letter]
    table = {letter: unicodedata.normalize("NFKC", letter) for letter in letters}
    own = compiled_map(made.charsmap_bytes(table), source="")
    text = "a".join(letters)
    assert own.apply(text).codes.tobytes().decode("utf-32-le") == "a".join(table.values())
