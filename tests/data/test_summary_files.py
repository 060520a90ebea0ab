"""Documents with summaries in files: what is read, what is refused and how to mend it."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.data.summaries import SummarizedDocument, text_numbers
from bigbird.data.summary_files import SummaryFields, open_summaries, read_summaries, write_summaries
from bigbird.errors import ConfigError, DataError

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.strip)
ITEMS = st.builds(
    SummarizedDocument,
    name=TEXT,
    document=st.sampled_from(["one\r\ntwo \u2028 🦜", "three\x85"]) | TEXT,
    summaries=st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    query=st.just("") | TEXT,
)
ROW = {"document": "Long. Very long.", "summary": "Long."}


def write(path, *rows):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def parquet(path, *rows):
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.Table.from_pylist(list(rows)), path)
    return path


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(ITEMS, min_size=1, max_size=4))
def test_what_is_written_is_read_again(tmp_path_factory, documents):
    path = tmp_path_factory.mktemp("summaries") / "a.jsonl"
    write_summaries(path, documents)
    assert list(read_summaries(path)) == documents
    opened = open_summaries(path)
    assert [opened[place] for place in range(len(opened))] == documents


def test_a_file_reads_alike_in_every_form(tmp_path):
    rows = [{**ROW, "name": "a", "query": None}, {**ROW, "name": "b", "query": "How long?"}]
    write(tmp_path / "a.jsonl", *rows)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write((tmp_path / "a.jsonl").read_text())
    parquet(tmp_path / "a.parquet", *rows)
    read = [list(open_summaries(tmp_path / f"a.{end}")) for end in ("jsonl", "json", "jsonl.gz", "parquet")]
    assert read[0] == read[1] == read[2] == read[3]
    assert [(one.name, one.query, one.summaries) for one in read[0]] == [
        ("a", "", ("Long.",)),
        ("b", "How long?", ("Long.",)),
    ]


def test_an_item_without_a_name_is_named_after_its_place(tmp_path):
    assert [one.name for one in read_summaries(write(tmp_path / "a.jsonl", ROW, "", ROW))] == ["a.jsonl:1", "a.jsonl:3"]
    (tmp_path / "b.json").write_text(json.dumps([ROW, {**ROW, "name": 7}]))
    assert [one.name for one in read_summaries(tmp_path / "b.json")] == ["b.json, entry 1", "7"]
    assert [one.name for one in read_summaries(parquet(tmp_path / "c.parquet", ROW, ROW))][1] == "c.parquet:2"


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_fields_may_have_any_name(tmp_path, kind):
    row = {"article": ["One.", "Two."], "highlights": "1, 2", "id": 3, "other": 1.5}
    path = (write if kind == "jsonl" else parquet)(tmp_path / f"a.{kind}", row)
    (one,) = read_summaries(path, SummaryFields(document="article", summary="highlights", name="id"))
    assert one == SummarizedDocument(document="One.\nTwo.", summaries=("1, 2",), name="3")


def test_a_list_is_several_summaries_or_the_sentences_of_one(tmp_path):
    path = write(tmp_path / "a.jsonl", {**ROW, "summary": ["<S> one thing . </S>", "two"]})
    assert next(read_summaries(path)).summaries == ("<S> one thing . </S>", "two")
    assert next(read_summaries(path, SummaryFields(list_of="sentences"))).summaries == ("one thing .\ntwo",)
    with pytest.raises(ConfigError, match=r"fields.list_of must be one of summaries, sentences, got 'words'"):
        SummaryFields(list_of="words")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            {"text": "a", "summary": "b"},
            r"a.jsonl:2: there is no 'document'; it has text, summary. Leave the line out, or",
        ),
        (
            {"document": "a"},
            r"a.jsonl:2: there is no 'summary'; it has document. Leave .*, or name the fields so; or give a run their",
        ),
        ({"document": "a", "summary": None}, r"a.jsonl:2: 'summary' is null"),
        (
            {"document": " \n", "summary": "b"},
            r"a.jsonl:2: document 'a.jsonl:2' is empty; leave it out|a.jsonl:2.*empty",
        ),
        ({"document": "a", "summary": []}, r"document 'a.jsonl:2' has no summary; give it one, or leave it out"),
        (
            {"name": "n", "document": "a", "summary": [" "]},
            r"a.jsonl:2: a summary of document 'n' is empty; leave it out",
        ),
        ({"document": 3, "summary": "b"}, r"a.jsonl:2: 'document' must hold text or a list of texts, got 3"),
        (
            {"document": "a", "summary": ["b", 1]},
            r"a.jsonl:2: 'summary' must hold text or a list of texts, got \['b', 1",
        ),
        ({**ROW, "query": ["b"]}, r"a.jsonl:2: 'query' must hold text, got"),
        ("{", r"a.jsonl:2: not valid JSON"),
    ],
)
@pytest.mark.parametrize("read", [open_summaries, lambda path: list(read_summaries(path))])
def test_faults_name_their_line_before_any_work_is_done(tmp_path, read, row, told):
    with pytest.raises(DataError, match=told):
        read(write(tmp_path / "a.jsonl", ROW, row))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a.csv: documents with summaries are read from .jsonl, .ndjson, .json"):
        open_summaries(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"cannot read .*none.jsonl: No such file"):
        open_summaries(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match=r"empty.jsonl holds no entries"):
        open_summaries(write(tmp_path / "empty.jsonl"))
    with pytest.raises(
        DataError, match=r"there is no column 'document' \(it has a\). Name the fields so; or give a run"
    ):
        open_summaries(parquet(tmp_path / "a.parquet", {"a": 1}))
    arrow = pytest.importorskip("pyarrow")
    schema = arrow.schema([("document", arrow.string()), ("summary", arrow.string())])
    pytest.importorskip("pyarrow.parquet").write_table(schema.empty_table(), tmp_path / "none.parquet")
    with pytest.raises(DataError, match=r"none.parquet holds no rows"):
        open_summaries(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"bad.parquet cannot be read as Parquet, after row 0"):
        open_summaries(tmp_path / "bad.parquet")


def test_items_about_one_text_share_its_memory_and_its_number(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([ROW, {**ROW, "document": "Other."}, ROW]))
    read = open_summaries(tmp_path / "a.json")
    assert read[0].document is read[2].document
    assert text_numbers(read).tolist() == [0, 1, 0]
