"""SQuAD's figures. Numbers are those of the official scripts, evaluate-v1.1.py and evaluate-v2.0.py."""

import math

import pytest

from bigbird.data.questions import Question
from bigbird.errors import DataError
from bigbird.tasks import metrics
from bigbird.tasks.answer_scores import answer_scores


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(metrics, "NUM_RESAMPLES", 20)


def question(*accepted, title="", name="q"):
    return Question(name=name, title=title, question="?", document=name, accepted=accepted, is_impossible=not accepted)


ODD = [  # accepted, answer, exact and F1 by 1.1, by 2.0
    (("the end of 2019",), "In 2019", (0, 0.4), (0, 0.4)),
    (("The Who",), "Who", (1, 1), (1, 1)),
    (("U.S.-led",), "usled", (1, 1), (1, 1)),
    (("U.S.-led",), "US led", (0, 0), (0, 0)),
    (("“naïve”",), "naïve", (0, 0), (0, 0)),  # such quotes are letters to the scripts
    (("café",), "cafe\u0301", (0, 0), (0, 0)),  # é in one character and in two
    (("A",), "", (1, 0), (1, 1)),
    (("A",), "the", (1, 0), (1, 1)),
    (("New York", "New York City"), "new york  city!", (1, 1), (1, 1)),
    (("New York",), "", (0, 0), (0, 0)),
    (("yes",), "Yes.", (1, 1), (1, 1)),
    (("ten\u00a0days",), "ten days", (1, 1), (1, 1)),
    (("a an the cat cat",), "cat", (0, 2 / 3), (0, 2 / 3)),
]


@pytest.mark.parametrize(("accepted", "answer", "old", "new"), ODD)
def test_odd_answers_score_as_officially(accepted, answer, old, new):
    for rules, expected in (("1.1", old), ("2.0", new)):
        scores = answer_scores([question(*accepted)], [answer], rules=rules)
        assert (scores.exact.value, scores.f1.value) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("answer", "expected"), [("", 1), ("the", 1), ("May", 0)])
def test_an_impossible_question_wants_no_answer(answer, expected):
    scores = answer_scores([question(), question("May")], [answer, "May"])
    assert scores.left_empty.value == expected
    assert scores.exact.value == scores.f1.value == (1 + expected) / 2
    assert scores.exact_answerable.value == scores.f1_answerable.value == 1


def test_shares_of_nothing_are_not_numbers():
    assert math.isnan(answer_scores([question("May")], ["May"]).left_empty.value)
    assert math.isnan(answer_scores([question()], [""]).f1_answerable.value)


def test_the_best_threshold_is_the_official_one():
    """Found by hand: withdrawn are all (2 of 5 right), then answers are let stand in the order of no-answer scores."""
    questions = [question("May"), question("June"), question(), question("July"), question()]
    answers = ["May", "3 June", "x", "August", ""]
    scores = answer_scores(questions, answers, no_answer=[0.1, 0.3, 0.5, 0.7, 0.9])
    assert (scores.best_exact.score.value, scores.best_exact.threshold) == (3 / 5, 0.1)
    assert scores.best_f1.score.value == pytest.approx((3 + 2 / 3) / 5)
    assert scores.best_f1.threshold == 0.3
    hopeless = answer_scores([question("May"), question()], ["June", "x"], no_answer=[0.5, 0.6])
    assert (hopeless.best_f1.score.value, hopeless.best_f1.threshold) == (0.5, 0.0)
    assert answer_scores(questions, answers).best_f1 is None


def test_an_answer_without_words_to_an_impossible_question_still_counts_as_given():
    """So does the official threshold, though the answer scores as none."""
    scores = answer_scores([question(), question("a b c")], ["the", "b c"], no_answer=[0.1, 0.2])
    assert scores.f1.value == 1
    assert (scores.best_f1.score.value, scores.best_f1.threshold) == (0.5, 0.0)


def test_intervals_are_over_documents():
    questions = [question("May", title=title, name=f"{title}{n}") for title in "ab" for n in range(50)]
    answers = ["May"] * 50 + ["June"] * 50
    together = answer_scores(questions, answers).exact
    assert (together.low, together.high) == (0, 1)
    apart = answer_scores([question("May", name=str(n)) for n in range(100)], answers).exact
    assert 0.3 < apart.low < apart.high < 0.7


def test_what_cannot_be_scored_is_said():
    unknown = Question(name="q", question="?", document="d")
    with pytest.raises(DataError, match="there are 2 questions and 1 answers; give one each, in their order"):
        answer_scores([question("a")] * 2, ["a"])
    with pytest.raises(DataError, match="there are 1 questions and 2 no-answer scores"):
        answer_scores([question("a")], ["a"], no_answer=[1, 2])
    with pytest.raises(DataError, match="no answer to question 'q' is known, so none can be scored; leave it out"):
        answer_scores([unknown], ["a"])
    with pytest.raises(DataError, match="'q' is impossible, which SQuAD 1.1 does not know; use rules 2.0"):
        answer_scores([question()], [""], rules="1.1")
    with pytest.raises(DataError, match="no-answer scores must be finite numbers, got nan"):
        answer_scores([question("a")], ["a"], no_answer=[math.nan])


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
def test_an_answer_is_scored_by_squads_rules(prediction, accepted, exact, overlap):
    question = Question(question="what?", document="x", accepted=tuple(accepted), is_impossible=not accepted)
    scores = answer_scores([question], [prediction])
    assert scores.exact.value == exact
    assert scores.f1.value == pytest.approx(overlap)
