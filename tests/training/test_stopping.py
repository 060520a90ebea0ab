"""SIGTERM and Ctrl-C: the step is finished, its state saved, and the run that goes on is as if nothing had happened."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from bigbird.cli.entry import as_promised
from bigbird.errors import RunStopped, TrainingFailed
from bigbird.training.state_store import StateStore
from bigbird.training.step import Learner
from bigbird.training.stopping import Interrupted, StopRequests
from training_runs import CONFIG, events, losses, run, same_weights, trainer

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 10)


@pytest.fixture(autouse=True)
def handlers_are_as_before():
    before = [signal.getsignal(number) for number, _ in SIGNALS]
    yield
    assert [signal.getsignal(number) for number, _ in SIGNALS] == before


def at_step(monkeypatch, step, action):
    learn = Learner.step

    def acting(self, number, batches):
        result = learn(self, number, batches)
        if number + 1 == step:
            action()
        return result

    monkeypatch.setattr(Learner, "step", acting)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_ends_the_run_after_its_step_with_the_state_of_that_step(tmp_path, monkeypatch, number, code):
    run(tmp_path / "whole", dropout=0.2)
    with monkeypatch.context() as patch:
        at_step(patch, 5, lambda: os.kill(os.getpid(), number))
        name = signal.Signals(number).name
        with pytest.raises(
            RunStopped, match=rf"^stopped by {name} after step 5, whose state is in \S+state; go on w"
        ) as e:
            run(tmp_path / "cut", dropout=0.2)
    assert e.value.exit_code == code
    assert len(losses(tmp_path / "cut")) == 5
    _, resumed, said = run(tmp_path / "cut", resume=True, dropout=0.2)
    assert "goes on from the state of step 5" in said
    _, whole, _ = run(tmp_path / "whole", resume=True, dropout=0.2)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert same_weights(resumed.loaded.model, whole.loaded.model)


@pytest.mark.parametrize("due", [0, 4, 8])
def test_an_evaluation_is_left_at_once_and_done_by_the_run_that_goes_on(tmp_path, monkeypatch, due):
    run(tmp_path / "whole")
    seen = []

    def endless(*_):
        seen.append("evaluation")
        if len(seen) - 1 == due // CONFIG.evaluate_every:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        return original(*_)

    from bigbird.training import trainer as module

    original = module.evaluate
    began = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(module, "evaluate", endless)
        with pytest.raises(RunStopped, match=f"stopped by SIGTERM after step {due}, "):
            run(tmp_path / "cut")
    assert time.monotonic() - began < 30
    for _ in range(2):
        run(tmp_path / "cut", resume=True)
        assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
        assert events(tmp_path / "cut", "evaluation") == events(tmp_path / "whole", "evaluation")


def test_a_signal_in_the_last_step_changes_nothing(tmp_path, monkeypatch):
    at_step(monkeypatch, CONFIG.num_steps, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(RunStopped, match="stopped by SIGTERM after step 8"):  # its evaluation is still due
        run(tmp_path)
    _, made, said = run(tmp_path, resume=True)
    assert made.progress.step == 8 and not made.progress.evaluation_due
    _, _, said = run(tmp_path, resume=True)
    assert "nothing is left to do" in said


def test_a_run_that_cannot_save_when_it_is_stopped_says_that_instead(tmp_path, monkeypatch):
    write = StateStore.write

    def full(self, step, files, *, num_bytes=0):
        if step == 3:
            raise TrainingFailed("the disk is full")
        write(self, step, files, num_bytes=num_bytes)

    monkeypatch.setattr(StateStore, "write", full)
    at_step(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(TrainingFailed, match="the disk is full"):
        run(tmp_path)


def test_the_same_request_sent_twice_at_once_is_one(tmp_path, monkeypatch):
    def twice():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)

    at_step(monkeypatch, 3, twice)
    with pytest.raises(RunStopped, match="stopped by SIGTERM after step 3"):
        run(tmp_path)


def test_a_second_request_ends_the_process_at_once():
    code = (
        "import hashlib, os, signal\nfrom bigbird.training.stopping import StopRequests\n"
        "with StopRequests() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n    assert stop.is_requested\n    print('first', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"  # Python runs nothing of its own in the main thread
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "first\n"
        time.sleep(1.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_a_request_that_came_before_interrupts_a_block_at_its_beginning():
    with StopRequests() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted), stop.interrupting():
            pytest.fail("was begun")
        assert stop.signal_number == signal.SIGTERM


def test_in_another_thread_signals_are_left_alone(tmp_path):
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(run(tmp_path)))
    thread.start()
    thread.join()
    assert outcome[0][1].progress.step == CONFIG.num_steps


def test_the_command_line_leaves_with_the_signal_s_code(capsys):
    with pytest.raises(SystemExit) as left, as_promised():
        raise RunStopped("stopped by SIGTERM after step 5", signal_number=signal.SIGTERM)
    assert left.value.code == 143
    assert capsys.readouterr().err == "bigbird: stopped by SIGTERM after step 5\n"


def test_a_failed_save_ends_the_run_soon_and_the_state_before_stays(tmp_path, monkeypatch):
    write = StateStore.write

    def full(self, step, files, *, num_bytes=0):
        if step == 4:
            raise TrainingFailed("the disk is full")
        write(self, step, files, num_bytes=num_bytes)

    monkeypatch.setattr(StateStore, "write", full)
    config = dataclasses.replace(CONFIG, num_steps=100, save_every=2, evaluate_every=100)
    at_step(monkeypatch, 5, lambda: time.sleep(0.5))
    with pytest.raises(TrainingFailed, match="the disk is full"):
        run(tmp_path, config)
    assert len(losses(tmp_path)) == 5
    resumed = trainer(tmp_path, config)
    resumed.resume()
    assert resumed.progress.step == 2
