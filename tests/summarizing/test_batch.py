"""Batches: a line with a summary for each line of documents, in order, nothing lost."""

import json

import pytest

from bigbird.data.summary_files import read_summaries
from bigbird.documents.batch_lines import read_batch
from bigbird.summarizing.batch import FIELDS, summarize_batch
from bigbird.summarizing.summarizer import Summarizer


@pytest.fixture
def batch(tmp_path):
    """Sum up lines given as bytes or objects."""

    def run(*lines):
        data = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        (tmp_path / "in.jsonl").write_bytes(b"\n".join(data) + b"\n")
        lines = read_batch(tmp_path / "in.jsonl", FIELDS)
        return list(summarize_batch(Summarizer("lead"), lines, tmp_path, "short"))

    return run


def test_texts_documents_and_files_are_summed_up_in_order(batch, tmp_path):
    (tmp_path / "c.txt").write_text("No.\n\fStill in May.")
    rows = batch(
        {"name": "a", "text": "One. Two."},
        {"name": "b", "document": "Three.", "summary": "left alone", "query": ""},
        {"name": "c", "file": "c.txt"},
    )
    assert [row["summary"] for row in rows] == ["One.\nTwo.", "Three.", "No.\nStill in May."]
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert rows[2]["sentences"][1]["sources"][0]["page"] == 2
    assert "query" not in rows[1]


def test_what_a_file_of_documents_with_summaries_may_hold_is_summed_up_as_it_is(batch, tmp_path):
    lines = [
        {"name": 7, "document": ["One.", "Two"], "summary": ["x", "y"], "query": None},
        {"name": None, "document": "Three.", "summary": "x"},
    ]
    rows = batch(*lines)
    assert [(row["name"], row["summary"]) for row in rows] == [("7", "One.\nTwo"), ("line 2", "Three.")]
    read = list(read_summaries(tmp_path / "in.jsonl"))
    assert [(one.name, one.document) for one in read] == [("7", "One.\nTwo"), ("in.jsonl:2", "Three.")]


FAULTS = {
    "no JSON": (b"{", "line 2", "line 2: not valid JSON: "),
    "no object": (b"[1]", "line 2", 'line 2: not a JSON object such as {"name", "query", "text"}'),
    "nothing to read": ({"name": "b"}, "b", 'line 2: it needs "text", "document" or "file", one of them'),
    "two texts": ({"name": "b", "text": "x", "document": "y"}, "b", 'line 2: it needs "text", "document" or "file"'),
    "a list": ({"name": "b", "document": ["x", 1]}, "b", "line 2: its document is \"['x', 1]\", which is no text"),
    "an empty list": ({"name": "b", "document": []}, "b", "the text of b holds no text, only blanks."),
    "a half in a list": ({"name": "b", "document": ["\ud800"]}, "b", "line 2: its document holds half a character"),
    "an empty text": ({"name": "b", "text": " "}, "b", "the text of b holds no text, only blanks."),
    "a missing file": ({"name": "b", "file": "no.txt"}, "b", "there is no file no.txt"),
    "a query": ({"name": "b", "text": "x", "query": "who?"}, "b", "lead answers no query; leave it out, or give a mod"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_line_is_told_in_its_place_and_loses_no_other(batch, fault):
    given, name, message = FAULTS[fault]
    before, faulty, after = batch({"name": "a", "text": "One."}, given, {"name": "c", "text": "Two."})
    assert (before["summary"], after["summary"]) == ("One.", "Two.")
    assert faulty["name"] == name
    assert faulty["error"].startswith(message)
    assert "summary" not in faulty
