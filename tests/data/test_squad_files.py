"""Files in SQuAD's format, and those that call themselves so."""

import json

import pytest

from bigbird.data.squad_files import read_squad
from bigbird.errors import DataError

CONTEXT = "The term ends on 1 May 🦜 2020.\r\nIt may end on 1 May 2021."


def asked(**changes):
    return {"id": "q1", "question": "When does it end?", "answers": [], "is_impossible": False} | changes


def answer(text, start):
    return {"text": text, "answer_start": start}


@pytest.fixture
def questions(tmp_path):
    """Write a file of one document, read its questions."""

    def read(*some, name="a.json", article=None, paragraph=None, **options):
        document = {"context": CONTEXT, "qas": list(some)} | (paragraph or {})
        data = {"paragraphs": [document]} | (article or {})
        whole = json.dumps(data if name.endswith("jsonl") else {"version": "1.1", "data": [data]})
        (tmp_path / name).write_text(whole, encoding="utf-8")
        return list(read_squad(tmp_path / name, **options))

    return read


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_every_answer_has_its_place_in_characters_of_the_document(questions, name):
    one, other = questions(
        asked(answers=[answer("1 May", 17), answer("1 May", 46), answer("🦜 2020", 23), answer("1 May", 17)]),
        asked(id=7, is_impossible=True),
        name=name,
        article={"title": "Lease"},
    )
    assert [one.document[start:end] for start, end in one.answers] == ["1 May", "1 May", "🦜 2020"]
    assert one.accepted == ("1 May", "1 May", "🦜 2020", "1 May")
    assert (one.name, one.title, one.question, one.document) == ("q1", "Lease", "When does it end?", CONTEXT)
    assert (other.name, other.answers, other.accepted, other.is_impossible) == ("7", (), (), True)


def test_a_question_of_a_test_set_has_no_answers(questions):
    (one,) = questions({"id": "a", "question": "?"})
    assert (one.answers, one.accepted, one.is_impossible) == ((), (), False)


def test_a_document_without_a_title_is_named_after_its_number(questions):
    (one,) = questions(asked(), paragraph={"document_id": 630})  # as COVID-QA.json has it
    (other,) = questions(asked())
    assert (one.title, other.title) == ("630", "a.json 1")


def test_a_place_that_does_not_spell_its_answer_names_the_question_and_the_cure(questions):
    said = (
        r"a\.json, data 1, paragraphs 1, qas 1, answers 1: question 'q1': the document reads 'm ends on' at character 7"
        r", not '1 May 202'\. Correct the answer_start, or read the file with repair"
    )
    with pytest.raises(DataError, match=said):
        questions(asked(answers=[answer("1 May 202", 7)]))
    with pytest.raises(DataError, match="reads '' at character -1"):
        questions(asked(answers=[answer("1 May", -1)]))


def test_repair_takes_the_nearest_place_and_says_how_often(questions, caplog):
    one, other = questions(
        asked(answers=[answer("1 May", 16), answer("1 May", 40), answer("2020. It", 27), answer("June", 3)]),
        asked(id="q2", answers=[answer("1 May", 46), answer("July", 3)]),
        repair=True,
    )
    assert one.answers == ((17, 22), (46, 51), (25, 34))
    assert one.document[25:34] == "2020.\r\nIt"
    assert one.accepted == ("1 May", "1 May", "2020. It", "June")
    assert (other.answers, other.accepted) == (((46, 51),), ("1 May", "July"))
    moved, lost = caplog.messages
    assert "3 answers did not stand where the file says" in moved
    assert "2 answers stand nowhere in their document" in lost
    assert moved.endswith("question q1")


def test_repair_of_a_sound_file_says_nothing(questions, caplog):
    assert questions(asked(answers=[answer("1 May", 17)]), repair=True)[0].answers == ((17, 22),)
    assert not caplog.messages


def test_contradictions_and_empty_answers_are_named(questions):
    with pytest.raises(
        DataError, match="question 'q1' is marked impossible and has 1 answers; give it one or the other"
    ):
        questions(asked(answers=[answer("1 May", 17)], is_impossible=True))
    with pytest.raises(
        DataError, match=r'an answer of question \'q1\' is empty; where nothing answers, give "answers"'
    ):
        questions(asked(answers=[answer("", 0)]))
    with pytest.raises(DataError, match=r"qas 1: there is no 'id'; it has question"):
        questions({"question": "?"})
