"""The Triton backend without a GPU: its kernels in Triton's interpreter, and compiled for the H100 and H200 (sm_90)."""

import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bigbird.attention import PatternSpec, block_sparse_attention, triton_gpu
from bigbird.errors import BackendUnavailable

HERE = Path(__file__).parent
SPEC = PatternSpec(block_size=64)

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def interpreter_fails():
    """Triton 3.6's interpreter takes int() of one-element arrays, which NumPy 2.4 gave up."""
    import numpy as np

    return importlib.metadata.version("triton").startswith("3.6.") and np.lib.NumpyVersion(np.__version__) >= "2.4.0"


@needs_triton
def test_the_kernels_compute_what_the_reference_computes():
    """Every test of triton_interpreted.py; a process of its own, because Triton decides when it is imported."""
    if interpreter_fails():
        pytest.skip("the interpreter of Triton 3.6 needs NumPy < 2.4")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", str(HERE / "triton_interpreted.py")],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


@needs_triton
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize("kernel", ["attend", "query_gradient", "key_value_gradient"])
def test_on_an_h100_the_kernels_stay_in_their_registers(monkeypatch, tmp_path, kernel, head_dim, dtype):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    most = {"attend": 168, "query_gradient": 128, "key_value_gradient": 168} if head_dim == 64 else {}
    used = {whole: usage(kernel, head_dim=head_dim, dtype=dtype, is_whole=whole) for whole in (True, False)}
    for whole, (registers, stack, shared, uses_wgmma) in used.items():
        assert registers <= (most.get(kernel, 255) if whole else 255), f"is_whole={whole}: {registers} registers"
        assert stack == 0, f"is_whole={whole}: {stack} bytes of registers spilled"
        assert shared <= 227 * 1024 // 2, f"is_whole={whole}: {shared} bytes of shared memory, for one program of two"
        assert uses_wgmma, "the products do not run on Hopper's tensor cores"


@needs_triton
@pytest.mark.parametrize("kernel", ["merge_attended", "dot_rows", "add_parts"])
def test_the_small_kernels_compile_for_an_h100(monkeypatch, tmp_path, kernel):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    registers, stack, _, _ = usage(kernel, head_dim=64, dtype="bf16", is_whole=False, rows=16)
    assert registers <= 128 and stack == 0


def usage(kernel, *, head_dim, dtype, is_whole, block_size=64, architecture=90, rows=None):
    """Registers, bytes of stack and of shared memory, and whether it uses wgmma, of a kernel compiled here."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from bigbird.attention import triton_kernels

    config = triton_gpu.config_of(
        kernel, block_size=block_size, head_dim=head_dim, is_half=dtype != "fp32", is_whole=is_whole
    )
    constants = {
        "HEADS_SHARE": False,
        "HAS_COUNTS": not is_whole,
        "ALL_KEYS": is_whole,
        "ALL_QUERIES": is_whole,
        "HAS_MASK": not is_whole,
        "BLOCK": block_size,
        "ROWS": rows or config.rows,
        "TILE": config.tile,
        "HEAD_DIM": head_dim,
        "BLOCK_D": head_dim,
        "PRECISION": "ieee" if dtype == "fp32" else "tf32",
    }
    function = getattr(triton_kernels, kernel)
    names = function.arg_names
    types = {name: "constexpr" if name in constants else type_of(name, dtype) for name in names}
    aligned = [name for name in names if types[name][0] == "*" or name.endswith(("_batch", "_head", "_row"))]
    source = ASTSource(
        fn=function,
        signature=types,
        constexprs={name: value for name, value in constants.items() if name in names},
        attrs={(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    options = {"num_warps": config.warps, "num_stages": config.stages, "enable_fp_fusion": True}
    options |= {} if config.registers is None else {"maxnreg": config.registers}
    compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    registers, stack = registers_and_stack(compiled.asm["cubin"])
    return registers, stack, compiled.metadata.shared, "wgmma" in compiled.asm["ptx"]


def type_of(name, dtype):
    if name in ("q", "k", "v", "out", "grad_out", "grad_q", "grad_k", "grad_v", "result"):
        return f"*{dtype}"
    if name in ("items", "blocks", "merges", "key_mask"):
        return "*u8" if name == "key_mask" else "*i32"
    if name in ("softmax", "delta", "log2_counts") or ("part" in name and name != "num_parts"):
        return "*fp32"
    return "fp32" if name in ("factor", "scale") else "i32"


def registers_and_stack(cubin):
    import triton

    folder = Path(triton.__file__).parent / "backends/nvidia/bin"
    path = Path(os.environ["TRITON_CACHE_DIR"]) / "kernel.cubin"
    path.write_bytes(cubin)
    said = subprocess.run(
        [folder / "cuobjdump", "-res-usage", path], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    return tuple(int(re.search(rf"{what}:(\d+)", said)[1]) for what in ("REG", "STACK"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_a_cpu_it_says_no(dtype):
    q = torch.zeros(1, 1, 64, 8, dtype=dtype)
    with pytest.raises(
        BackendUnavailable, match=r"'triton' cannot .* it computes on a CUDA device, the tensors are on cpu"
    ):
        block_sparse_attention(q, q, q, pattern=SPEC.build(num_blocks=1, num_heads=1), backend="triton")


def test_without_triton_the_reasons_can_still_be_asked_for():
    code = """
