"""Time and memory of attention at growing lengths, beside PyTorch's dense attention in the same run.

    python benchmarks/attention.py --out benchmarks/results/attention_cpu.json

Times: batch 1, 12 heads of 64, block 64, window 3, global 2, random 3, float32, forward and forward + backward; medians
and spread over repeats taken in turn. Memory: growth of the process's peak while one encoder layer (width 768) runs
forward and backward, each length in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from _about import about
from bigbird import DocumentLayout, Encoder, EncoderConfig, PatternSpec, block_sparse_attention

HEADS, HEAD_DIM = 12, 64
TIMED = (1024, 2048, 4096, 8192)
WEIGHED = (4096, 8192, 16384, 32768)


def seconds(run: Callable[[], torch.Tensor], *, backward: bool) -> float:
    """One call, with the backward pass of its sum if asked for."""
    started = time.perf_counter()
    out = run()
    if backward:
        out.sum().backward()
    return time.perf_counter() - started


def timings(length: int, repeats: int) -> dict[str, object]:
    """Seconds of both implementations and their ratio, pair by pair."""
    q, k, v = (torch.randn(1, HEADS, length, HEAD_DIM, requires_grad=True) for _ in range(3))
    pattern = PatternSpec().build(num_blocks=length // 64, num_heads=HEADS)
    runs = {
        "gathered": lambda: block_sparse_attention(q, k, v, pattern=pattern, backend="gathered"),
        "dense": lambda: F.scaled_dot_product_attention(q, k, v),
    }
    result: dict[str, object] = {}
    for name, backward in (("forward", False), ("forward_and_backward", True)):
        for run in runs.values():
            seconds(run, backward=backward)  # warm up
        pairs = [{key: seconds(run, backward=backward) for key, run in runs.items()} for _ in range(repeats)]
        result[name] = {
            **{key: spread([pair[key] for pair in pairs]) for key in runs},
            "dense_over_gathered": spread([pair["dense"] / pair["gathered"] for pair in pairs]),
        }
    return result


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)}


def layer_peak(length: int) -> int:
    """Bytes by which the process's peak grows while one encoder layer runs forward and backward."""
    config = EncoderConfig(
        vocab_size=100,
        hidden_size=768,
        num_layers=1,
        num_heads=12,
        inner_size=3072,
        max_length=length,
        positions="rotary",
    )
    encoder, layout = Encoder(config), DocumentLayout((length,), 64)
    encoder(torch.zeros(64, dtype=torch.int64), layout=DocumentLayout((64,), 64)).sum().backward()  # load libraries
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    encoder(torch.zeros(length, dtype=torch.int64), layout=layout).sum().backward()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def main() -> None:
    """Measure everything and write one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/attention_cpu.json"))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--layer-peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.layer_peak:
        print(layer_peak(options.layer_peak))
        return
    times = {length: timings(length, options.repeats) for length in TIMED}
    peaks = {}
    for length in WEIGHED:
        command = [sys.executable, __file__, "--layer-peak", str(length)]
        peaks[length] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"{length}: one layer's peak grows by {peaks[length] / 2**20:.0f} MiB")
    for length, result in times.items():
        print(f"{length}: dense / gathered {json.dumps({k: v['dense_over_gathered'] for k, v in result.items()})}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    report = {"about": about(), "what": __doc__, "times": times, "layer_peak_bytes": peaks}
    options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
