"""States on disk: whole or not at all, whatever fails at whatever moment; the last few kept; old ones refused."""

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bigbird.errors import CheckpointError, TrainingFailed
from bigbird.training.state import Progress, State, read_state
from bigbird.training.state_manifest import FORMAT, NotedFile
from bigbird.training.state_store import StateStore, has_state


def state(step):
    generator = torch.Generator().manual_seed(step)
    weights = {"a": torch.randn(3, 5, generator=generator), "b": torch.randn(7, generator=generator)}
    return State(
        progress=Progress(step=step, best=0.5),
        metrics_bytes=10 * step,
        weights=weights,
        optimizer={"a/step": torch.tensor(float(step)), "a/exp_avg": weights["a"] / 3},
    )


def write(store, step):
    store.write(step, state(step).files(), num_bytes=state(step).num_bytes)


def names(store):
    return sorted(path.name for path in store.folder.iterdir())


def same(one, other):
    return one.progress == other.progress and all(
        mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
        for mine, theirs in ((one.weights, other.weights), (one.optimizer, other.optimizer))
    )


@pytest.fixture
def store(tmp_path):
    return StateStore(tmp_path / "state", keep=2)


def test_a_state_comes_back_as_it_was(store):
    write(store, 4)
    assert store.newest_sound() == (4, [])
    back = read_state(store.of_step(4))
    assert same(back, state(4))
    assert back.metrics_bytes == 40
    assert json.loads((store.of_step(4) / "state.json").read_text())["versions"].keys() == {
        "bigbird",
        "torch",
        "safetensors",
    }


def test_the_newest_are_kept_and_the_order_is_that_of_the_numbers(store):
    for step in (8, 9, 10, 1_000_000_000):
        write(store, step)
    assert store.steps() == [10, 1_000_000_000]
    assert names(store) == ["step-000000010", "step-1000000000"]


def test_a_step_saved_once_more_is_replaced(store):
    write(store, 4)
    store.write(4, state(5).files())
    assert names(store) == ["step-000000004"]
    assert read_state(store.of_step(4)).progress.step == 5


class Killed(BaseException):
    """Stands for SIGKILL: from then on nothing of the process has any effect."""


def failing(monkeypatch, number, error):
    """Let the `number`-th operation on the disk fail; after a kill all later ones too. Gives the operations done."""
    done = []

    def counted(function):
        def call(*arguments, **options):
            done.append(function.__name__)
            if len(done) - 1 == number or (error is Killed and len(done) - 1 > number):
                raise Killed if error is Killed else OSError(error, os.strerror(error))
            return function(*arguments, **options)

        return call

    for owner, name in (
        (Path, "mkdir"),
        (Path, "open"),
        (Path, "rename"),
        (NotedFile, "write"),
        (os, "fsync"),
        (shutil, "rmtree"),
    ):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    return done


@pytest.mark.parametrize("error", [errno.ENOSPC, Killed])
def test_whatever_operation_fails_the_state_before_or_the_new_one_is_there_and_sound(tmp_path, error):
    number, is_through = 0, False
    while not is_through:
        store = StateStore(tmp_path / str(number), keep=2)
        write(store, 1)
        with pytest.MonkeyPatch.context() as patch:
            done = failing(patch, number, error)
            try:
                write(store, 2)
                is_through = len(done) <= number
            except (TrainingFailed, Killed, OSError):
                pass
        step, told = store.newest_sound()
        assert (step in (1, 2), told) == (True, []), (number, done)
        assert same(read_state(store.of_step(step)), state(step))
        if error is not Killed:
            assert names(store) in (["step-000000001"], ["step-000000001", "step-000000002"]), (number, done)
        store.clear_parts()
        write(store, 3)
        assert store.steps() == [step, 3]
        assert names(store) == [f"step-{step:09d}", "step-000000003"]
        number += 1
    assert {"mkdir", "open", "write", "fsync", "rename"} <= set(done)
    assert number > 20


def test_nothing_is_named_before_all_of_it_is_on_the_disk(store, monkeypatch):
    done = failing(monkeypatch, -1, errno.EIO)
    write(store, 1)
    assert done[: done.index("rename")].count("fsync") == 4 + 1  # the files and the folder with their names
    assert done[done.index("rename") + 1] == "fsync"  # and then the folder with its own name


