"""Documents of every kind of file, and what is said of faulty ones."""

import gzip
import json
import sys

import pytest

from bigbird.data.corpus_files import find_files
from bigbird.data.documents import Reading, read_documents
from bigbird.errors import DataError, MissingDependency


@pytest.fixture
def documents(tmp_path):
    """Write a file, read its documents: (name, text)."""

    def read(name, content, **reading):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        (file,) = find_files([tmp_path / name], leave_out=tmp_path / "corpus")
        return [(document.name, document.text) for document in read_documents(file, Reading(**reading))]

    return read


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.txt.gz"])
def test_a_text_file_is_one_document_whatever_its_line_ends(documents, name):
    assert documents(name, "\ufeffone\r\ntwo\rthree\n") == [(name, "one\ntwo\nthree")]


def test_json_lines_have_a_document_each_named_by_line_or_field(documents):
    lines = '{"text": "one", "id": 7}\n\n{"text": "two", "id": "b"}\n'
    assert documents("a.jsonl", lines) == [("a.jsonl:1", "one"), ("a.jsonl:3", "two")]
    assert documents("a.jsonl.gz", lines, name_field="id") == [("7", "one"), ("b", "two")]


def test_a_field_in_fields_and_lists_is_joined(documents):
    line = json.dumps({"book": {"chapters": [{"text": "one"}, {"text": ["two", None, "three"]}]}})
    assert documents("a.jsonl", line, text_field="book.chapters.text") == [("a.jsonl:1", "one\n\ntwo\n\nthree")]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"text": "ok"}\n{"text"', "a.jsonl:2: not valid JSON"),
        (f'{{"text": {"1" * 5000}}}', "a.jsonl:1: not valid JSON: Exceeds the limit"),
        ("[]", "a.jsonl:1: each line must be a JSON object such as"),
        (
            '{"body": ""}',
            r"a.jsonl:1: there is no field 'text' \(it has body\). Name the field with --text-field .*--set data.text_",
        ),
        ('{"text": {"a": 1}}', "a.jsonl:1: field 'text' must hold text, got {'a': 1}"),
        ('{"text": true}', "a.jsonl:1: field 'text' must hold text, got True"),
        (b'{"text": "\xff"}', "a.jsonl:1: byte 11 is not UTF-8 text"),
        (b"\0", "a.jsonl:1: this is a binary file, not text"),
    ],
)
def test_faults_name_file_and_line(documents, line, text):
    with pytest.raises(DataError, match=text):
        documents("a.jsonl", line)


def test_a_field_of_what_is_no_object_is_told(documents):
    with pytest.raises(DataError, match=r"a.jsonl:1: there is no field 'text.x' \('ab'\)"):
        documents("a.jsonl", '{"text": "ab"}', text_field="text.x")


def parquet_file(tmp_path, rows):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "made.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path.read_bytes()


def test_parquet_has_a_document_in_each_row(documents, tmp_path):
    rows = [{"text": f"text {number}", "other": number, "meta": {"id": f"n{number}"}} for number in range(150)]
    found = documents("a.parquet", parquet_file(tmp_path, rows), name_field="meta.id")
    assert found == [(f"n{number}", f"text {number}") for number in range(150)]


def test_faulty_parquet_is_told(documents, tmp_path):
    data = parquet_file(tmp_path, [{"body": "x"}])
    with pytest.raises(DataError, match=r"a.parquet: there is no column 'text' \(it has body\)"):
        documents("a.parquet", data)
    with pytest.raises(DataError, match="a.parquet cannot be read as Parquet, after row 0: "):
        documents("a.parquet", data[:-9])


def test_without_pyarrow_the_install_command_is_told(documents, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(
        MissingDependency, match=r"needs pyarrow, which is not installed. Run: pip install 'bigbird\[parq"
    ):
        documents("a.parquet", b"PAR1")


def test_fasta_has_documents_named_by_region(documents):
    found = documents("a.fa", ">one words\nacgt\nRN\n>two\nGG\n")
    assert found == [("one:1-6", "ACGTNN"), ("two:1-2", "GG")]


def test_a_file_whose_name_is_no_unicode_has_documents_with_names_that_can_be_written(documents):
    ((name, _),) = documents(b"a\xffb.txt".decode("utf-8", "surrogateescape"), "one")
    assert name == "a\ufffdb.txt"
