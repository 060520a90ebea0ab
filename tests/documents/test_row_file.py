"""A file of results goes on where a killed run left it."""

import json

import pytest

from bigbird.documents.batch_lines import BatchLine
from bigbird.documents.row_file import append_rows, check_done, row_file, settings_file
from bigbird.errors import ConfigError, DataError

SETTINGS = {"model": "m", "top_k": 3}
LINES = [BatchLine(name, "why?", text="x") for name in "abc"]
ROWS = [{"name": "a", "question": "why?"}, {"name": "b", "error": "ü"}, {"name": "c", "question": "why?"}]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "new" / "out.jsonl"


def write(out, rows, *, settings=SETTINGS, lines=LINES):
    """What stood there, after the rows were added that did not."""
    with row_file(out, settings) as file:
        done = check_done(file, iter(lines), out)
        append_rows(file, rows[done.num_rows :])
    return done


def rows_of(out):
    return [json.loads(line) for line in out.read_bytes().splitlines()]


def test_lines_are_written_whole_and_counted(out):
    assert write(out, ROWS) == (0, 0)
    assert rows_of(out) == ROWS
    assert "ü" in out.read_text(encoding="utf-8")
    assert write(out, ROWS) == (3, 1)
    assert rows_of(out) == ROWS


def test_a_line_stands_in_the_file_before_the_next_is_begun(out):
    def rows():
        for number, row in enumerate(ROWS):
            assert len(rows_of(out)) == number
            yield row

    with row_file(out, SETTINGS) as file:
        assert append_rows(file, rows()) == (3, 1)


def test_wherever_a_run_is_killed_the_next_one_ends_with_the_same_file(out):
    write(out, ROWS)
    whole = out.read_bytes()
    for length in range(len(whole)):
        out.write_bytes(whole[:length])
        done = write(out, ROWS)
        assert done.num_rows == whole[:length].count(b"\n")
        assert out.read_bytes() == whole


def test_zeros_that_a_loss_of_power_left_are_cut_off(out):
    write(out, ROWS[:2])
    with out.open("ab") as file:
        file.write(bytes(50) + b"\n")
    assert write(out, ROWS).num_rows == 2
    assert rows_of(out) == ROWS


def test_damage_before_the_last_line_is_told_and_kept(out):
    write(out, ROWS)
    data = out.read_bytes().replace(b"{", b"#", 1)
    out.write_bytes(data)
    with pytest.raises(DataError, match=r"out.jsonl:1 is damaged: no JSON object with a name\. Give another --out, or"):
        write(out, ROWS)
    assert out.read_bytes() == data


def test_other_settings_are_refused(out):
    write(out, ROWS[:1])
    with pytest.raises(
        ConfigError, match=r"out.jsonl was begun with top_k 3, now it is 5\. Give another --out, or delete"
    ):
        write(out, ROWS, settings={"model": "m", "top_k": 5})
    assert len(rows_of(out)) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (LINES[:1], r"out.jsonl holds more lines than the input: line 2 belongs to none\. Give another"),
        (
            [LINES[1], LINES[0]],
            r"out.jsonl:1 belongs to 'a', where 'b' stands now\. The lines or their order have changed\.",
        ),
        ([LINES[0]._replace(question="how?")], r"out.jsonl:1 belongs to 'a', where 'a' stands now\."),
    ],
)
def test_other_lines_are_refused(out, lines, message):
    write(out, ROWS)
    with pytest.raises(ConfigError, match=message):
        write(out, ROWS, lines=lines)


def test_a_mark_that_a_row_lacks_was_empty(out):
    plain, asked = (BatchLine("a", question, text="x", asked_as="query") for question in ("", "why?"))
    write(out, [{"name": "a", "summary": "s"}], lines=[plain])
    assert write(out, [], lines=[plain]).num_rows == 1
    with pytest.raises(ConfigError, match=r"out.jsonl:1 belongs to 'a', where 'a' stands now\. The lines or"):
        write(out, [], lines=[asked])


def test_a_line_whose_fault_was_mended_stays_answered_so(out):
    write(out, [{"name": "a", "error": "no question"}], lines=[BatchLine("a", error="no question")])
    assert write(out, [], lines=LINES[:1]) == (1, 1)


def test_more_lines_at_the_end_go_on(out):
    write(out, ROWS[:2], lines=LINES[:2])
    assert write(out, ROWS).num_rows == 2
    assert rows_of(out) == ROWS


def test_a_file_of_something_else_is_left_alone(out):
    out.parent.mkdir()
    out.write_text("mine")
    with pytest.raises(
        ConfigError, match=r"out.jsonl has contents, and out.jsonl.settings.json, which tells how to go"
    ):
        write(out, ROWS)
    settings_file(out).write_text("{")
    with pytest.raises(
        DataError, match=r"out.jsonl.settings.json is damaged\. Give another --out, or delete the file f"
    ):
        write(out, ROWS)
    assert out.read_text() == "mine"


def test_one_program_at_a_time(out):
    with (
        row_file(out, SETTINGS),
        pytest.raises(
            ConfigError, match=r"out.jsonl is being written by another program\. Wait for it, or give another"
        ),
        row_file(out, SETTINGS),
    ):
        pass
