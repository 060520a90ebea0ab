"""Pages that a run learns from, read one by one."""

import gzip
import json
from dataclasses import astuple

import pytest

from bigbird.data.line_file import LineFile
from bigbird.data.long_short_data import LongShortData, open_natural_questions
from bigbird.data.natural_questions_files import question_of, read_natural_questions
from bigbird.errors import ConfigError, DataError
from long_short_cases import as_natural_questions, needle


def write(path, *rows, between="\n"):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}{between}" for row in rows))
    return path


def rows(first, count):
    return [as_natural_questions(needle(index)) for index in range(first, first + count)]


def plain(question):
    return [part.tolist() if hasattr(part, "tolist") else part for part in astuple(question)]


def test_a_file_gives_any_question_when_it_is_asked_for(tmp_path):
    path = write(tmp_path / "a.jsonl", *rows(0, 5), between="\r\n\n")
    questions = LineFile(path, question_of)
    assert len(questions) == 5
    assert list(map(plain, questions)) == list(map(plain, read_natural_questions(path)))
    assert [plain(questions[place]) for place in (3, 0, -1)] == [plain(list(questions)[place]) for place in (3, 0, 4)]
    assert [one.name for one in questions[1:3]] == ["page 1", "page 2"]
    made = needle(1)
    assert (questions[1].document, questions[1].annotations) == (made.document, made.annotations)
    with pytest.raises(IndexError):
        questions[5]


def test_a_gzip_file_is_read_too(tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write("".join(f"{json.dumps(row)}\n" for row in rows(0, 3)))
    assert [one.name for one in open_natural_questions(tmp_path / "a.jsonl.gz")] == ["page 0", "page 1", "page 2"]


def test_faults_name_their_line(tmp_path):
    questions = LineFile(write(tmp_path / "a.jsonl", *rows(0, 1), "", "{"), question_of)
    with pytest.raises(DataError, match=r"a.jsonl:3: not valid JSON"):
        questions[1]
    (tmp_path / "b.jsonl").write_bytes(b'{"a": "\xff"}\n')
    with pytest.raises(DataError, match=r"b.jsonl:1: byte 8 is not UTF-8 text"):
        LineFile(tmp_path / "b.jsonl", question_of)[0]
    with pytest.raises(DataError, match=r"c.jsonl holds no entries"):
        LineFile(write(tmp_path / "c.jsonl", ""), question_of)
    with pytest.raises(DataError, match=r"cannot read .*none.jsonl: No such file"):
        open_natural_questions(tmp_path / "none.jsonl")


def test_every_question_is_shown_each_epoch_with_another_draw(tmp_path):
    files = {name: str(write(tmp_path / f"{name}.jsonl", *rows(0, 4))) for name in ("train", "validation")}
    datasets = LongShortData(**files).open()
    shown = [datasets.train.record(index, epoch=epoch) for epoch in range(2) for index in range(4)]
    assert [one.name for one in shown] == [f"page {index}" for index in range(4)] * 2
    assert len({one.draw for one in shown}) == 8
    assert len(datasets.validation) == 4
    assert list(datasets.corpus()) == [one.document for one in shown[:4]]
    for name in files:
        with pytest.raises(
            ConfigError, match=rf"data.{name} is not set; give a file of questions in Natural Questions'"
        ):
            LongShortData(**files | {name: ""}).open()