def test_a_full_disk_is_told_with_what_is_needed_and_what_is_left(store, monkeypatch):
    write(store, 1)
    failing(monkeypatch, 4, errno.ENOSPC)
    with pytest.raises(
        TrainingFailed,
        match=r"the state of step 2 could not be written to \S+/state: No space left on device \(it takes about 152 "
        r"bytes, [\d,]+ are free\)\. The last good state is that of step 1; make room and go on with --resume",
    ):
        write(store, 2)
    monkeypatch.undo()
    failing(monkeypatch, 4, errno.ENOSPC)
    with pytest.raises(TrainingFailed, match="There is no earlier state; make room"):
        write(StateStore(store.folder / "other", keep=2), 2)


def test_what_a_killed_run_left_behind_is_cleared_away(store):
    write(store, 1)
    (store.folder / ".step-000000002.part").mkdir()
    (store.folder / ".step-000000002.part" / "weights.safetensors").write_bytes(b"half")
    assert store.steps() == [1]
    store.clear_parts()
    assert names(store) == ["step-000000001"]


def test_later_states_are_put_aside_and_go_with_the_next_save(store):
    for step in (1, 2):
        write(store, step)
    assert store.forget_after(1) == [2]
    assert store.steps() == [1]
    assert names(store) == [".step-000000002.aside", "step-000000001"]
    write(store, 3)
    assert names(store) == ["step-000000001", "step-000000003"]


def test_a_state_can_be_chosen_by_its_step(store):
    for step in (1, 2):
        write(store, step)
    assert store.newest_sound(1) == (1, [])
    with pytest.raises(CheckpointError, match=r"holds no state of step 7; there are those of steps 1, 2$"):
        store.newest_sound(7)
    (store.of_step(2) / "state.json").unlink()
    with pytest.raises(
        CheckpointError,
        match=r"step-000000002 is damaged: state.json is missing\. There are the states of step 1 too\.",
    ):
        store.newest_sound(2)


def test_what_bears_no_name_of_a_state_is_none(store):
    write(store, 3)
    for name in ("step-5", "step-0000000007", "step-x", "step-000000009.old"):
        (store.folder / name).mkdir()
    assert store.steps() == [3]
    assert store.newest_sound() == (3, [])
    assert store.forget_after(3) == []


def test_no_state_and_no_sound_state_are_told_apart(store):
    assert not has_state(store.folder)
    with pytest.raises(CheckpointError, match="holds no saved state to resume from; begin a new run"):
        store.newest_sound()
    write(store, 1)
    assert has_state(store.folder)
    (store.of_step(1) / "state.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"No sound state is left to resume from\. The best model so far is \S+/mo"
    ):
        store.newest_sound()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), r"is cut off: \d+ bytes instead of \d+"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), r"is too long: \d+ bytes instead of \d+"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "is changed: its SHA-256 is another"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read: Is a directory"),
    ],
)
def test_it_is_told_how_a_file_is_damaged(store, damage, told):
    for step in (1, 2):
        write(store, step)
    damage(store.of_step(2) / "weights.safetensors")
    step, (message,) = store.newest_sound()
    assert step == 1
    assert re.search(rf"step-000000002 is damaged: weights.safetensors {told}$", message), message


def test_a_state_of_a_later_format_is_refused_and_not_called_damaged(store, monkeypatch):
    monkeypatch.setattr("bigbird.training.state_manifest.FORMAT", FORMAT + 1)
    write(store, 1)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"has format 3, this bigbird reads 2\. Install a newer bigbird\."):
        store.newest_sound()


def test_states_of_the_first_format_are_refused_by_name(store):
    folder = store.of_step(8)
    folder.mkdir(parents=True)
    (folder / "state.json").write_text('{"step": 8, "best": null}\n')
    with pytest.raises(
        CheckpointError,
        match=r"step-000000008 was saved by an older bigbird, without checksums, .*or begin a new one that starts from "
        r"its best model: --set start=\S+/model",
    ):
        store.newest_sound()


def test_a_sound_state_that_holds_something_else_is_refused(store):
    files = state(1).files()
    store.write(1, {**files, "state.json": lambda file: file.write(b'{"progress": {"steps": 1}}')})
    with pytest.raises(CheckpointError, match=r"is sound but not what this bigbird writes: TypeError.*names\."):
        read_state(store.of_step(1))


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool]
)
def test_the_tensor_files_are_safetensors(store, dtype):
    tensors = {"long name": torch.arange(6).reshape(2, 3).to(dtype), "none": torch.zeros(0, 4), "one": torch.tensor(7)}
    tensors["across"] = tensors["long name"].T
    before = state(1)
    changed = State(progress=before.progress, metrics_bytes=0, weights=tensors, optimizer={})
    store.write(1, changed.files())
    back = load_file(store.of_step(1) / "weights.safetensors")
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) and back[name].dtype == tensors[name].dtype for name in tensors)
