"""JSON read bit by bit: the same entries as at once, and what is said of damaged files."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.data import json_files
from bigbird.data.json_entries import Entry
from bigbird.data.json_files import read_entries, top_value
from bigbird.errors import DataError


@pytest.fixture
def entries(tmp_path):
    """Write a file, read its entries."""

    def read(content, name="a.json", **options):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return list(read_entries(tmp_path / name, **options))

    return read


def values(entries):
    return [dict(entry.values) for entry in entries]


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.lists(st.dictionaries(st.text(), VALUES, max_size=3), min_size=1, max_size=5),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_entries_are_those_of_the_whole_file_wherever_it_is_parted(tmp_path_factory, rows, indent, ascii_only):
    path = tmp_path_factory.mktemp("json") / "a.json"
    table = {"before": {"data": [1]}, "number": 1.5, "data": rows, "after": []}
    text = json.dumps(table, indent=indent, ensure_ascii=ascii_only)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    if not ascii_only and any("\ud800" <= letter <= "\udfff" for letter in text):
        return  # half a character is no UTF-8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_files, "_BYTES_AT_ONCE", 1)
        assert values(read_entries(path, list_name="data")) == rows
        assert top_value(path, "number") == 1.5
        assert top_value(path, "nothing") is None


def test_a_list_an_objects_list_and_lines_hold_the_same(entries):
    expected = [{"a": 1}, {"a": "ü"}]
    assert values(entries('\ufeff [{"a": 1} ,\n{"a": "ü"}] ')) == expected
    assert values(entries('{"version": 1, "data": [{"a": 1}, {"a": "ü"}], "end": 2}', list_name="data")) == expected
    assert values(entries('{"a": 1}\n\n{"a": "ü"}\n', "a.jsonl")) == expected
    assert values(entries('[{"a": 1}, {"a": "ü"}]', "a.json.gz")) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"a": 1}, {"a": ', r"a\.json, entry 2: damaged or cut off: .* Copy or download it again"),
        ('[{"a": 1}, {"b" 2}]', r"a\.json, entry 2: damaged or cut off"),
        ('[{"a": 1}', r"a\.json ends in the middle of its JSON\. Copy or download it again"),
        ("", r"a\.json ends in the middle of its JSON"),
        ('[{"a": 1} {"a": 2}]', r"a\.json is not valid JSON, after entry 1: ',' must follow, not '{'"),
        ("[1]", r"a\.json, entry 1 must be an object, got 1"),
        ("hello", r"a\.json is not JSON: it begins with 'h'"),
        ('{"a": 1}', r"a\.json must hold a list of objects, \[{…}, …\], or end in \.jsonl with one a line"),
        ("[]", r"a\.json holds no entries"),
        (b'[{"a": "\xff"}]', r"a\.json is not UTF-8 text: invalid start byte"),
        ("[" * 100_000, r"a\.json, entry 1: damaged or cut off: .*recursion"),
    ],
)
def test_a_damaged_file_is_named_with_the_place(entries, content, said):
    with pytest.raises(DataError, match=said):
        entries(content)


def test_an_object_without_the_list_says_what_it_has(entries):
    with pytest.raises(DataError, match=r"a\.json: there is no list 'data'; it has Data, Version"):
        entries('{"Data": [], "Version": 1}', list_name="data")
    with pytest.raises(DataError, match=r"a\.json: 'data' must hold a list, it begins with '{'"):
        entries('{"data": {}}', list_name="data")
    with pytest.raises(DataError, match=r"':' must follow, not ','"):
        entries('{"data", []}', list_name="data")


def test_a_faulty_line_is_named_by_its_number(entries):
    with pytest.raises(DataError, match=r"a\.jsonl:2: not valid JSON"):
        entries('{"a": 1}\n{"a": \n', "a.jsonl")
    with pytest.raises(DataError, match=r"a\.jsonl:1: each line must be a JSON object, got \[1\]"):
        entries("[1]\n", "a.jsonl")
    with pytest.raises(DataError, match=r"a\.jsonl holds no entries"):
        entries("\n", "a.jsonl")


def test_a_cut_gzip_file_is_said_so(tmp_path):
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b'[{"a": 1}]')[:-12])
    with pytest.raises(DataError, match="ends in the middle of its gzip data"):
        list(read_entries(tmp_path / "a.json.gz"))


ENTRY = Entry({"text": "a", "number": 3, "flag": True, "texts": ["a", "b"], "one": {"x": 1}, "null": None}, "f:1")


def test_fields_are_what_the_file_holds():
    assert (ENTRY.text("text"), ENTRY.text("other", "-"), ENTRY.text("null", "-")) == ("a", "-", "-")
    assert (ENTRY.label("text"), ENTRY.label("number")) == ("a", "3")
    assert (ENTRY.number("number"), ENTRY.number("other", -1)) == (3, -1)
    assert (ENTRY.flag("flag"), ENTRY.flag("other"), ENTRY.flag("null")) == (True, False, False)
    assert ENTRY.texts("texts") == ("a", "b")
    assert ENTRY.entry("one").values == {"x": 1}
    assert [entry.where for entry in Entry({"some": [{}, {}]}, "f:1").entries("some")] == ["f:1, some 1", "f:1, some 2"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda entry: entry.text("number"), "f:1: 'number' must hold text, got 3"),
        (lambda entry: entry.label("flag"), "f:1: 'flag' must hold text or a whole number, got True"),
        (lambda entry: entry.number("flag"), "f:1: 'flag' must hold a whole number, got True"),
        (lambda entry: entry.flag("text"), "f:1: 'text' must hold true or false, got 'a'"),
        (lambda entry: entry.items("text"), "f:1: 'text' must hold a list, got 'a'"),
        (lambda entry: Entry({"a": [1]}, "f:1").texts("a"), r"f:1: 'a' must hold a list of texts, got \[1\]"),
        (lambda entry: entry.entry("text"), "f:1: 'text' must hold an object, got 'a'"),
        (lambda entry: list(entry.entries("texts")), "f:1: 'texts' must hold a list of objects, got"),
        (lambda entry: entry.text("other"), "f:1: there is no 'other'; it has text, number, flag"),
        (lambda entry: entry.text("null"), "f:1: 'null' is null"),
    ],
)
def test_a_field_of_another_kind_is_named(ask, said):
    with pytest.raises(DataError, match=said):
        ask(ENTRY)
