"""`bigbird report`, and what `bigbird train` says of memory, as people use them."""

import json
import re
import sys

import pytest

from bigbird.training import metrics_file
from helpers import motif_records

SMALL = {
    "data.train": "train.csv", "data.validation": "dev.csv", "start.tokenizer": "single-base",
    "start.encoder.hidden_size": 16, "start.encoder.num_layers": 1, "start.encoder.num_heads": 2,
    "start.encoder.inner_size": 32, "task.max_length": 256, "training.num_steps": 3, "training.batch_size": 4,
    "training.micro_batch_size": 4, "training.warmup_steps": 0,
}  # fmt: skip


@pytest.fixture
def bigbird(bigbird, tmp_path):
    """Run a command line in a folder with labelled records: (exit code, output, what was said)."""
    for name, seed in (("train", 0), ("dev", 1)):
        rows = [f"{record.sequence},{record.labels[0]}" for record in motif_records(12, seed=seed)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["sequence,label", *rows]) + "\n")
    return bigbird


def small_run(out, **changes):
    values = SMALL | {f"training.{name}": value for name, value in changes.items()}
    settings = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    return ["train", "genomics.classification", "--out", out, *settings]


def test_train_then_resume_then_report(bigbird, tmp_path):
    code, _, said = bigbird(*small_run("run"))
    assert code == 0, said
    assert re.match(r"this run needs about \d+\.\d+ GiB of memory \(", said)
    assert bigbird(*small_run("run", num_steps=5), "--resume")[0] == 0
    code, out, said = bigbird("report", "run")
    assert (code, said) == (0, "the report is run/report.html\n")
    assert out.startswith("run: at step 5 of 5; best loss ")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<svg" in page
    assert "genomics.classification" in page
    (found,) = json.loads((tmp_path / "run" / "summary.json").read_text())["runs"]
    assert (found["last_step"], found["resumed_after"]) == (5, [3])
    assert found["num_weights"] > 1000


def test_reports_of_killed_and_empty_runs_go_onto_one_page(bigbird, tmp_path):
    for name in ("killed", "empty"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    metrics_file.append(tmp_path / "killed" / "metrics.jsonl", {"event": "step", "step": 1, "loss": 1.0})
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"event": "st')
    code, out, said = bigbird("report", "killed", "empty", "--out", "both")
    assert code == 0
    assert out.splitlines() == ["killed: at step 1; not evaluated yet.", "empty: at step 0; not evaluated yet."]
    assert said.splitlines() == [
        "killed: metrics.jsonl: 1 line(s) could not be read and are left out",
        "the report is both/report.html",
    ]
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["curves.svg", "report.html", "summary.json"]
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["metrics.jsonl", "run.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "nowhere"], "bigbird: nowhere is not there; name the folder of a run"),
        (["report", "dev.csv"], "bigbird: dev.csv is a file; name the folder of a run"),
        (["report", "."], "bigbird: . holds neither run.json nor metrics.jsonl, so it is no run's folder;"),
        (["report"], "bigbird: missing argument 'runs'."),
        (["report", "run", "--out", "dev.csv"], "bigbird: --out dev.csv is a file; name a folder"),
    ],
)
def test_a_report_that_cannot_be_made_is_refused_in_one_line(bigbird, tmp_path, arguments, message):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    code, out, said = bigbird(*arguments)
    assert (code, out) == (2, "")
    assert said.startswith(message), said
    assert said.count("\n") == 1


def test_a_run_that_surely_does_not_fit_is_refused_before_anything_is_written(bigbird, tmp_path, monkeypatch):
    monkeypatch.setattr("bigbird.training.room.available_on", lambda _: -(2**40))
    code, _, said = bigbird(*small_run("run"))
    assert code == 2
    assert re.search(r"this run needs at least \d+\.\d+ GiB of memory, ", said.splitlines()[-1])
    assert not (tmp_path / "run" / "model").exists()
    assert not (tmp_path / "run" / "run.json").exists()


def test_tensorboard_is_asked_for_before_any_work(bigbird, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    code, _, said = bigbird(*small_run("run", tensorboard="true"))
    assert code == 2
    assert said == (
        "bigbird: training.tensorboard needs tensorboard, which is not installed. Run: pip install "
        "'bigbird[tensorboard]'\n"
    )
    assert not (tmp_path / "run").exists()
