"""Two processes stop together, fail together, and go on as if they had not stopped, bit for bit."""

import json
import shutil

import pytest

import distributed_runs
import state_runs
from bigbird.training.distributed import ALONE
from bigbird.training.state_keeper import StateKeeper
from bigbird.training.state_store import StateStore
from process_group import in_processes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("two")
    in_processes(2, state_runs.everything, place)
    return place


def found(folder, name):
    return [json.loads((folder / f"found-{rank}.json").read_text())[name] for rank in (0, 1)]


def losses(folder):
    events = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [(event["step"], event["loss"]) for event in events if "loss" in event]


@pytest.mark.parametrize("layout", state_runs.LAYOUTS)
def test_a_signal_to_one_process_stops_all_at_the_same_step(folder, layout):
    assert found(folder, f"{layout} stopped") == [["stopped by SIGTERM after step 3", 143]] * 2


@pytest.mark.parametrize("layout", state_runs.LAYOUTS)
def test_processes_that_go_on_come_to_the_same_bits(folder, layout):
    cut, whole = folder / f"{layout}-cut", folder / f"{layout}-whole"
    assert losses(cut) == losses(whole)
    for file in ("weights.safetensors", "optimizer.safetensors"):
        states = [run / "state" / "step-000000004" / file for run in (cut, whole)]
        assert states[0].read_bytes() == states[1].read_bytes()
    assert (cut / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()


@pytest.mark.parametrize("layout", state_runs.LAYOUTS)
def test_one_process_takes_over_the_state_of_two_and_writes_the_same_bytes(folder, layout, tmp_path):
    shutil.copytree(folder / f"{layout}-whole", tmp_path / "run")
    one = distributed_runs.run(tmp_path / "run", layout, ALONE, resume=True)
    again = StateStore(tmp_path / "again", keep=2)
    with StateKeeper(again, one.learner.engine, ALONE, metrics=tmp_path / "metrics.jsonl") as states:
        states.save(one.progress)
    for file in ("weights.safetensors", "optimizer.safetensors"):
        of_two = folder / f"{layout}-whole" / "state" / "step-000000004" / file
        assert (again.of_step(4) / file).read_bytes() == of_two.read_bytes()


def test_a_state_that_process_0_cannot_write_ends_all(folder):
    assert found(folder, "not written") == ["the disk is full"] * 2
