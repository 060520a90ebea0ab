"""Bytes that context parallelism moves per rank and layer, counted on their way between Gloo processes.

    python benchmarks/context_volume.py --out benchmarks/results/context_volume.json

12 heads of 64, blocks of 64, bfloat16, one document, layer 0: a forward and a backward pass of
`context_parallel_attention`. For each graph, number of ranks and length, what the busiest rank receives and sends:

    forward      keys, values and global queries out, partial results home
    backward     gradients and results of global rows out, gradients of what was fetched home
    all_gather   for comparison: what each rank would receive if every rank gathered all keys and values, forward;
                 reducing their gradients moves as much again
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist

from bigbird.attention import Graph, PatternSpec, context_exchange, context_parallel_attention, context_plan
from bigbird.bench.about import about
from bigbird.data.files import json_text

HEADS, HEAD_DIM, BLOCK = 12, 64, 64
GRAPHS: tuple[Graph, ...] = ("checkpoint", "paper")
LENGTHS = (4096, 16384, 65536)
RANKS = (2, 4, 8)


class Counter:
    """In place of the collective: passes the call on and notes its bytes."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.sent: list[int] = []
        self.call = dist.all_to_all_single

    def __call__(
        self,
        arrived: torch.Tensor,
        message: torch.Tensor,
        in_sizes: list[int],
        out_sizes: list[int],
        group: dist.ProcessGroup | None,
    ) -> object:
        """As `torch.distributed.all_to_all_single`."""
        self.received.append(sum(in_sizes))
        self.sent.append(sum(out_sizes))
        return self.call(arrived, message, in_sizes, out_sizes, group=group)


def measure(graph: Graph, length: int, rank: int, count: int) -> list[int]:
    """Bytes one rank receives forward, sends forward, receives backward and sends backward."""
    counter = Counter()
    context_exchange.dist.all_to_all_single = counter  # type: ignore[assignment]
    pattern = PatternSpec(block_size=BLOCK, graph=graph).build(num_blocks=length // BLOCK, num_heads=HEADS)
    plan = context_plan(pattern, rank=rank, num_ranks=count)
    shape = (1, HEADS, len(plan.query_places), HEAD_DIM)
    q, k, v = (torch.randn(shape, dtype=torch.bfloat16).requires_grad_() for _ in range(3))
    out = context_parallel_attention(q, k, v, plan=plan)
    torch.autograd.grad(out, (q, k, v), torch.ones_like(out))
    context_exchange.dist.all_to_all_single = counter.call
    assert len(counter.sent) == 4, "two exchanges forward, two backward"
    return [sum(x[half]) for half in (slice(2), slice(2, 4)) for x in (counter.received, counter.sent)]


def work(rank: int, count: int, folder: Path) -> None:
    """One of the processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    for graph in GRAPHS:
        for length in LENGTHS:
            found: list[list[int]] = [[]] * count
            dist.all_gather_object(found, measure(graph, length, rank, count))
            if rank == 0:
                names = ("forward_received", "forward_sent", "backward_received", "backward_sent")
                most = dict(zip(names, map(max, zip(*found, strict=True)), strict=True))
                gathered = 2 * length * (count - 1) // count * HEADS * HEAD_DIM * 2
                case = {"graph": graph, "ranks": count, "length": length, **most, "all_gather_received": gathered}
                with (folder / "results.jsonl").open("a") as file:
                    file.write(json.dumps(case) + "\n")
                print(case, flush=True)
    dist.destroy_process_group()


def launched(count: int) -> list[dict[str, object]]:
    """The cases of a number of ranks."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--folder", folder, "--count", str(count), "--rank"]
        processes = [subprocess.Popen([*command, str(rank)]) for rank in range(count)]
        codes = [process.wait() for process in processes]
        if any(codes):
            raise SystemExit("a process failed; its own last words say why")
        return [json.loads(line) for line in Path(folder, "results.jsonl").read_text().splitlines()]


def main() -> None:
    """All graphs, lengths and numbers of ranks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    for name in ("--rank", "--count"):
        parser.add_argument(name, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        work(options.rank, options.count, options.folder)
        return
    if not options.out:
        parser.error("--out is needed")
    shape = {"heads": HEADS, "head_dim": HEAD_DIM, "block_size": BLOCK, "dtype": "bfloat16", "batch": 1}
    results = [case for count in RANKS for case in launched(count)]
    report = {"about": about(), "what": __doc__, "shape": shape, "unit": "bytes", "results": results}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text(report))


if __name__ == "__main__":
    main()
