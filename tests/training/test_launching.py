"""`--processes` and torchrun: one voice, and the exit codes of a run in one process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch.distributed.elastic.multiprocessing import SignalException

from bigbird import cli
from bigbird.training import launching
from helpers import motif_records

SMALL = [
    *("data.train=train.csv", "data.validation=dev.csv", "training.num_steps=2", "training.evaluate_every=1"),
    *("training.batch_size=4", "training.micro_batch_size=2", "training.warmup_steps=0", "training.sharding=fsdp"),
    *("start.tokenizer=single-base", "start.encoder.hidden_size=16", "start.encoder.inner_size=32"),
    *("start.encoder.num_heads=2", "start.encoder.num_layers=1"),
]


@pytest.fixture
def folder(tmp_path):
    for name, seed in (("train", 0), ("dev", 1)):
        rows = [f"{record.sequence},{record.labels[0]}" for record in motif_records(8, seed=seed)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["sequence,label", *rows]) + "\n")
    return tmp_path


def command(*changes, launcher=(), processes=True):
    settings = [part for setting in (*SMALL, *changes) for part in ("--set", setting)]
    chosen = ["--processes", "2"] if processes else ["--auto-resume"]
    train = ["-m", "bigbird", "train", "genomics.classification", "--out", "run"]
    return [sys.executable, *launcher, *train, *chosen, *settings]


def ended(arguments, folder):
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_run_of_two_processes_speaks_once(folder):
    code, said = ended(command(), folder)
    assert code == 0, said
    assert said.count("after step 2:") == 1
    assert said.count("the best model is in run/model") == 1
    assert said.count("each of the 2 processes here needs about") == 1
    assert len(said.splitlines()) == 5, said


def test_torchrun_starts_a_run_again_when_a_process_is_killed_and_it_goes_on(folder):
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "1")
    settings = ("training.num_steps=150", "training.evaluate_every=150", "training.save_every=5")
    metrics = folder / "run/metrics.jsonl"
    with started(command(*settings, launcher=torchrun, processes=False), folder) as running:
        wait_for(lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 10)
        os.kill(children(running)[1], signal.SIGKILL)
        said, _ = running.communicate(timeout=120)
    assert running.returncode == 0, said
    steps = [event["step"] for event in map(json.loads, metrics.read_text().splitlines()) if event["event"] == "step"]
    assert steps == list(range(1, 151))
    assert said.count("after step 0:") == said.count("the best model is in run/model") == 1, said


def started(arguments, folder):
    return subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def children(running):
    return [int(child) for child in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()]


def wait_for(condition):
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(("rank", "waits"), [("0", []), ("1", [2.0])])
def test_the_first_process_tells_a_mistake_before_others_do(monkeypatch, capsys, folder, rank, waits):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setenv("RANK", rank)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", command("data.train=no.csv", processes=False)[2:])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert (stop.value.code, waited) == (2, waits)
    assert capsys.readouterr().err == "bigbird: cannot read no.csv: No such file or directory\n"


def test_a_signal_ends_all_processes_with_its_exit_code(folder):
    endless = command("training.num_steps=1000000", "training.evaluate_every=1000000")
    with started(endless, folder) as running:
        wait_for((folder / "run/run.json").exists)
        workers = children(running)
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 143, said
    assert "Traceback" not in said
    assert len(workers) == 2
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal for it is Linux's")
def test_a_launcher_that_is_killed_takes_its_processes_along_and_they_save(folder):
    endless = command("training.num_steps=1000000", "training.evaluate_every=1000000", "training.save_every=1000000")
    with started(endless, folder) as running:
        metrics = folder / "run/metrics.jsonl"
        wait_for(lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 10)
        workers = children(running)
        running.kill()
        running.wait()
        try:
            wait_for(lambda: not any(is_alive(worker) for worker in workers))
        finally:
            for worker in filter(is_alive, workers):
                os.kill(worker, signal.SIGKILL)
    assert len(list((folder / "run/state").glob("step-*"))) == 2  # the first, and the one saved now


def is_alive(process):
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_ctrl_c_of_the_launcher_is_130(monkeypatch):
    def stopped(*_):
        raise SignalException("stopped", signal.SIGINT)

    monkeypatch.setattr(launching, "elastic_launch", lambda *_: stopped)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert launching.launch(2, []) == 130


@pytest.mark.parametrize(
    ("codes", "written", "expected", "said"),
    [
        ({0: 2}, {}, 2, ""),
        ({1: 2}, {1: "noise\nbigbird: no room\n"}, 2, "bigbird: process 1: no room\n"),
        ({0: 1, 1: 2}, {1: "bigbird: no room\n"}, 2, "bigbird: process 1: no room\n"),
        (
            {0: -15, 1: -9},
            {},
            137,
            "bigbird: process 1 of the run was ended by SIGKILL (the machine may have run out of",
        ),
        ({0: 143, 1: -9}, {}, 137, "bigbird: process 1 of the run was ended by SIGKILL"),
        ({0: 143, 1: 143}, {}, 143, ""),
        ({0: -15, 1: 1}, {}, 143, "bigbird: process 0 of the run was ended by SIGTERM\n"),
        (
            {3: 1},
            {3: "Traceback …\nValueError: x\n"},
            1,
            "Traceback …\nValueError: x\nbigbird: process 3 of the run failed",
        ),
    ],
)
def test_the_first_that_failed_is_heard(tmp_path, capsys, codes, written, expected, said):
    for rank, text in written.items():
        (tmp_path / f"bigbird_x/attempt_0/{rank}").mkdir(parents=True)
        (tmp_path / f"bigbird_x/attempt_0/{rank}/stderr.log").write_text(text)
    failures = {rank: SimpleNamespace(exitcode=code) for rank, code in codes.items()}
    assert launching._told(failures, tmp_path) == expected
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (
            ["--set", "training.batch_size=4", "--set", "training.micro_batch_size=4"],
            {},
            "Set training.micro_batch_size=2",
        ),
        (
            ["--processes", "100000", "--set", "training.batch_size=100000", "--set", "training.micro_batch_size=1"],
            {},
            "bigbird: the program in 100,000 processes needs",
        ),
        (["--set", "training.context_parallel=3"], {}, "must divide the number of processes, got 3 for 2"),
        (
            ["--set", "training.context_parallel=2"],
            {},
            "context parallelism serves tasks with a target for every token",
        ),
        (
            [],
            {"RANK": "0"},
            "--processes starts the processes of a run, and torchrun has done so already; leave it out",
        ),
    ],
)
def test_processes_that_cannot_be_are_refused_before_they_start(
    monkeypatch, capsys, tmp_path, arguments, environment, message
):
    monkeypatch.setattr(launching, "launch", lambda *_: pytest.fail("started"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    train = ["train", "genomics.classification", "--out", str(tmp_path / "run"), "--processes", "2"]
    monkeypatch.setattr(sys, "argv", ["bigbird", *train, *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
