"""Patterns and their lists are made by whole arrays, and are those that were drawn row by row."""

import hashlib
import sys
from typing import get_args

import numpy as np
import pytest
import torch

from bigbird.attention import DocumentLayout, Graph, PatternSpec, layout, random_blocks, spec, triton_plan
from bigbird.attention.schedule import steps_of

GRAPHS = get_args(Graph)
CACHED = [
    kept for module in (layout, random_blocks, spec) for kept in vars(module).values() if hasattr(kept, "cache_clear")
]


@pytest.fixture
def calls():
    """Counts the calls of Python and C functions that something makes, from emptied caches."""

    def count(work):
        for kept in CACHED:
            kept.cache_clear()
        seen = []
        sys.setprofile(lambda _frame, event, _arg: seen.append(event) if event in ("call", "c_call") else None)
        try:
            work()
        finally:
            sys.setprofile(None)
        return len(seen)

    return count


@pytest.mark.parametrize("graph", GRAPHS)
def test_eight_times_the_blocks_take_no_more_calls(calls, graph):
    def make(num_blocks):
        pattern = PatternSpec(graph=graph).build(num_blocks=num_blocks, num_heads=12, layer=1)
        shape = (64, num_blocks, num_blocks)
        return pattern.transposed, triton_plan.plan_of(
            pattern.row_starts, pattern.key_blocks, pattern.key_counts, shape
        )

    make(128)  # imports and whatever else happens once
    few, many = (calls(lambda blocks=blocks: make(blocks)) for blocks in (128, 1024))
    assert many <= 1.2 * few + 50, "something loops over blocks, rows or pairs"


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_calls_of_packing_grow_with_the_documents_not_with_their_length(calls, graph):
    def pack(num_blocks):
        return DocumentLayout((64 * num_blocks,) * 8, 64).pattern(PatternSpec(graph=graph), num_heads=12, layer=1)

    pack(128)
    few, many = (calls(lambda blocks=blocks: pack(blocks)) for blocks in (128, 1024))
    assert many <= 1.2 * few + 50


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_steps_of_gathered_grow_with_the_pieces_of_a_global_row_alone(calls, graph):
    few, many = (PatternSpec(graph=graph).build(num_blocks=blocks, num_heads=12) for blocks in (256, 1024))
    assert calls(lambda: steps_of(many)) <= 4 * calls(lambda: steps_of(few))


# SHA-256 over row_starts, key_blocks and key_counts (int64, little-endian) for 1,000 and 1,024 blocks of 64 and 1,000
# of 16, 12 heads, layer 1, as the code of 2462c29 gave them, which drew row by row.
DIGESTS = {
    "paper": "fcdfd59b9c60510ae750168742d3481dc38ebbd567b38d7b9b186b4e2ba01e93",
    "checkpoint": "6de5b842de81b097e387ab7f92caa5a12c2dc7a140b47932d38b65ff69716270",
    "transformers-train": "317ea5afe07d36e8ae0cda73580492d2d37a1a1a359ffe4b18ffd9e0f41a07a9",
    "transformers-eval": "4aa182d023178d7fea9c2f5e76dc6c9a4c464bbf39f54c404d8fef5d7a8015cf",
}


@pytest.mark.parametrize("graph", GRAPHS)
def test_long_patterns_are_those_that_were_drawn_row_by_row(graph):
    digest = hashlib.sha256()
    for num_blocks, block_size in ((1000, 64), (1024, 64), (1000, 16)):
        pattern = PatternSpec(graph=graph, block_size=block_size).build(num_blocks=num_blocks, num_heads=12, layer=1)
        for numbers in (pattern.row_starts, pattern.key_blocks, pattern.key_counts):
            assert numbers.dtype == torch.int64
            digest.update(numbers.numpy().astype("<i8").tobytes())
    assert digest.hexdigest() == DIGESTS[graph]


@pytest.mark.parametrize("most", [0, 1, 2, 11, 300])
@pytest.mark.parametrize("at_once", [1, 1000, 1 << 20])
def test_permutations_drawn_together_are_those_drawn_one_by_one(monkeypatch, most, at_once):
    monkeypatch.setattr(random_blocks, "_DRAWN_AT_ONCE", at_once)
    sizes = np.random.RandomState(0).randint(0, most + 1, 40)
    together = random_blocks._start_of_permutations(np.random.RandomState(5), sizes, 4)
    generator = np.random.RandomState(5)
    for column, size in zip(together.T, sizes, strict=True):
        alone = generator.permutation(size)[:4]
        assert column[: len(alone)].tolist() == alone.tolist()
        assert column[len(alone) :].tolist() == list(range(size, 4))