import sys
sys.modules["triton"] = None
import torch
from bigbird.attention import PatternSpec, backend_report
reasons = dict(backend_report(torch.zeros(1, 1, 64, 8), PatternSpec().build(num_blocks=1, num_heads=1)))
print(reasons["triton"], "bigbird.attention.triton_kernels" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "it computes on a CUDA device, the tensors are on cpu False"


class OnGpu:
    """What `why_not` asks of a tensor, for one that lies on a GPU."""

    device = torch.device("cuda", 0)

    def __init__(self, dtype=torch.bfloat16, head_dim=64):
        self.dtype, self.shape = dtype, (1, 1, 64, head_dim)


@pytest.mark.parametrize(
    ("tensor", "block_size", "reason"),
    [
        ({"dtype": torch.float64}, 64, "it computes in float32, float16 and bfloat16, got torch.float64"),
        ({"head_dim": 256}, 64, "it computes head_dim up to 128, got 256"),
        ({}, 100, "it computes block_size 16, 32, 64, 128, got 100"),
        ({}, 64, "Triton is not installed; pip install 'bigbird[gpu]'"),
    ],
)
def test_what_it_cannot_serve_is_said(monkeypatch, tensor, block_size, reason):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    pattern = PatternSpec(block_size=block_size).build(num_blocks=1, num_heads=1)
    assert triton_gpu.why_not(OnGpu(**tensor), pattern) == reason


@pytest.mark.parametrize(("capability", "reason"), [((9, 0), None), ((7, 5), "it needs compute capability 8.0")])
def test_an_old_gpu_is_told_so(monkeypatch, capability, reason):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    said = triton_gpu.why_not(OnGpu(), SPEC.build(num_blocks=1, num_heads=1))
    assert said == reason if reason is None else said.startswith(reason)


@pytest.mark.parametrize("graph", ["paper", "transformers-eval"])
@pytest.mark.parametrize("block_size", triton_gpu.BLOCK_SIZES)
def test_the_work_covers_every_pair_once_and_long_rows_in_equal_pieces(block_size, graph):
    spec = PatternSpec(block_size=block_size, graph=graph)
    pattern = spec.build(num_blocks=4096 // block_size, num_heads=2)
    blocks = 4096 // block_size
    plan = triton_gpu.plan_of(pattern.row_starts, pattern.key_blocks, pattern.key_counts, (block_size, blocks, blocks))
    for work, lists in ((plan.by_query, pattern), (plan.by_key, pattern.transposed)):
        assert torch.equal(work.blocks, lists.key_blocks.int())
        counts = torch.ones_like(work.blocks) if work.log2_counts is None else work.log2_counts.exp2().round()
        assert torch.equal(counts.long(), lists.key_counts)
        row, first, last, part = work.items.T
        by_start = first.argsort(stable=True)
        assert first[by_start][0] == 0 and last[by_start][-1] == len(lists.key_blocks)
        assert torch.equal(first[by_start][1:], last[by_start][:-1])
        assert (lists.row_starts[row] <= first).all() and (last <= lists.row_starts[row + 1]).all()
        assert (last - first).max() * block_size < 2048
        assert torch.equal(part[: work.num_parts], torch.arange(work.num_parts, dtype=torch.int32))
        assert (part[work.num_parts :] == -1).all()
        for long, start, count in work.merges.tolist():
            assert (row[start : start + count] == long).all() and (row == long).sum() == count
        pieces = (last - first)[part >= 0]
        assert pieces.max() - pieces.min() <= pieces.min()
