"""States are saved while the run goes on, one at a time, and what goes wrong is raised."""

import threading

import pytest
import torch

from bigbird.errors import CheckpointError, TrainingFailed
from bigbird.training.distributed import ALONE
from bigbird.training.state import Progress
from bigbird.training.state_keeper import StateKeeper
from bigbird.training.state_store import StateStore


class Weights:
    """One weight and one number of an optimizer."""

    def __init__(self, value):
        self.value = torch.tensor([float(value)])

    def weights(self):
        return {"w": self.value.clone()}

    def optimizer_tensors(self):
        return {"w/step": self.value * 10}

    def put_back(self, *, weights, optimizer_tensors):
        assert torch.equal(optimizer_tensors["w/step"], weights["w"] * 10)
        self.value = weights["w"]


class SlowStore(StateStore):
    """Writes when it is let."""

    def __init__(self, folder):
        super().__init__(folder, keep=2)
        self.may_write, self.has_begun = threading.Event(), threading.Event()
        self.failure = None

    def write(self, step, files, *, num_bytes=0):
        self.has_begun.set()
        assert self.may_write.wait(30)
        if self.failure:
            raise self.failure
        super().write(step, files, num_bytes=num_bytes)


def keeper(store, weights, metrics=None):
    return StateKeeper(store, weights, ALONE, metrics=metrics or store.folder.parent / "metrics.jsonl")


def test_a_run_goes_on_while_its_state_is_written_and_the_state_is_of_the_moment_it_was_saved(tmp_path):
    store, weights, progress = SlowStore(tmp_path / "state"), Weights(1), Progress(step=1)
    with keeper(store, weights) as states:
        states.save(progress)
        assert store.has_begun.wait(30) and not store.steps()
        weights.value += 1  # the next step
        progress.step = 2
        store.may_write.set()
    assert store.steps() == [1]
    found = Weights(0)
    assert keeper(store, found).resume().progress.step == 1
    assert float(found.value) == 1.0


def test_the_next_save_waits_for_the_one_before(tmp_path):
    store, weights, progress = SlowStore(tmp_path / "state"), Weights(1), Progress(step=1)
    with keeper(store, weights) as states:
        states.save(progress)
        progress.step = 2
        later = threading.Timer(0.2, store.may_write.set)
        later.start()
        states.save(progress)
        assert store.steps()[:1] == [1]
    assert store.steps() == [1, 2]


def test_the_same_progress_is_saved_once(tmp_path):
    store, progress = SlowStore(tmp_path / "state"), Progress(step=1)
    store.may_write.set()
    with keeper(store, Weights(1)) as states:
        states.save(progress)
        states.wait()
        store.has_begun.clear()
        states.save(progress)
        states.wait()
        assert not store.has_begun.is_set()
        progress.evaluation_due = False
        states.save(progress)
    assert store.has_begun.is_set()
    assert store.steps() == [1]


def test_a_state_that_could_not_be_written_is_noticed_and_raised_by_the_next_call(tmp_path):
    store = SlowStore(tmp_path / "state")
    store.failure = TrainingFailed("the disk is full")
    store.may_write.set()
    with keeper(store, Weights(1)) as states:
        states.save(Progress(step=1))
        while not states.has_failed:
            pass
        with pytest.raises(TrainingFailed, match="the disk is full"):
            states.save(Progress(step=2))
        assert not states.has_failed
        states.save(Progress(step=3))
        with pytest.raises(TrainingFailed, match="the disk is full"):  # the end of the run is a call too
            states.__exit__(None, None, None)
        assert not any(thread.name.startswith("saving") for thread in threading.enumerate())


def test_another_error_is_the_one_that_is_raised_and_the_failed_state_a_note_on_it(tmp_path):
    store = SlowStore(tmp_path / "state")
    store.failure = TrainingFailed("the disk is full")
    store.may_write.set()
    error = KeyError()
    states = keeper(store, Weights(1))
    states.save(Progress(step=1))
    states.__exit__(KeyError, error, None)
    assert error.__notes__ == ["the disk is full"]


def test_a_run_that_goes_on_passes_a_damaged_state_over_and_later_states_and_metrics_go(tmp_path):
    store, metrics = StateStore(tmp_path / "state", keep=3), tmp_path / "metrics.jsonl"
    weights = Weights(0)
    with keeper(store, weights) as states:
        for step in (1, 2, 3):
            metrics.write_text("".join(f"line {number}\n" for number in range(1, step + 1)))
            weights.value = torch.tensor([float(step)])
            states.save(Progress(step=step))
    (store.of_step(3) / "weights.safetensors").write_bytes(b"")
    (store.folder / ".step-000000009.part").mkdir()
    metrics.write_text(metrics.read_text() + "line 4\nli")
    states = keeper(store, weights)
    resumed = states.resume()
    assert resumed.progress.step == 2 and float(weights.value) == 2
    assert len(resumed.told) == 1 and "step-000000003 is damaged: weights.safetensors is cut off" in resumed.told[0]
    assert metrics.read_text() == "line 1\nline 2\n"
    assert store.steps() == [1, 2]
    assert not (store.folder / ".step-000000009.part").exists()
    with states:
        states.save(Progress(step=4))
    assert sorted(path.name for path in store.folder.iterdir()) == [
        "step-000000001",
        "step-000000002",
        "step-000000004",
    ]
    assert keeper(store, weights).resume(1).progress.step == 1
    assert float(weights.value) == 1


def test_lost_metrics_are_told(tmp_path):
    store, metrics = StateStore(tmp_path / "state", keep=2), tmp_path / "metrics.jsonl"
    with keeper(store, Weights(1)) as states:
        metrics.write_text("line 1\nline 2\n")
        states.save(Progress(step=2))
    states = keeper(store, Weights(1))
    metrics.write_text("line 1\nli")
    resumed = states.resume()
    assert metrics.read_text() == "line 1\n"
    assert resumed.told == [
        f"{metrics} holds 9 of the 14 bytes it had when the state was saved; what it said of the steps in between is "
        f"lost, the run itself goes on exactly"
    ]


def test_a_run_begun_anew_says_nothing_of_one_that_was_killed_before_its_first_state(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("an evaluation\n")
    keeper(StateStore(tmp_path / "state", keep=2), Weights(1)).begin()
    assert metrics.read_text() == ""


def test_a_refused_resume_changes_no_file(tmp_path):
    store = StateStore(tmp_path / "state", keep=2)
    with keeper(store, Weights(1)) as states:
        states.save(Progress(step=1))
    (store.of_step(1) / "state.json").unlink()
    (store.folder / ".step-000000009.part").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match="No sound state is left"):
        keeper(store, Weights(1)).resume()
    assert sorted(tmp_path.rglob("*")) == before
