"""`accelerate` on a transformers BigBird of base size with random weights: their encoder before and after, on a CPU.

    python benchmarks/accelerated.py --out benchmarks/results/accelerate.json

Batch 1, their eval graph, no gradients. At 4,096 tokens both are first compared in float32, then run in turn, float32
and bfloat16; `times_as_long` is the median (least, most) of the rounds' own ratios, theirs to ours. Memory is the
growth of a new process's peak during one call of a single layer; weights and input do not count. (This file may not be
called accelerate.py: it would hide the package of that name from transformers.)
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bigbird.bench import memory
from bigbird.bench.about import about
from bigbird.bench.timing import Spread, seconds
from bigbird.data.files import json_text
from bigbird.errors import WrongAnswer, require
from bigbird.interop.transformers import accelerate

LENGTH = 4096
MEMORY_LENGTHS = (1024, 2048, 4096, 8192)
MEMORY_LAYERS = 1  # theirs keeps nothing from one layer to the next, so that more would show the same
ALLOWED_ERROR = 1e-4  # of float32 outputs, which a layer norm has made about 1 in size
DTYPES = (torch.float32, torch.bfloat16)
THEIRS, OURS = "transformers", "accelerated"


def base(num_layers: int, max_length: int = LENGTH) -> Any:
    """Their encoder, base size, in evaluation mode."""
    library = require("transformers", extra="hf", purpose="this benchmark")
    library.logging.set_verbosity_error()
    torch.manual_seed(0)
    config = library.BigBirdConfig(num_hidden_layers=num_layers, max_position_embeddings=max_length)
    return library.BigBirdModel(config, add_pooling_layer=False).eval()


def document(length: int) -> Tensor:
    """[1, length]"""
    return torch.randint(100, 50000, (1, length), generator=torch.Generator().manual_seed(length))


def encoding(model: Any, token_ids: Tensor) -> Callable[[], Tensor]:
    """One call."""

    def encode() -> Tensor:
        with torch.no_grad():
            hidden: Tensor = model(input_ids=token_ids).last_hidden_state
        return hidden

    return encode


def checked_error(theirs: Any, ours: Any, token_ids: Tensor) -> float:
    """The largest difference; an error when it is not that of rounding."""
    error = float((encoding(theirs, token_ids)() - encoding(ours, token_ids)()).abs().max())
    if not error <= ALLOWED_ERROR:
        raise WrongAnswer(f"outputs differ by {error:.1e} (allowed {ALLOWED_ERROR:.0e}): nothing is timed")
    return error


def speed(rounds: int) -> dict[str, Any]:
    """Seconds of one forward pass at 4,096 tokens."""
    theirs, token_ids = base(12), document(LENGTH)
    ours = accelerate(copy.deepcopy(theirs), graph="transformers-eval")
    results: dict[str, Any] = {"largest_difference": checked_error(theirs, ours, token_ids)}  # warms both up, too
    for dtype in DTYPES:
        runs = {THEIRS: encoding(theirs.to(dtype), token_ids), OURS: encoding(ours.to(dtype), token_ids)}
        if dtype != DTYPES[0]:
            for run in runs.values():
                run()
        taken = [{name: seconds(run) for name, run in runs.items()} for _ in range(rounds)]
        results[str(dtype).removeprefix("torch.")] = {
            **{f"seconds_{name}": Spread.of([turn[name] for turn in taken])._asdict() for name in runs},
            "times_as_long": Spread.of([turn[THEIRS] / turn[OURS] for turn in taken])._asdict(),
        }
    return results


def growth(name: str, length: int) -> int:
    """Bytes by which one call raises this process's peak."""
    model = base(MEMORY_LAYERS, max_length=max(length, LENGTH))
    if name == OURS:
        accelerate(model, graph="transformers-eval")
    encoding(model, document(1024))()  # loads whatever is loaded once
    return memory.growth(encoding(model, document(length)))


def growths() -> dict[str, dict[int, int]]:
    """MiB for each length, each measured in a process of its own."""
    command = [sys.executable, __file__, "--growth"]
    return {
        name: {length: int(_output([*command, name, str(length)])) >> 20 for length in MEMORY_LENGTHS}
        for name in (THEIRS, OURS)
    }


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]


def main() -> None:
    """Speed, then memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", nargs=2, metavar=("MODEL", "LENGTH"), help="bytes of one call, in this process")
    options = parser.parse_args()
    if options.growth:
        print(growth(options.growth[0], int(options.growth[1])))
        return
    if options.out is None:
        parser.error("--out is needed")
    report = {"about": about(), "what": __doc__, "rounds": options.rounds, "speed": speed(options.rounds)}
    report["memory_mib"] = growths()
    print(report["speed"], report["memory_mib"], sep="\n")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text(report))


if __name__ == "__main__":
    main()
