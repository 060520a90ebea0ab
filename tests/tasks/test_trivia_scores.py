"""TriviaQA's figures. Numbers are those of triviaqa_evaluation.py."""

import pytest

from bigbird.data.questions import Question
from bigbird.errors import DataError
from bigbird.tasks import metrics
from bigbird.tasks.trivia_scores import trivia_scores


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(metrics, "NUM_RESAMPLES", 20)


def question(*aliases, name="q"):
    return Question(name=name, question="?", document="d", accepted=aliases)


@pytest.mark.parametrize(
    ("aliases", "answer", "expected"),
    [
        (["sunset blvd", "sunset boulevard"], "The Sunset_Boulevard’s", (0, 0.8)),
        (["rock n roll"], "Rock 'n' Roll", (1, 1)),
        (["u s"], "US", (0, 0)),
        (["u s"], "U.S.", (1, 1)),
        (["st john s"], "St. John’s", (1, 1)),
        (["10000"], "10,000", (0, 0)),
        (["cafe"], "“cafe”", (0, 0)),  # ’ is punctuation to the script, “ is not
        (["who"], "The Who", (1, 1)),
        (["a"], "", (1, 0)),
        (["a"], "x", (0, 0)),
    ],
)
def test_odd_answers_score_as_officially(aliases, answer, expected):
    scores = trivia_scores([question(*aliases)], [answer])
    assert (scores.exact.value, scores.f1.value) == pytest.approx(expected, abs=1e-12)


def test_intervals_draw_the_pages_of_a_question_together():
    questions = [question("x", name=f"{key}--{n}.txt") for key in "ab" for n in range(50)]
    exact = trivia_scores(questions, ["x"] * 50 + ["y"] * 50).exact
    assert (exact.low, exact.high) == (0, 1)


def test_what_cannot_be_scored_is_said():
    with pytest.raises(DataError, match="there are 1 questions and 0 answers"):
        trivia_scores([question("a")], [])
    with pytest.raises(DataError, match="no answer to question 'q' is known"):
        trivia_scores([question()], ["a"])
