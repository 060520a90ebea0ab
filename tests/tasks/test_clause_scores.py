"""CUAD's figures. Numbers are those of its evaluate.py."""

import math

import pytest

from bigbird.data.questions import Question
from bigbird.errors import DataError
from bigbird.tasks import metrics
from bigbird.tasks.clause_scores import FoundText, clause_scores


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(metrics, "NUM_RESAMPLES", 20)


def question(name, *accepted):
    return Question(name=name, title=name, question="?", document="d", accepted=accepted, is_impossible=not accepted)


def scores(*asked):
    """(name, accepted texts, (text, probability) found) of each question: AUPR, precision at 80 % and 90 % recall."""
    questions = [question(name, *accepted) for name, accepted, _ in asked]
    some = clause_scores(questions, [[FoundText(*one) for one in found] for *_, found in asked])
    return tuple(estimate.value for estimate in some)


CONTAINING = [("between Acme and the other company of", 0.7)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            [
                (
                    "1 Law",
                    ["governing law of Ohio", "laws of Ohio"],
                    [("governing law of Ohio", 0.9), ("the state", 0.4)],
                ),
                ("2 Law", [], [("none", 0.2)]),
            ],
            (0.5, 0, 0),
        ),
        (  # signs and / aside, order of words aside, the empty text aside, two right texts for one clause
            [
                ("1 Law", ["a b c d"], [("A B, C/d.", 0.8), ("q", 0.9)]),
                ("2 Law", ["x y"], [("y x", 0.35), ("", 0.99), ("x y", 0.3)]),
                ("3 Law", [], [("z", 0.5)]),
            ],
            (0.5, 0.5, 0.5),
        ),
        (  # names may be contained, with the capitals they have
            [
                ("1 Parties", ["Acme"], CONTAINING),
                ("2 Parties", ["Bolt Inc."], [("bolt inc", 0.6), ("nobody", 0.65)]),
            ],
            (5 / 6, 2 / 3, 2 / 3),
        ),
        ([("1 Law", ["Acme"], CONTAINING)], (0, 0, 0)),
        ([("1 Law", ["Acme"], [("Acme", 0.0005)])], (1, 0, 0)),  # the last step is not looked at
        ([("1 Law", ["Acme"], [("Acme", 0.0)])], (0, 0, 0)),
        ([("1 Law", ["Acme"], [])], (0, 0, 0)),
        (  # a clause that stands twice is missed twice; of equal texts the last probability counts
            [("1 Law", ["Acme", "Acme"], [("Acme", 0.5), ("Acme", 0.2)]), ("2 Law", ["Bolt"], [("nut", 0.3)])],
            (4 / 9, 0, 0),
        ),
    ],
)
def test_clauses_score_as_officially(asked, expected):
    assert scores(*asked) == pytest.approx(expected, abs=1e-12)


def test_contracts_without_clauses_have_no_score():
    """Officially 0."""
    assert all(map(math.isnan, scores(("1 Law", [], [("Acme", 0.5)]))))


def test_what_cannot_be_scored_is_said():
    with pytest.raises(
        DataError, match="question 'q': the probability of a clause found must lie from 0 to 1, got 1.5"
    ):
        clause_scores([question("q", "a")], [[FoundText("a", 1.5)]])
    with pytest.raises(DataError, match="there are 1 questions and 0 answers"):
        clause_scores([question("q", "a")], [])
