"""Questions in files: what is read, what is refused, what an epoch shows."""

import gzip
import json

import pytest

from bigbird.data.question_files import QuestionData, QuestionSource, read_questions
from bigbird.data.questions import AnswerSpan, Question
from bigbird.errors import ConfigError, DataError


def written(path, *rows):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


ROW = {"question": "When?", "document": "On 1 May 😀.", "answers": [[3, 8]]}
FULL = {**ROW, "name": "n", "title": "t", "accepted": ["1 May", "May 1"], "is_impossible": False}


def test_every_field_is_read(tmp_path):
    plain, full, none = read_questions(
        written(tmp_path / "q.jsonl", ROW, "", FULL, {"question": "Who?", "document": "x", "is_impossible": True})
    )
    assert plain.answers == full.answers == (AnswerSpan(3, 8),)
    assert plain.document[3:8] == "1 May"
    assert plain.name == "q.jsonl:1"
    assert (full.name, full.title, full.accepted) == ("n", "t", ("1 May", "May 1"))
    assert none.is_impossible
    assert plain.document is full.document  # once in memory, however many questions


def test_a_file_may_be_gzip(tmp_path):
    with gzip.open(tmp_path / "q.jsonl.gz", "wt") as file:
        file.write(json.dumps(ROW))
    assert len(read_questions(tmp_path / "q.jsonl.gz")) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r"q.jsonl"),
        ("[1]", r"q.jsonl"),
        ({"question": "x"}, r"q.jsonl:1: there is no 'document'; it has question"),
        ({**ROW, "anwers": []}, r"q.jsonl:1: there is no field 'anwers'; there may be title, document, name, "),
        ({"document": "x", "questions": [{"question": "x", "answer": 1}]}, r"there is no field 'answer'; there may be"),
        ({**ROW, "document": 5}, r"q.jsonl:1: 'document' must hold text, got 5"),
        ({**ROW, "is_impossible": 1}, r"'is_impossible' must hold true or false, got 1"),
        ({**ROW, "accepted": "May"}, r"'accepted' must hold .*, got 'May'"),
        ({**ROW, "answers": [[3]]}, r"'answers' must hold \[\[start, end\], …\] or texts, got \[\[3\]\]"),
        ({**ROW, "answers": [[3, True]]}, r"'answers' must hold \[\[start, end\], …\] or texts"),
        ({**ROW, "answers": [[3, 80]]}, r"question 'q.jsonl:1': an answer at characters 3 to 80 does not lie"),
        ({**ROW, "is_impossible": True}, r"question 'q.jsonl:1' is marked impossible and has an answer"),
    ],
)
def test_what_is_no_question_is_refused_with_its_line(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read_questions(written(tmp_path / "q.jsonl", row))


def test_a_file_of_squads_form_is_read_by_its_ending(tmp_path):
    asked = {"id": "7", "question": "When?", "answers": [{"text": "1 May", "answer_start": 3}]}
    file = {"data": [{"title": "t", "paragraphs": [{"context": "On 1 May.", "qas": [asked]}]}]}
    (question,) = read_questions(written(tmp_path / "q.json", file))
    assert (question.name, question.title, question.answers) == ("7", "t", (AnswerSpan(3, 8),))


def test_other_files_and_empty_ones_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"q.csv: questions are read from .jsonl files, .* and from .json files of SQuAD's"
    ):
        read_questions(tmp_path / "q.csv")
    with pytest.raises(DataError, match=r"q.jsonl holds no entries"):
        read_questions(written(tmp_path / "q.jsonl"))
    with pytest.raises(DataError, match=r"q.jsonl holds no questions"):
        read_questions(written(tmp_path / "q.jsonl", {"document": "x", "questions": []}))


def test_data_needs_both_files_and_sensible_settings(tmp_path):
    with pytest.raises(ConfigError, match=r"data.train is not set; give a file of questions: --set data.train="):
        QuestionData().open()
    file = str(written(tmp_path / "q.jsonl", ROW, FULL))
    with pytest.raises(ConfigError, match=r"data.validation is not set"):
        QuestionData(train=file).open()
    with pytest.raises(ConfigError, match=r"data.impossible_share must be from 0 to 1, got 2"):
        QuestionData(impossible_share=2.0)
    with pytest.raises(ConfigError, match=r"data.impossible_share must be at least 0, got -1"):
        QuestionData(impossible_share=-1.0)
    datasets = QuestionData(train=file, validation=file).open()
    assert len(datasets.train) == len(datasets.validation) == 2
    assert list(datasets.corpus()) == [ROW["document"]]


def test_an_epoch_shows_a_share_of_the_questions_without_an_answer():
    answered = [Question(question="a", document="x", name=f"a{i}", answers=(AnswerSpan(0, 1),)) for i in range(20)]
    none = [Question(question="b", document="x", name=f"b{i}", is_impossible=True) for i in range(200)]
    source = QuestionSource([*answered, *none], seed=1, impossible_share=0.1)
    epochs = [[source.record(index, epoch=epoch) for index in range(220)] for epoch in range(2)]
    shown = [{q.name for q in epoch if q.is_impossible} for epoch in epochs]
    assert all(5 < len(names) < 40 for names in shown)
    assert shown[0] != shown[1]
    assert all({q.name for q in answered} <= {q.name for q in epoch} for epoch in epochs)  # none is left out
    assert source.record(7, epoch=3) == source.record(7, epoch=3)
    assert source.record(7, epoch=3).draw != source.record(7, epoch=4).draw
    everything = QuestionSource([*answered, *none])
    assert [everything.record(i, epoch=0).name for i in range(220)] == [q.name for q in everything.questions]
    alone = QuestionSource(none, impossible_share=0.0)
    assert alone.record(0, epoch=0).name == "b0"  # nothing else could stand in its place
