"""Strings compared as SQuAD 2.0's evaluate-v2.0.py compares them; values from its rules, worked by hand."""

import pytest

from bigbird.tasks.answer_text import exact_match, f1, normalized


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
    assert normalized(answer) == expected


@pytest.mark.parametrize(
    ("prediction", "accepted", "exact", "overlap"),
    [
        ("the cat", ["cat"], 1, 1),
        ("cat", ["dog", "a cat."], 1, 1),
        ("big cat", ["cat"], 0, 2 / 3),
        ("cat cat", ["cat"], 0, 2 / 3),
        ("dog", ["cat"], 0, 0),
        ("", [], 1, 1),
        ("cat", [], 0, 0),
        ("", ["cat"], 0, 0),
        ("the", ["cat"], 0, 0),
        ("", ["the"], 1, 1),  # of which nothing is left: as if there were no answer
        ("cat", ["the", "cat"], 1, 1),
    ],
)
def test_exact_match_and_f1(prediction, accepted, exact, overlap):
    assert exact_match(prediction, accepted) == exact
    assert f1(prediction, accepted) == pytest.approx(overlap)
