"""Strings compared as SQuAD 2.0's evaluate-v2.0.py compares them; values from its rules, worked by hand."""

import pytest

from bigbird.data.answer_text import squad_text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The  Cat,\tsat.", "cat sat"),
        ("an A the", ""),
        ("theatre", "theatre"),
        ("U.S.", "us"),
        ("the-end", "theend"),
        ("“quoted”", "“quoted”"),  # only ASCII signs are taken away
        ("ÉTÉ", "été"),
        ("", ""),
    ],
)
def test_normalizing(answer, expected):
    assert squad_text(answer) == expected
