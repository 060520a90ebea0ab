"""How long a layer's pattern and its lists take to make: 65,536 tokens, 1,024 blocks of 64, 12 heads, one thread.

    python benchmarks/pattern_build.py --out benchmarks/results/pattern_build.json

For each graph, with every cache emptied before each of the rounds:

    build                   PatternSpec.build, one document
    one document            DocumentLayout.pattern, the same through packing
    64 documents            DocumentLayout.pattern of 64 documents of 1,024 tokens
    64 lengths              DocumentLayout.pattern of 64 documents of 1,022 tokens on average, no two of one length
    transposed              the transposed lists, for the backward pass of gathered
    steps of gathered       what gathered computes in which order
    work lists of triton    both directions; made on the GPU where there is one, here on the CPU
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import torch

from bigbird.attention import BlockPattern, DocumentLayout, Graph, PatternSpec, layout, random_blocks, spec, triton_plan
from bigbird.attention.schedule import steps_of
from bigbird.bench.about import about
from bigbird.data.files import json_text

BLOCKS, HEADS, BLOCK_SIZE = 1024, 12, 64
LAYOUTS = {
    "one document": (BLOCKS * BLOCK_SIZE,),
    "64 documents": (BLOCKS * BLOCK_SIZE // 64,) * 64,
    "64 lengths": tuple(range(77, 77 + 64 * 30, 30)),
}
CACHED = [
    kept for module in (layout, random_blocks, spec) for kept in vars(module).values() if hasattr(kept, "cache_clear")
]


def built(graph: Graph) -> BlockPattern:
    """One document's pattern, made anew."""
    for kept in CACHED:
        kept.cache_clear()
    return PatternSpec(graph=graph, block_size=BLOCK_SIZE).build(num_blocks=BLOCKS, num_heads=HEADS, layer=1)


def packed(graph: Graph, lengths: tuple[int, ...]) -> BlockPattern:
    """The pattern of packed documents."""
    pattern_spec = PatternSpec(graph=graph, block_size=BLOCK_SIZE)
    return DocumentLayout(lengths, BLOCK_SIZE).pattern(pattern_spec, num_heads=HEADS, layer=1)


def works(graph: Graph) -> dict[str, Callable[[BlockPattern], object]]:
    """What is timed, by name; each is given a fresh pattern, which those that build set aside."""
    return {
        "build": lambda _: built(graph),
        **{name: lambda _, lengths=lengths: packed(graph, lengths) for name, lengths in LAYOUTS.items()},  # type: ignore[misc]
        "transposed": lambda pattern: pattern.transposed,
        "steps of gathered": steps_of,
        "work lists of triton": lambda pattern: triton_plan.plan_of(
            pattern.row_starts, pattern.key_blocks, pattern.key_counts, (BLOCK_SIZE, BLOCKS, BLOCKS)
        ),
    }


def milliseconds(work: Callable[[BlockPattern], object], graph: Graph, rounds: int) -> dict[str, float]:
    """Median and spread."""
    taken = []
    for _ in range(rounds + 3):  # three to warm up
        pattern = built(graph)
        for kept in CACHED:
            kept.cache_clear()
        start = time.perf_counter()
        work(pattern)
        taken.append(1e3 * (time.perf_counter() - start))
    found = {"median": statistics.median(taken[3:]), "least": min(taken[3:]), "most": max(taken[3:])}
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Every graph, every work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for graph in get_args(Graph):
        for name, work in works(graph).items():
            results.append({"graph": graph, "work": name, "milliseconds": milliseconds(work, graph, options.rounds)})
            print(results[-1], flush=True)
    report = {"about": about(), "what": __doc__, "rounds": options.rounds, "results": results}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text(report))


if __name__ == "__main__":
    main()
