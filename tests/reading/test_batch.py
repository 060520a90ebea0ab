"""Batches: a line of answers for each line of questions, in order, nothing lost."""

import json
import sys

import pytest

from bigbird.documents import batch_lines as module
from bigbird.documents.batch_lines import read_batch
from bigbird.errors import DataError, MissingDependency
from bigbird.reading.asking import AskConfig
from bigbird.reading.batch import answer_batch
from small_documents import write_pdf
from small_readers import SearchReader


@pytest.fixture
def batch(tmp_path):
    """Answer lines given as bytes, text or objects."""

    def run(*lines):
        data = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        (tmp_path / "in.jsonl").write_bytes(b"\n".join(data) + b"\n")
        return list(answer_batch(SearchReader(), read_batch(tmp_path / "in.jsonl"), tmp_path, AskConfig()))

    return run


def line(name="a", question='Where is "May"?', **document):
    return {"name": name, "question": question, **(document or {"text": "It ends in May."})}


def test_texts_and_files_are_answered_in_order(batch, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/b.txt").write_text("No.\n\fStill in May.")
    rows = batch(line(), line("b", file="docs/b.txt"), line("c", "Which?", other=1, text="Nothing"))
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert [row["is_found"] for row in rows] == [True, True, False]
    assert rows[0]["answers"][0]["evidence"] == {"text": "It ends in May.", "start": 0, "end": 15}
    assert rows[1]["answers"][0]["page"] == 2


FAULTS = {
    "no JSON": (b"{", "line 2", r"^line 2: not valid JSON: "),
    "no object": (b"[1]", "line 2", r"^line 2: not a JSON object such as "),
    "no UTF-8": (b'{"name": "\xff"}', "line 2", r"^line 2: byte 11 is not UTF-8 text$"),
    "deep": (b"[" * 100_000, "line 2", r"^line 2: not valid JSON: "),
    "a list for a name": ({"name": [7]}, "line 2", r"^line 2: its name is neither text nor a whole number$"),
    "a flag for a name": ({"name": True}, "line 2", r"^line 2: its name is neither text nor a whole number$"),
    "half a name": ({"name": "\ud800"}, "line 2", r"^line 2: its name is neither text nor a whole number$"),
    "a question that is null": (line("b", None), "b", r"^line 2: it has no question$"),
    "no question": ({"name": "b", "text": "x"}, "b", r"^line 2: it has no question$"),
    "neither text nor file": ({"name": "b", "question": "?"}, "b", r'^line 2: it needs "text" or "file", one of them$'),
    "both": (line("b", text="x", file="y.txt"), "b", r'^line 2: it needs "text" or "file", one of them$'),
    "no file name": (line("b", file=""), "b", r"^line 2: its file has no name$"),
    "null": (line("b", text=None), "b", r"^line 2: its text is 'None', which is no text$"),
    "half a character": (
        line("b", text="a\ud800"),
        "b",
        r"^line 2: its text holds half a character \(a lone surrogate",
    ),
    "an empty text": (line("b", text=" \n"), "b", r"^the text of b holds no text, only blanks\."),
    "a missing file": (line("b", file="no.txt"), "b", r"^there is no file no.txt$"),
    "a folder": (line("b", file="x/../../"), "b", r"^x/../../ is a folder, and a document is wanted\."),
    "a long question": (line("b", "why " * 500), "b", r"^the question is longer than the window of the model$"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_line_is_told_in_its_place_and_loses_no_other(batch, tmp_path, fault):
    import re

    (tmp_path / "x").mkdir()
    given, name, message = FAULTS[fault]
    before, faulty, after = batch(line(), given, line("c"))
    assert (before["name"], after["name"]) == ("a", "c")
    assert before["is_found"]
    assert after["is_found"]
    assert faulty["name"] == name
    assert re.search(message, faulty["error"]), faulty["error"]
    assert "answers" not in faulty


def test_empty_lines_are_no_lines_and_names_may_be_missing(batch):
    rows = batch(b"\xef\xbb\xbf", b"", {"question": '"May"', "text": "May"}, b"  ")
    assert [row["name"] for row in rows] == ["line 3"]


def test_what_concerns_more_than_a_line_stops_the_batch(batch, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdf", None)
    write_pdf(tmp_path / "a.pdf", "text")
    with pytest.raises(MissingDependency):
        batch(line(file="a.pdf"))


def test_a_missing_batch_is_told(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*in.jsonl: No such file"):
        list(read_batch(tmp_path / "in.jsonl"))


def test_questions_to_one_file_that_follow_each_other_read_it_once(batch, tmp_path, monkeypatch):
    read, paths = module.read_document, []

    def counted(path, **options):
        paths.append(path.name)
        return read(path, **options)

    monkeypatch.setattr(module, "read_document", counted)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("in May")
    batch(*(line(file=name) for name in ("a.txt", "a.txt", "b.txt", "b.txt", "a.txt")))
    assert paths == ["a.txt", "b.txt", "a.txt"]
