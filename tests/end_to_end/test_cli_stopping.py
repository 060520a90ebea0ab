"""`bigbird train` as people stop and start it."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from helpers import motif_records

SETTINGS = (
    *(
        "data.train=train.csv",
        "data.validation=dev.csv",
        "training.num_steps=1000000",
        "training.evaluate_every=1000000",
    ),
    *("training.batch_size=4", "training.micro_batch_size=4", "training.warmup_steps=0", "training.save_every=3"),
    *("start.tokenizer=single-base", "start.encoder.hidden_size=16", "start.encoder.inner_size=32"),
    *("start.encoder.num_heads=2", "start.encoder.num_layers=1"),
)


@pytest.fixture
def folder(tmp_path):
    for name, seed in (("train", 0), ("dev", 1)):
        rows = [f"{record.sequence},{record.labels[0]}" for record in motif_records(8, seed=seed)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["sequence,label", *rows]) + "\n")
    return tmp_path


def train(folder, *options, **changes):
    settings = [
        part
        for setting in (*SETTINGS, *(f"training.{k}={v}" for k, v in changes.items()))
        for part in ("--set", setting)
    ]
    command = [sys.executable, "-m", "bigbird", "train", "genomics.classification", "--out", "run", *options, *settings]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def steps(folder):
    path = folder / "run/metrics.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [event["step"] for event in events if event["event"] == "step"]


def wait_for_step(folder, step):
    until = time.monotonic() + 100
    while not (found := steps(folder)) or found[-1] < step:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_run_is_stopped_by_sigterm_and_ctrl_c_and_goes_on_and_nobody_else_may_work_in_its_folder(folder):
    last = 0
    for number, code, options in ((signal.SIGTERM, 143, ()), (signal.SIGINT, 130, ("--resume",))):
        with train(folder, *options) as running:
            wait_for_step(folder, last + 2)
            if last:
                _, said = train(folder, "--resume").communicate(timeout=100)
                assert re.fullmatch(rf"bigbird: run is in use by another program \(process {running.pid} on .*\n", said)
            running.send_signal(number)
            _, said = running.communicate(timeout=60)
        assert running.returncode == code, said
        name = signal.Signals(number).name
        (step,) = re.findall(
            rf"bigbird: stopped by {name} after step (\d+), whose state is in run/state; go on with", said
        )
        assert steps(folder) == list(range(1, int(step) + 1))
        assert int(step) > last
        assert (folder / f"run/state/step-{int(step):09d}/manifest.json").exists()
        assert not (folder / "run/.lock").exists()
        assert "Traceback" not in said
        last = int(step)
    with train(folder, "--resume-from", str(last), num_steps=last + 1) as running:
        _, said = running.communicate(timeout=100)
    assert running.returncode == 0, said
    assert f"goes on from the state of step {last}\n" in said
    assert steps(folder) == list(range(1, last + 2))
