"""HotpotQA's figures. Numbers are those of hotpot_evaluate_v1.py."""

import pytest

from bigbird.data.multi_hop_questions import Fact, MultiHopQuestion
from bigbird.data.questions import Question
from bigbird.errors import DataError
from bigbird.tasks import metrics
from bigbird.tasks.multi_hop_scores import MultiHopAnswer, multi_hop_scores


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(metrics, "NUM_RESAMPLES", 20)


def question(*accepted, facts=(), name="q"):
    asked = Question(name=name, question="?", document=name, accepted=accepted)
    return MultiHopQuestion(asked=asked, facts=tuple(Fact(*fact) for fact in facts))


def values(figures):
    return tuple(one.value for one in (figures.exact, figures.f1, figures.precision, figures.recall))


@pytest.mark.parametrize(
    ("answer", "accepted", "expected"),
    [
        ("yes", "yes", (1, 1, 1, 1)),
        ("Yes!", "yes", (1, 1, 1, 1)),
        ("yes it is", "yes", (0, 0, 0, 0)),
        ("no", "No way", (0, 0, 0, 0)),
        ("noanswer", "no answer", (0, 0, 0, 0)),
        ("", "no", (0, 0, 0, 0)),
        ("The Beatles", "Beatles, the", (1, 1, 1, 1)),
        ("Chief Protocol", "Chief of Protocol", (0, 0.8, 1, 2 / 3)),
        ("", "a", (1, 0, 0, 0)),
    ],
)
def test_odd_answers_score_as_officially(answer, accepted, expected):
    scores = multi_hop_scores([question(accepted)], [MultiHopAnswer(answer)])
    assert values(scores.answer) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("given", "true", "expected"),
    [
        ([("A", 0), ("A", 0), ("B", 1)], [("A", 0), ("B", 2)], (0, 0.5, 0.5, 0.5)),
        ([], [("A", 0)], (0, 0, 0, 0)),
        ([], [], (1, 0, 0, 0)),
        ([("A", 0), ("A", 0)], [("A", 0), ("A", 0)], (1, 1, 1, 1)),
    ],
)
def test_supporting_facts_score_as_officially_and_twice_named_counts_once(given, true, expected):
    answer = MultiHopAnswer("x", tuple(Fact(*fact) for fact in given))
    scores = multi_hop_scores([question("x", facts=true)], [answer])
    assert values(scores.support) == pytest.approx(expected, abs=1e-12)
    assert values(scores.joint) == pytest.approx(expected, abs=1e-12)  # the answer is right as a whole


def test_joint_figures_multiply_precision_and_recall_of_each_question():
    questions = [question("Chief of Protocol", facts=[("A", 0), ("B", 0)]), question("yes", facts=[("A", 0)], name="r")]
    answers = [MultiHopAnswer("Chief Protocol", (Fact("A", 0),)), MultiHopAnswer("yes", (Fact("A", 0),))]
    scores = multi_hop_scores(questions, answers)
    precision, recall = 1 * 1, 2 / 3 * 1 / 2
    expected = (0.5, (1 + 2 * precision * recall / (precision + recall)) / 2, 1, (1 + recall) / 2)
    assert values(scores.joint) == pytest.approx(expected, abs=1e-12)


def test_of_several_accepted_answers_the_best_counts():
    scores = multi_hop_scores([question("General", "Chief of Protocol")], [MultiHopAnswer("chief of protocol")])
    assert values(scores.answer) == (1, 1, 1, 1)


def test_what_cannot_be_scored_is_said():
    with pytest.raises(DataError, match="there are 1 questions and 0 answers"):
        multi_hop_scores([question("a")], [])
    with pytest.raises(DataError, match="no answer to question 'q' is known"):
        multi_hop_scores([question()], [MultiHopAnswer("a")])
