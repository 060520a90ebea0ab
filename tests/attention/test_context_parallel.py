"""Attention over a row that several processes share equals attention of one process."""

import re

import pytest
import torch

from bigbird.attention import PatternSpec, context_parallel_attention, context_plan, native_cpu
from bigbird.errors import BackendUnavailable, ConfigError, ShapeError
from context_cases import CASES, document, error
from context_processes import outcomes

NATIVE = native_cpu.instruction_set() is not None


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_results_and_gradients_are_those_of_one_process(count, name):
    assert all(error < 1e-12 for error in outcomes(count)[f"float64, {name}"])


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("graph", ["paper", "checkpoint"])
def test_so_they_are_in_single_and_half_precision(count, graph):
    times_that_of_one_process = 2
    allowed = {"float32 gathered": 1e-5}
    if NATIVE:
        allowed |= {"float32 native": 1e-5, "bfloat16 native": times_that_of_one_process}
    for name, most in allowed.items():
        assert all(error < most for error in outcomes(count)[f"{name}, {graph}"]), name


@pytest.mark.parametrize("count", [2, 4])
def test_as_many_bytes_travel_as_the_plan_says(count):
    for moved, planned in outcomes(count)["bytes"]:
        assert moved == planned


@pytest.mark.parametrize("count", [2, 4])
def test_a_second_run_gives_the_same_bits(count):
    assert all(outcomes(count)["repeats"])


def call(*, plan=None, backend="auto", **changes):
    pattern = PatternSpec(block_size=8).build(num_blocks=20, num_heads=2)
    plan = context_plan(pattern, rank=0, num_ranks=1) if plan is None else plan
    q, k, v = (changes.get(name, torch.zeros(1, 2, 160, 8)) for name in "qkv")
    return context_parallel_attention(q, k, v, plan=plan, key_mask=changes.get("key_mask"), backend=backend)


def test_one_rank_needs_no_processes():
    assert error(document("paper", 190, masked=0.2), rank=0, num_ranks=1) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"q": torch.zeros(1, 2, 152, 8)},
            "this rank owns 160 queries and 160 keys: q must be [batch, 2, 160, head",
        ),
        ({"v": torch.zeros(1, 2, 160, 4)}, "got q [1, 2, 160, 8], k [1, 2, 160, 8], v [1, 2, 160, 4]"),
        (
            {"k": torch.zeros(1, 2, 160, 8).half()},
            "q, k and v must share one floating type, got torch.float32, ",
        ),
        (
            {"k": torch.zeros(1, 2, 160, 8, device="meta")},
            "q, k, v and the plan must lie on one device, got cpu, me",
        ),
        (
            {"key_mask": torch.ones(1, 80, dtype=torch.bool)},
            "key_mask must be bool [batch, key_length of the whole",
        ),
    ],
)
def test_tensors_that_do_not_fit_the_plan_are_refused(changes, message):
    with pytest.raises(ShapeError, match=re.escape(message)):
        call(**changes)


def test_a_plan_for_more_ranks_than_there_are_is_refused():
    plan = context_plan(PatternSpec(block_size=8).build(num_blocks=20, num_heads=2), rank=0, num_ranks=2)
    half = torch.zeros(1, 2, 80, 8)
    with pytest.raises(ConfigError, match=r"the plan is for 2 ranks, the group has 1. Connect the processes with"):
        call(plan=plan, q=half, k=half, v=half)


def test_the_reference_cannot_be_merged():
    with pytest.raises(BackendUnavailable, match="'reference' cannot serve context parallelism: it keeps no sums of"):
        call(backend="reference")
