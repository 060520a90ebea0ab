"""The Triton kernels on one NVIDIA GPU: first whether they are right, then how fast they are.

    python benchmarks/gpu.py                    checks, times, profile: writes benchmarks/results/gpu.json
    python benchmarks/gpu.py --only-check       checks alone
    python benchmarks/gpu.py --tune             also tries other tiles, warps and stages, kernel by kernel

THIS SCRIPT HAS NOT BEEN RUN YET: there was no GPU where it was written. It needs torch, triton and numpy, and of this
package the folder attention/ beside it; nothing has to be installed.

Checked against `reference` in float64, outputs and gradients (the error is at most twice that of the reference in the
same precision): float32, float16, bfloat16; head sizes, block sizes, odd lengths, graphs, counts, masks with NaN behind
them, unequal lengths, long rows; then that repeats, packing and CUDA graphs change no bit. Nothing is timed on red.

Times: 8 examples of 12 heads of 64, bfloat16, block 64, window 3, global 2, random 3, CUDA events, median and spread
of repeats. TFLOP/s count useful work, 4 * head_dim per score forward and 10 * head_dim backward, whatever a kernel
computes. Beside: dense attention of PyTorch as it chooses and with cuDNN, and compiled FlexAttention with the same
lists.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from bigbird.attention import (
    BlockPattern,
    PatternSpec,
    block_sparse_attention,
    pack_patterns,
    triton_config,
    triton_plan,
)

DEVICE = "cuda"
BATCH, HEADS, HEAD_DIM, BLOCK = 8, 12, 64, 64
LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768, 65536)
REPEATS_OF_BITS = 250
Results = list[Tensor]


def tensors(*shapes: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
    """Normal numbers, the same on every machine."""
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(shape, generator=generator) for shape in shapes]
    return [x.to(DEVICE, dtype).requires_grad_() for x in made]


def attend(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
    """This package's kernels."""
    return block_sparse_attention(q, k, v, backend="triton", **options)


