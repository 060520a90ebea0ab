"""metrics.jsonl: strict JSON whatever happens to a run, and readable however it ended."""

import json
import math

import pytest

from bigbird.errors import DataError
from bigbird.training import metrics_file


def strict(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_what_json_has_no_number_for_is_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics_file.append(path, {"event": "step", "step": 1, "loss": math.nan, "norm": math.inf, "rate": 0.5})
    metrics_file.append(path, {"event": "evaluation", "step": 1, "loss": [1.0, -math.inf, math.nan]})
    assert strict(path.read_text()) == [
        {"event": "step", "step": 1, "loss": None, "norm": None, "rate": 0.5},
        {"event": "evaluation", "step": 1, "loss": [1.0, None, None]},
    ]


def test_half_a_last_line_and_foreign_lines_are_counted_and_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = ['{"event": "step", "step": 1}', "[1, 2]", '{"step": 2}', '{"event": "step", "step": true}', "\udce4 \0"]
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape") + b'\n\n{"event": "st')
    events, num_damaged = metrics_file.read(path)
    assert (events, num_damaged) == ([{"event": "step", "step": 1}], 5)


def test_no_file_holds_no_events_and_a_folder_is_told(tmp_path):
    assert metrics_file.read(tmp_path / "none") == ([], 0)
    with pytest.raises(DataError, match=r"cannot be read: Is a directory"):
        metrics_file.read(tmp_path)


def test_what_was_written_after_the_resumed_step_is_forgotten(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [json.dumps({"event": "step", "step": step}) for step in range(1, 7)]
    path.write_text("\n".join(lines) + '\n{"event": "st')
    metrics_file.forget_after(path, 4)
    assert [event["step"] for event in strict(path.read_text())] == [1, 2, 3, 4]


def test_nothing_is_written_when_nothing_is_to_be_forgotten(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics_file.forget_after(path, 0)
    assert not path.exists()
    metrics_file.append(path, {"event": "step", "step": 1})
    path.chmod(0o444)
    before = path.stat()
    metrics_file.forget_after(path, 1)
    assert path.stat() == before


def test_of_a_step_that_is_told_twice_the_later_counts():
    events = [{"event": "step", "step": step, "loss": loss} for step, loss in ((1, 5.0), (2, 4.0), (2, 3.0))]
    found = list(metrics_file.of_kind([*events, {"event": "evaluation", "step": 2}], "step"))
    assert [(event["step"], event["loss"]) for event in found] == [(1, 5.0), (2, 3.0)]
