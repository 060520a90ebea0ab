"""Places of answers: whole characters, no blanks at the ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigbird.tasks.characters import trimmed

LETTERS = ["a", "é", "e\u0301", "한", "\u1112\u1161\u11ab", "👩🏽\u200d💻", "🇫🇷", "ש\u05b8", "क\u094d", "❤\ufe0f", "0"]
BLANKS = [" ", "\t", "\r\n", "\n", "\u00a0", "\u3000"]


def one(text, start, end):
    starts, ends = trimmed(text, np.array([start]), np.array([end]))
    return text[int(starts[0]) : int(ends[0])]


@pytest.mark.parametrize("letter", LETTERS)
def test_a_place_never_cuts_a_character(letter):
    text = f"x{letter}y"
    for start in range(1, len(letter) + 1):
        for end in range(start + 1, len(letter) + 2):
            assert one(text, start, end).rstrip("y") == letter


def test_the_picture():
    text = "e\u0301👩🏽\u200d💻\r\na"
    assert one(text, 1, 8) == text[:6]


def test_a_joiner_joins_no_letter_to_what_is_before_it():
    assert one("क\u094d\u200da", 0, 1) == "क\u094d\u200d"


def test_two_flags_are_two_characters():
    text = "🇫🇷🇩🇪🇮🇹"
    assert [one(text, 2 * place, 2 * place + 1) for place in range(3)] == ["🇫🇷", "🇩🇪", "🇮🇹"]
    assert one("a🇫🇷", 2, 3) == "🇫🇷"


def test_blanks_alone_are_an_empty_place():
    starts, ends = trimmed("a \t\r\n b", np.array([1, 2, 0]), np.array([6, 3, 7]))
    assert (starts >= ends).tolist() == [True, True, False]


def test_a_blank_that_bears_a_mark_is_seen():
    assert one("a \u0301b", 1, 3) == " \u0301"


def test_an_empty_text_has_no_places():
    starts, ends = trimmed("", np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert len(starts) == len(ends) == 0


def test_a_lone_surrogate_is_a_character():
    assert one("a\ud800b", 1, 2) == "\ud800"


@given(st.lists(st.sampled_from(LETTERS + BLANKS), min_size=1, max_size=12), st.data())
def test_places_of_whole_characters_stay_and_lose_blanks_alone(parts, data):
    first = data.draw(st.integers(0, len(parts) - 1))
    last = data.draw(st.integers(first, len(parts) - 1))
    text = "".join(parts)
    start, end = len("".join(parts[:first])), len("".join(parts[: last + 1]))
    assert one(text, start, end) == text[start:end].strip()