def reference(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
    """The dense specification."""
    return block_sparse_attention(q, k, v, backend="reference", **options)


def outputs_and_gradients(function: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Results:
    """out, dq, dk, dv."""
    out = function(q, k, v, **options)
    (grad,) = tensors(tuple(out.shape), dtype=out.dtype, seed=1)
    return [out.detach(), *torch.autograd.grad(out, (q, k, v), grad.detach())]


def mask_of(batch: int, length: int) -> Tensor:
    """Four keys of five are real."""
    return (torch.rand(batch, length, generator=torch.Generator().manual_seed(3)) < 0.8).to(DEVICE)


def errors(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> dict[str, tuple[float, float]]:
    """Error and allowed error of outputs and gradients."""
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    right = outputs_and_gradients(reference, *exact, **options)
    plain = outputs_and_gradients(reference, q, k, v, **options)
    ours = outputs_and_gradients(attend, q, k, v, **options)
    cancelled = 16 * torch.finfo(torch.float32).eps * (1 + float(right[3].abs().max()))
    found = {}
    for name, true, other, value in zip(("out", "dq", "dk", "dv"), right, plain, ours, strict=True):
        low = true.to(q.dtype)
        allowed = 2 * (other.double() - true).abs().max() + 2 * ((low + 0.3) - 0.3 - low).abs().max() + cancelled
        found[name] = (float((value.double() - true).abs().max()), float(allowed))
    return found


Case = tuple[str, Callable[[], None]]


def cases() -> Iterator[Case]:
    """Every comparison with the reference, by name; each raises when it is wrong."""
    dtypes = (torch.float32, torch.float16, torch.bfloat16)
    sizes = [(head_dim, 64) for head_dim in (32, 64, 80, 128)] + [(64, block_size) for block_size in (16, 32, 128)]
    lengths = ((1, False), (63, False), (65, True), (1000, True), (1024, False))
    for dtype, (head_dim, block_size), (length, masked) in itertools.product(dtypes, sizes, lengths):
        name = f"{dtype} head_dim {head_dim} block {block_size} length {length} masked {masked}"
        spec = PatternSpec(block_size=block_size)
        yield name, functools.partial(compare, spec, dtype, head_dim=head_dim, length=length, masked=masked)
    graphs = ("paper", "checkpoint", "transformers-train", "transformers-eval")
    for dtype, graph, length in itertools.product(dtypes, graphs, (1024, 4095)):
        yield (
            f"{dtype} graph {graph} length {length}",
            functools.partial(
                compare, PatternSpec(graph=graph), dtype, head_dim=64, length=length, masked=length == 4095
            ),
        )
    for dtype in dtypes:
        yield f"{dtype} unequal lengths, any counts", functools.partial(unequal, dtype)
        yield f"{dtype} NaN behind the mask, queries that see nothing", functools.partial(hidden, dtype)
        yield f"{dtype} strided", functools.partial(strided, dtype)
        yield f"{dtype} packed as alone", functools.partial(packed, dtype)
        yield f"{dtype} {REPEATS_OF_BITS} repeats", functools.partial(repeated, dtype)
        yield f"{dtype} CUDA graph", functools.partial(captured, dtype)
    yield "torch.compile", compiled


def assert_exact(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> None:
    """Within twice the error of the reference in the same precision."""
    for name, (error, allowed) in errors(q, k, v, **options).items():
        assert error <= allowed, f"{name}: error {error:.2e}, allowed {allowed:.2e}"  # NaN is not <= either


def assert_same_bits(some: Results, others: Results) -> None:
    """Every number is the same, and none is NaN."""
    for name, one, other in zip(("out", "dq", "dk", "dv"), some, others, strict=False):
        assert torch.equal(one, other), f"{name}: differs by up to {float((one - other).abs().max()):.2e}"


def compare(spec: PatternSpec, dtype: torch.dtype, *, head_dim: int, length: int, masked: bool) -> None:
    """Two examples, two heads."""
    pattern = spec.build(num_blocks=spec.blocks_for(length), num_heads=2).to(DEVICE)
    mask = mask_of(2, length) if masked else None
    assert_exact(*tensors(*[(2, 2, length, head_dim)] * 3, dtype=dtype), pattern=pattern, key_mask=mask)


def unequal(dtype: torch.dtype) -> None:
    """More keys than queries; blocks that count twice; lists of their own for each head; long rows."""
    table = torch.randint(0, 4, (2, 5, 70), generator=torch.Generator().manual_seed(0))
    pattern = BlockPattern.from_counts(table * (table < 3), block_size=64).to(DEVICE)
    (q,) = tensors((2, 2, 300, 64), dtype=dtype)
    k, v = tensors(*[(2, 2, 4470, 64)] * 2, dtype=dtype, seed=5)
    assert_exact(q, k, v, pattern=pattern, key_mask=mask_of(2, 4470))
    assert_exact(q, k, v, pattern=pattern, scale=0.05)


def hidden(dtype: torch.dtype) -> None:
    """What stands behind the mask changes no bit; a query that sees nothing gets 0 and gives 0."""
    table = torch.ones(1, 40, 40, dtype=torch.int64)
    table[0, 1] = 0
    pattern = BlockPattern.from_counts(table, block_size=64).to(DEVICE)
    q, k, v = tensors(*[(2, 1, 2549, 64)] * 3, dtype=dtype)
    mask = mask_of(2, 2549)
    mask[1] = False
    clean = outputs_and_gradients(attend, q, k, v, pattern=pattern, key_mask=mask)
    behind = ~mask[:, None, :, None]
    k, v = (x.detach().masked_fill(behind, torch.nan).requires_grad_() for x in (k, v))
    poisoned = outputs_and_gradients(attend, q, k, v, pattern=pattern, key_mask=mask)
    assert_same_bits(clean, poisoned)
    assert all(float(x[1].abs().max()) == 0 for x in poisoned), "an example without a real key gets or gives something"
    assert all(float(x[0, 0, 64:128].abs().max()) == 0 for x in poisoned[:2]), "an empty row gets or gives something"


def strided(dtype: torch.dtype) -> None:
    """As a model holds them: [batch, length, 3, heads, head_dim]."""
    pattern = PatternSpec().build(num_blocks=20, num_heads=4).to(DEVICE)
    q, k, v = tensors((2, 1280, 3, 4, 64), dtype=dtype)[0].permute(2, 0, 3, 1, 4)
    assert_exact(q, k, v, pattern=pattern)


def packed(dtype: torch.dtype) -> None:
    """A document gets the same bits alone and beside others; 40 blocks have rows in pieces."""
    patterns = [PatternSpec().build(num_blocks=count, num_heads=2).to(DEVICE) for count in (3, 40, 1)]
    q, k, v = (x.detach() for x in tensors(*[(1, 2, 44 * 64, 64)] * 3, dtype=dtype))
    together = attend(q, k, v, pattern=pack_patterns(patterns))
    start = 0
    for pattern in patterns:
        here = slice(start, start + pattern.num_query_blocks * 64)
        alone = attend(q[:, :, here], k[:, :, here], v[:, :, here], pattern=pattern)
        assert_same_bits([alone], [together[:, :, here]])
        start = here.stop


def repeated(dtype: torch.dtype) -> None:
    """The same bits every time."""
    pattern = PatternSpec().build(num_blocks=64, num_heads=HEADS).to(DEVICE)
    q, k, v = tensors(*[(2, HEADS, 4096, 64)] * 3, dtype=dtype)
    first = outputs_and_gradients(attend, q, k, v, pattern=pattern)
    for _ in range(REPEATS_OF_BITS):
        assert_same_bits(first, outputs_and_gradients(attend, q, k, v, pattern=pattern))


def captured(dtype: torch.dtype) -> None:
    """Captured and replayed with other numbers: the same bits, with a plan made before and with one made inside."""
    q, k, v = tensors(*[(1, 2, 4096, 64)] * 3, dtype=dtype)
    fresh = [x.detach() for x in tensors(*[(1, 2, 4096, 64)] * 3, dtype=dtype, seed=9)]
    grad = torch.ones_like(q)
    known, unknown = (PatternSpec(seed=seed).build(num_blocks=64, num_heads=2).to(DEVICE) for seed in (0, 1))

    def run(pattern: BlockPattern) -> Results:
        out = attend(q, k, v, pattern=pattern)
        return [out, *torch.autograd.grad(out, (q, k, v), grad)]

    graphs = []
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run(known)
        warm_roomy(run, unknown)  # compiles what a plan without questions needs, and keeps no plan
    torch.cuda.current_stream().wait_stream(side)
    for pattern in (known, unknown):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = run(pattern)
        graphs.append((pattern, graph, results))
    with torch.no_grad():
        for old, new in zip((q, k, v), fresh, strict=True):
            old.copy_(new)
    for pattern, graph, results in graphs:
        graph.replay()
        torch.cuda.synchronize()
        assert_same_bits(run(pattern), results)


def warm_roomy(run: Callable[[BlockPattern], Results], pattern: BlockPattern) -> None:
    """Run once with the plan that is made while a graph is captured."""

    def roomy(*lists: Any) -> triton_plan.Plan:
        return triton_plan.new_plan(*lists, may_ask=False)

    with mock.patch.object(triton_plan, "plan_of", roomy):
        run(pattern)


def compiled() -> None:
    """torch.compile goes through the operator in one piece."""
    pattern = PatternSpec().build(num_blocks=64, num_heads=2).to(DEVICE)
    q, k, v = tensors(*[(1, 2, 4096, 64)] * 3, dtype=torch.bfloat16)
    plain = functools.partial(attend, pattern=pattern)
    whole = torch.compile(plain, fullgraph=True)
    assert_same_bits(outputs_and_gradients(plain, q, k, v), outputs_and_gradients(whole, q, k, v))


def check() -> dict[str, str]:
    """What failed, and why; empty when everything is right."""
    failed = {}
    for number, (name, run) in enumerate(cases(), 1):
        try:
            run()
        except Exception as error:  # noqa: BLE001  whatever it is, it is written down and nothing is timed
            failed[name] = f"{type(error).__name__}: {error}"[:2000]
            print(f"RED {name}: {failed[name]}", flush=True)
        if number % 25 == 0:
            print(f"{number} checked, {len(failed)} red", flush=True)
    print(f"{number} checked, {len(failed)} red", flush=True)
    return failed


def milliseconds(run: Callable[[], object], repeats: int) -> list[float]:
    """By CUDA events, after three to warm up; the second-level cache is overwritten in between."""
    flood = torch.empty(128 << 20, dtype=torch.int8, device=DEVICE)
    for _ in range(3):
        run()
    pairs = []
    for _ in range(repeats):
        flood.zero_()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        pairs.append((start, end))
    torch.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in pairs]


def spread(times: list[float], flops: float) -> dict[str, float]:
    """Median, least and most milliseconds, and useful TFLOP/s at the median."""
    median = statistics.median(times)
    values = {"median_ms": median, "min_ms": min(times), "max_ms": max(times), "tflops": flops / median / 1e9}
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def contenders(pattern: BlockPattern) -> dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]]:
    """Who is timed, ours first; one that cannot take part raises when it is called."""

    def cudnn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            return F.scaled_dot_product_attention(q, k, v)

    return {
        "triton": functools.partial(attend, pattern=pattern),
        "sdpa": F.scaled_dot_product_attention,
        "sdpa_cudnn": cudnn,
        "flex": flex_attention(pattern),
    }


def flex_attention(pattern: BlockPattern) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Compiled FlexAttention over the same lists, without what a dense table of them would need to be made."""
    from torch.nn.attention.flex_attention import BlockMask, flex_attention

    blocks = pattern.num_key_blocks
    lengths = pattern.row_starts.diff()
    places = torch.arange(len(pattern.key_blocks), device=DEVICE) - pattern.row_starts[pattern.rows]
    indices = torch.zeros(pattern.num_lists, blocks, dtype=torch.int32, device=DEVICE)
    indices[pattern.rows, places] = pattern.key_blocks.int()
    shape = (1, pattern.num_lists // pattern.num_query_blocks, pattern.num_query_blocks)
    counts = lengths.int().view(shape)
    mask = BlockMask.from_kv_blocks(
        torch.zeros_like(counts),
        torch.zeros_like(indices).view(*shape, blocks),
        counts,
        indices.view(*shape, blocks),
        BLOCK_SIZE=pattern.block_size,
        seq_lengths=(pattern.num_query_blocks * pattern.block_size, blocks * pattern.block_size),
    )
    call = torch.compile(flex_attention, fullgraph=True, dynamic=False)
    sizes = {"BLOCK_M": 64, "BLOCK_N": 64, **{f"bwd_BLOCK_{name}": 64 for name in ("M1", "N1", "M2", "N2")}}
    return lambda q, k, v: call(q, k, v, block_mask=mask, kernel_options=sizes)


def timed(call: Callable[[Tensor, Tensor, Tensor], Tensor], length: int, scores: float, repeats: int) -> dict[str, Any]:
    """Forward and backward apart; in place of a time the reason why there is none."""
    q, k, v = tensors(*[(BATCH, HEADS, length, HEAD_DIM)] * 3, dtype=torch.bfloat16)
    found: dict[str, Any] = {}
    try:
        with torch.no_grad():
            found["forward"] = spread(milliseconds(lambda: call(q, k, v), repeats), 4 * HEAD_DIM * scores)
        out = call(q, k, v)
        grad = torch.randn_like(out)
        found["backward"] = spread(
            milliseconds(lambda: torch.autograd.grad(out, (q, k, v), grad, retain_graph=True), repeats),
            10 * HEAD_DIM * scores,
        )
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        torch.autograd.grad(call(q, k, v), (q, k, v), grad)
        found["peak_mib"] = round((torch.cuda.max_memory_allocated() - before) / 2**20, 1)
    except Exception as error:  # noqa: BLE001  a rival that cannot is a result
        found["cannot"] = f"{type(error).__name__}: {error}"[:500]
    return found


def times(graph: Any, lengths: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Everybody at every length."""
    found: dict[str, Any] = {}
    for length in lengths:
        spec = PatternSpec(block_size=BLOCK, graph=graph)
        pattern = spec.build(num_blocks=length // BLOCK, num_heads=HEADS).to(DEVICE)
        pairs = len(pattern.key_blocks) * (HEADS if pattern.heads_share_lists else 1)
        sparse, dense = BATCH * pairs * BLOCK**2, BATCH * HEADS * length**2
        found[str(length)] = {}
        for name, call in contenders(pattern).items():
            scores = dense if name.startswith("sdpa") else sparse
            found[str(length)][name] = timed(call, length, scores, max(5, repeats // (1 + length // 16384)))
            print(f"{graph} {length} {name}: {json.dumps(found[str(length)][name])}", flush=True)
            torch.cuda.empty_cache()
    return found


def profiled(length: int = 4096) -> list[dict[str, object]]:
    """Microseconds of each kernel in one forward and backward pass."""
    pattern = PatternSpec().build(num_blocks=length // BLOCK, num_heads=HEADS).to(DEVICE)
    q, k, v = tensors(*[(BATCH, HEADS, length, HEAD_DIM)] * 3, dtype=torch.bfloat16)
    outputs_and_gradients(attend, q, k, v, pattern=pattern)
    with torch.profiler.profile() as profile:
        outputs_and_gradients(attend, q, k, v, pattern=pattern)
        torch.cuda.synchronize()
    rows = sorted(profile.key_averages(), key=lambda row: -row.self_device_time_total)[:15]
    return [{"name": row.key, "calls": row.count, "microseconds": round(row.self_device_time_total, 1)} for row in rows]


def tuned(length: int = 4096) -> dict[str, Any]:
    """Milliseconds of forward (attend) and backward passes with one kernel compiled in other ways."""
    pattern = PatternSpec().build(num_blocks=length // BLOCK, num_heads=HEADS).to(DEVICE)
    q, k, v = tensors(*[(BATCH, HEADS, length, HEAD_DIM)] * 3, dtype=torch.bfloat16)
    grad, usual, found = torch.randn_like(q), triton_config.config_of, dict[str, Any]()
    options = itertools.product((64, 128), (4, 8), (2, 3, 4), (None, 128, 168))
    for kernel, (tile, warps, stages, registers), masked in itertools.product(
        ("attend", "query_gradient", "key_value_gradient"), list(options), (False, True)
    ):
        config = triton_config.Config(64, tile, warps, stages, registers)
        mask = torch.ones(BATCH, length, dtype=torch.bool, device=DEVICE) if masked else None

        def chosen(name: str, kernel: str = kernel, config: triton_config.Config = config, **shape: Any) -> Any:
            return config if name == kernel else usual(name, **shape)

        with mock.patch.object(triton_config, "config_of", chosen):
            try:
                out = attend(q, k, v, pattern=pattern, key_mask=mask)
                backward = functools.partial(torch.autograd.grad, out, (q, k, v), grad, retain_graph=True)
                forward = functools.partial(attend, q, k, v, pattern=pattern, key_mask=mask)
                taken: float | str = statistics.median(milliseconds(forward if kernel == "attend" else backward, 20))
            except Exception as error:  # noqa: BLE001  too much shared memory is a result
                taken = f"{type(error).__name__}: {error}"[:200]
        name = f"{kernel} masked={masked} tile={tile} warps={warps} stages={stages} registers={registers}"
        found[name] = taken
        print(name, taken, flush=True)
    return found


def about() -> dict[str, object]:
    """Hardware, versions, commit and date."""
    import triton

    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    properties = torch.cuda.get_device_properties(0)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "gpu": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "triton": triton.__version__,
        "python": platform.python_version(),
        "shape": {"batch": BATCH, "heads": HEADS, "head_dim": HEAD_DIM, "block_size": BLOCK, "dtype": "bfloat16"},
    }


def main() -> None:
    """Check, and only then measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/gpu.json")
    parser.add_argument("--only-check", action="store_true")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("benchmarks/gpu.py needs a CUDA device, and there is none")
    if failed := check():
        sys.exit(f"{len(failed)} checks are red: nothing is timed")
    if options.only_check:
        return
    report: dict[str, Any] = {"about": about(), "what": __doc__}

    def keep(name: str, value: Any) -> None:
        report[name] = value
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=2) + "\n")

    if options.tune:
        keep("tuned", tuned())
    keep("profile_4096", profiled())
    for graph in ("paper", "transformers-train"):
        keep(f"times_{graph}", times(graph, tuple(options.lengths), options.repeats))


if __name__ == "__main__":
    main()
