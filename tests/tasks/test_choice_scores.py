"""WikiHop's accuracy."""

import pytest

from bigbird.data.choice_questions import ChoiceQuestion
from bigbird.errors import DataError
from bigbird.tasks.choice_scores import choice_accuracy


def question(answer="american"):
    return ChoiceQuestion(name="q", question="?", document="d", candidates=("american", "British"), answer=answer)


def test_the_share_of_right_choices_letter_for_letter():
    accuracy = choice_accuracy([question(), question(), question("British")], ["american", "British", "British"])
    assert accuracy.value == pytest.approx(2 / 3)
    assert accuracy.low <= accuracy.value <= accuracy.high


def test_what_cannot_be_scored_is_said():
    with pytest.raises(DataError, match="'british' is not among the 2 candidates of question 'q'"):
        choice_accuracy([question()], ["british"])
    with pytest.raises(DataError, match="the answer to question 'q' is not known, so no choice can be scored"):
        choice_accuracy([question("")], ["british"])
    with pytest.raises(DataError, match="there are 1 questions and 0 choices"):
        choice_accuracy([question()], [])
