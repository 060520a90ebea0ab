"""Questions and answers side by side."""

import pytest

from bigbird.data.questions import Question
from bigbird.errors import DataError
from bigbird.tasks.scored_questions import document_numbers, in_order


def question(name, title="", document="d"):
    return Question(name=name, title=title, question="?", document=document)


ASKED = ["a", "b"]


def test_answers_of_a_table_come_in_the_order_of_the_questions():
    assert in_order(ASKED, {"b": 2, "a": 1}, source="answers.json") == [1, 2]


@pytest.mark.parametrize(
    ("names", "table", "said"),
    [
        (ASKED, {"a": 1}, "answers.json has no answer to 1 of 2 questions, such as 'b'. Give every question an answer"),
        (ASKED, {"a": 1, "b": 2, "c": 3}, "answers.json answers 1 questions that were not asked, such as 'c'"),
        (ASKED + ASKED[:1], {"a": 1, "b": 2}, "answers.json: 1 questions have a name that another has too"),
    ],
)
def test_missing_strange_and_doubled_answers_are_named(names, table, said):
    with pytest.raises(DataError, match=said):
        in_order(names, table, source="answers.json")


def test_questions_of_one_document_share_a_number_by_title_or_by_text():
    questions = [question("a", "T", "d"), question("b", "T", "e"), question("c", "", "d"), question("e", "", "d")]
    assert document_numbers(questions).tolist() == [0, 0, 1, 1]
