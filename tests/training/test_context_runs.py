"""A run whose processes share rows comes to what one process comes to."""

import json

import pytest

import context_runs
from bigbird.training.distributed import ALONE
from process_group import in_processes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("runs")
    context_runs.run(made / "alone", context_runs.CONFIG, ALONE)
    for count in (2, 4):
        in_processes(count, context_runs.everything, made)
    return made


def steps(folder):
    events = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [event for event in events if event["event"] == "step"]


@pytest.mark.parametrize("name", context_runs.RUNS)
def test_losses_gradients_and_tokens_are_those_of_one_process(folder, name):
    ours, expected = steps(folder / name), steps(folder / "alone")
    assert len(ours) == len(expected) == 4
    for one, other in zip(ours, expected, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)
        tokens = [round(event["tokens_per_second"] * event["seconds"]) for event in (one, other)]
        assert tokens[0] == tokens[1]
    assert expected[-1]["loss"] < expected[0]["loss"]
