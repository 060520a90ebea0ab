"""Two processes, by DDP and FSDP2, come to what one comes to."""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file

import distributed_runs
from bigbird.checkpoint import load_model
from bigbird.training.distributed import ALONE
from process_group import in_processes


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One process' runs and two processes'; half-way states of the one are what the two went on from."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    trained = {name: distributed_runs.run(one / name, name, ALONE) for name in distributed_runs.RUNS}
    for layout in ("ddp", "fsdp"):
        distributed_runs.run(one / f"{layout}-whole", layout, ALONE, num_steps=4)
        distributed_runs.run(one / f"{layout}-half", layout, ALONE, num_steps=2)
        shutil.copytree(one / f"{layout}-half", two / f"{layout}-begun-by-one")
    in_processes(2, distributed_runs.everything, two)
    return one, two, trained


def events(folder, kind="step"):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def values(folder, name):
    return [event[name] for event in events(folder)]


@pytest.mark.parametrize("name", [name for name in distributed_runs.RUNS if "bfloat16" not in name])
def test_losses_gradients_and_scores_are_those_of_one_process(folders, name):
    one, two, _ = folders
    assert values(two / name, "loss") == pytest.approx(values(one / name, "loss"), abs=1e-5)
    assert values(two / name, "gradient_norm") == pytest.approx(values(one / name, "gradient_norm"), rel=1e-4)
    assert len(set(values(two / name, "loss"))) == len(values(two / name, "loss"))  # it learns, and dropout is on
    for ours, theirs in zip(events(two / name, "evaluation"), events(one / name, "evaluation"), strict=True):
        assert ours.keys() == theirs.keys()
        for key in set(ours) - {"event", "step"}:
            assert _finite(ours[key]) == pytest.approx(_finite(theirs[key]), abs=1e-4)


def test_tokens_are_counted_over_all_processes(folders):
    one, two, _ = folders
    counted = {
        name: [round(event["tokens_per_second"] * event["seconds"]) for event in events(one / name)]
        for name in ("ddp", "fsdp", "context")
    }
    for name in ("ddp", "fsdp", "context"):
        found = [round(event["tokens_per_second"] * event["seconds"]) for event in events(two / name)]
        assert found == counted[name]


def test_bfloat16_spread_over_processes_is_close_to_that_of_one(folders):
    one, two, _ = folders
    name = "fsdp-bfloat16"
    assert values(two / name, "loss") == pytest.approx(values(one / name, "loss"), rel=0.01)
    weights = load_model(two / name / "model").model.state_dict().values()
    assert {weight.dtype for weight in weights} == {torch.float32}


@pytest.mark.parametrize("name", distributed_runs.RUNS)
def test_the_best_model_is_kept_whole(folders, name):
    one, two, _ = folders
    best, expected = (load_model(folder / name / "model") for folder in (two, one))
    assert best.notes["step"] == expected.notes["step"]
    if "bfloat16" not in name:
        for key, weight in expected.model.state_dict().items():
            assert torch.allclose(best.model.state_dict()[key], weight, atol=2e-4), key


@pytest.mark.parametrize("layout", ["ddp", "fsdp"])
def test_a_run_of_two_goes_on_with_one_and_back(folders, layout, tmp_path):
    one, two, _ = folders
    expected = values(one / f"{layout}-whole", "loss")
    shutil.copytree(two / f"{layout}-begun-by-two", tmp_path / "run")
    distributed_runs.run(tmp_path / "run", layout, ALONE, num_steps=4, resume=True)
    assert values(tmp_path / "run", "loss") == pytest.approx(expected, abs=1e-5)
    assert values(two / f"{layout}-begun-by-one", "loss") == pytest.approx(expected, abs=1e-5)
    assert (
        load_file(two / f"{layout}-resumed.safetensors").keys()
        == load_model(two / f"{layout}-begun-by-one" / "model").model.state_dict().keys()
    )


def test_what_processes_tell_one_another(folders):
    _, two, _ = folders
    for rank in (0, 1):
        found = json.loads((two / f"found-{rank}.json").read_text())
        assert found["summed"] == [3.0, 1.0]
        assert found["any"] == [True, False]
        assert found["all"] == [False, True]
        assert found["gathered"] == list(range(7))
        assert found["from first"] == {"step": 3}
        assert found["told"] == "found by process 0"
        assert found["skipped"] == [True, True]
        assert found["places"][0] == found["places"][1] / 2  # half of the row each
        assert "the saved weights are not this model's: classifier.bias is missing" in found["put back"]


def _finite(parts):
    return [0.0 if part is None or not math.isfinite(part) else part for part in parts]
