"""How the native kernels scale: two threads against one, and time per token from 4,096 to 65,536 tokens.

    python benchmarks/scaling.py --out benchmarks/results/scaling.json

12 heads of 64, blocks of 64, graph `paper`. Whatever is compared is run in turn, round by round; each figure is the
median (least, most) of the rounds' own ratios.

    threads   seconds with one thread / seconds with two, 4,096 tokens
    length    seconds per token / seconds per token at 4,096 tokens, two threads
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from bigbird.attention import block_sparse_attention
from bigbird.bench.about import about
from bigbird.bench.contenders import Dtype, Shape
from bigbird.bench.timing import Spread, seconds
from bigbird.data.files import json_text

LENGTHS = (4096, 8192, 16384, 32768, 65536)
PASSES = ("forward", "forward and backward")
DTYPES: tuple[Dtype, ...] = ("float32", "bfloat16")


def call(length: int, dtype: Dtype, learns: bool) -> Callable[[], object]:
    """One call of the native backend."""
    shape = Shape(length=length, dtype=dtype)
    qkv = shape.tensors(requires_grad=learns)
    pattern, grad = shape.pattern(), torch.ones_like(qkv[0])

    def attend() -> object:
        out = block_sparse_attention(*qkv, pattern=pattern, backend="native")
        return torch.autograd.grad(out, qkv, grad) if learns else out

    return attend


def with_threads(number: int, run: Callable[[], object]) -> float:
    """Seconds of one call."""
    torch.set_num_threads(number)
    return seconds(run)


def threads(dtype: Dtype, learns: bool, rounds: int) -> Spread:
    """One thread against two."""
    run = call(LENGTHS[0], dtype, learns)
    for number in (1, 2):
        with_threads(number, run)
    return Spread.of([with_threads(1, run) / with_threads(2, run) for _ in range(rounds)])


def lengths(dtype: Dtype, learns: bool, rounds: int) -> dict[int, Spread]:
    """Time per token, as a multiple of the shortest length's."""
    torch.set_num_threads(2)
    runs = {length: call(length, dtype, learns) for length in LENGTHS}
    for run in runs.values():
        seconds(run)
    taken = [{length: seconds(run) / length for length, run in runs.items()} for _ in range(rounds)]
    return {length: Spread.of([turn[length] / turn[LENGTHS[0]] for turn in taken]) for length in LENGTHS}


def main() -> None:
    """Both dtypes, both passes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    results = []
    for dtype in DTYPES:
        for kind in PASSES:
            learns = kind != PASSES[0]
            result = {
                "dtype": dtype,
                "pass": kind,
                "threads": threads(dtype, learns, 3 * options.rounds)._asdict(),
                "length": {n: spread._asdict() for n, spread in lengths(dtype, learns, options.rounds).items()},
            }
            results.append(result)
            print(result, flush=True)
    report = {"about": about(), "what": __doc__, "rounds": options.rounds, "results": results}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text(report))


if __name__ == "__main__":
    main()
