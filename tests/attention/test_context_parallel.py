"""Attention over a row that several processes share equals attention of one process."""

import pytest

from bigbird.attention import native_cpu
from context_cases import CASES
from context_processes import outcomes

NATIVE = native_cpu.instruction_set() is not None


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_results_and_gradients_are_those_of_one_process(count, name):
    assert all(error < 1e-12 for error in outcomes(count)[f"float64, {name}"])


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("graph", ["paper", "checkpoint"])
def test_so_they_are_in_single_and_half_precision(count, graph):
    allowed = {"float32 gathered": 1e-5} | ({"float32 native": 1e-5, "bfloat16 native": 0.1} if NATIVE else {})
    for name, most in allowed.items():
        assert all(error < most for error in outcomes(count)[f"{name}, {graph}"]), name


@pytest.mark.parametrize("count", [2, 4])
def test_a_second_run_gives_the_same_bits(count):
    assert all(outcomes(count)["repeats"])
