"""The package's own plain form of questions."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.data.question_lines import read_questions, write_questions
from bigbird.data.questions import AnswerSpan, Question
from bigbird.errors import DataError

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@st.composite
def some_questions(draw):
    questions = []
    for number in range(draw(st.integers(1, 6))):
        document = draw(st.sampled_from(["one\r\ntwo \u2028 🦜", "three\x85"]) | TEXT)
        start = draw(st.integers(0, len(document) - 1))
        is_impossible = draw(st.booleans())
        questions.append(
            Question(
                name=f"q{number}",
                title=draw(st.sampled_from(["", "T"])),
                question=draw(TEXT),
                document=document,
                answers=() if is_impossible else (AnswerSpan(start, draw(st.integers(start + 1, len(document)))),),
                accepted=() if is_impossible else tuple(draw(st.lists(TEXT, min_size=1, max_size=2))),
                is_impossible=is_impossible,
            )
        )
    return questions


@settings(max_examples=30, deadline=None, derandomize=True)
@given(some_questions())
def test_what_is_written_is_read_again(tmp_path_factory, questions):
    path = tmp_path_factory.mktemp("questions") / "a.jsonl"
    write_questions(path, questions)
    assert list(read_questions(path)) == questions


def test_neighbours_that_share_a_document_share_a_line(tmp_path):
    questions = [Question(name=str(n), question="?", document="one" if n < 3 else "two") for n in range(4)]
    write_questions(tmp_path / "a.jsonl", questions)
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2


@pytest.fixture
def read(tmp_path):
    def read(*rows):
        (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return list(read_questions(tmp_path / "a.jsonl"))

    return read


def test_a_single_question_needs_a_document_and_a_question(read):
    one, other = read(
        {"document": "It ends in May.", "question": "When?", "answers": [[11, 14]], "title": "T", "name": 3},
        {"document": "It ends.", "question": "When?", "is_impossible": True},
    )
    assert (one.name, one.title, one.answers, one.accepted) == ("3", "T", ((11, 14),), ("May",))
    assert (other.name, other.title, other.answers, other.is_impossible) == ("a.jsonl:2", "", (), True)


def test_neighbours_that_share_a_document_share_its_memory(read):
    one, other, last = read(*({"document": text, "question": "?"} for text in ("a long one", "a long one", "another")))
    assert one.document is other.document
    assert last.document == "another"


def test_an_answer_given_as_text_stands_for_every_place_as_whole_words(read):
    (one,) = read({"document": "art, party, art", "question": "?", "answers": ["art"]})
    assert one.answers == ((0, 3), (12, 15))
    assert one.accepted == ("art", "art")


def test_questions_of_one_line_are_named_by_line_and_place(read):
    row = {"document": "one", "questions": [{"question": "?"}, {"question": "?", "name": "b"}]}
    assert [one.name for one in read(row)] == ["a.jsonl:1:1", "b"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"answers": ["June"]},
            "a.jsonl:1: the document does not hold the answer 'June'. Correct it, or give it under",
        ),
        ({"answers": [[1]]}, r"a.jsonl:1: 'answers' must hold \[\[start, end\], …\] or texts, got"),
        ({"answers": [[True, 2]]}, "'answers' must hold"),
        ({"answers": [[0, 99]]}, "a.jsonl:1: question 'a.jsonl:1': an answer at characters 0 to 99 does not lie in"),
        ({"answers": [[0, 1]], "is_impossible": True}, "a.jsonl:1: .* is marked impossible and has an answer"),
        ({"question": None}, "a.jsonl:1: 'question' is null"),
    ],
)
def test_faults_name_the_line(read, changes, said):
    with pytest.raises(DataError, match=said):
        read({"document": "It ends.", "question": "When?"} | changes)
