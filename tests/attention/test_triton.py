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

from bigbird.attention import PatternSpec, block_sparse_attention, triton_config, triton_gpu, triton_plan
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
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("head_dim", [64, 128])
@pytest.mark.parametrize("is_whole", [True, False])
def test_on_an_h100_nothing_spills(monkeypatch, tmp_path, dtype, head_dim, is_whole):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    at_three_or_four_programs_side_by_side = {"attend": 168, "query_gradient": 128, "key_value_gradient": 168}
    most = at_three_or_four_programs_side_by_side if is_whole and head_dim == 64 else {}
    launched = launches(monkeypatch, dtype=dtype, head_dim=head_dim, is_whole=is_whole)
    assert len(launched) == 6, "a kernel of triton_kernels was not launched"
    for name, launch in launched.items():
        compiled = compiled_for(90, *launch)
        registers, stack = registers_and_stack(compiled.asm["cubin"])
        assert stack == 0, f"{name}: {stack} bytes of registers spilled"
        assert registers <= most.get(name, 255), f"{name}: {registers} registers"
        if name in at_three_or_four_programs_side_by_side:
            assert compiled.metadata.shared <= 227 * 1024 // 2, f"{name}: shared memory for one program, not for two"
            assert "wgmma" in compiled.asm["ptx"], f"{name} does not use Hopper's tensor cores"


@needs_triton
@pytest.mark.parametrize("block_size", [16, 128])
def test_every_block_size_and_float32_compile_for_an_h100(monkeypatch, tmp_path, block_size):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    options = {"dtype": torch.float32, "head_dim": 32, "is_whole": True, "block_size": block_size}
    for launch in launches(monkeypatch, **options).values():
        compiled_for(90, *launch)


class Recorder:
    """In place of a kernel: keeps how it was called."""

    def __init__(self, kernel):
        self.kernel, self.call = kernel, None

    def __getitem__(self, grid):
        assert all(size > 0 for size in grid)
        return lambda *args, **kwargs: setattr(self, "call", (args, kwargs))


def launches(monkeypatch, *, dtype, head_dim, is_whole, block_size=64):
    """Every kernel that a forward and backward pass launches, with its arguments; nothing is computed."""
    from bigbird.attention import triton_kernels

    names = ("attend", "merge_attended", "dot_rows", "query_gradient", "key_value_gradient", "add_parts")
    recorders = {name: Recorder(getattr(triton_kernels, name)) for name in names}
    for name, recorder in recorders.items():
        monkeypatch.setattr(triton_kernels, name, recorder)
    monkeypatch.setattr(triton_plan, "_PIECE_TOKENS", block_size)
    length = 10 * block_size - (0 if is_whole else 3)
    pattern = PatternSpec(block_size=block_size, graph="paper" if is_whole else "transformers-eval").build(
        num_blocks=10, num_heads=2
    )
    q = torch.zeros(1, 2, length, head_dim, dtype=dtype, requires_grad=True)
    mask = None if is_whole else torch.ones(1, length, dtype=torch.bool)
    triton_gpu.forward(q, q, q, pattern=pattern, key_mask=mask, scale=0.1).sum().backward()
    return {name: (recorder.kernel, *recorder.call) for name, recorder in recorders.items() if recorder.call}


def compiled_for(architecture, kernel, args, kwargs):
    """The kernel compiled as Triton's launcher would compile it for these arguments."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia.compiler import CUDAOptions
    from triton.compiler import ASTSource

    values = dict(zip(kernel.arg_names, args, strict=False)) | kwargs
    options = {name: values.pop(name) for name in kwargs if name not in kernel.arg_names}
    assert set(options) <= set(CUDAOptions.__dataclass_fields__), "the launcher would not know an option"
    assert len(args) + len(kwargs) - len(options) == len(kernel.arg_names) == len(values), (
        "arguments are missing or twice"
    )
    values = {name: values[name] for name in kernel.arg_names}
    constants = {parameter.name: values[parameter.name] for parameter in kernel.params if parameter.is_constexpr}
    aligned = [
        parameter.num
        for parameter in kernel.params
        if not parameter.is_constexpr and not parameter.do_not_specialize and is_aligned(values[parameter.name])
    ]
    source = ASTSource(
        fn=kernel,
        signature={name: "constexpr" if name in constants else type_of(value) for name, value in values.items()},
        constexprs=constants,
        attrs={(number,): [["tt.divisibility", 16]] for number in aligned},
    )
    return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)


def is_aligned(value):
    return (value.data_ptr() if isinstance(value, torch.Tensor) else value) % 16 == 0


def type_of(value):
    if not isinstance(value, torch.Tensor):
        return {int: "i32", float: "fp32"}[type(value)]
    names = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.int32: "i32"}
    return "*u8" if value.dtype == torch.uint8 else f"*{names[value.dtype]}"


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


def test_a_causal_pattern_is_left_to_gathered(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    said = triton_gpu.why_not(OnGpu(), SPEC.build(num_blocks=1, num_heads=1).causal())
    assert said == "it computes no causal patterns; gathered does"


@pytest.mark.parametrize(("capability", "reason"), [((9, 0), None), ((7, 5), "it needs compute capability 8.0")])
def test_an_old_gpu_is_told_so(monkeypatch, capability, reason):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    said = triton_gpu.why_not(OnGpu(), SPEC.build(num_blocks=1, num_heads=1))
    assert said == reason if reason is None else said.startswith(reason)


@pytest.mark.parametrize("graph", ["paper", "transformers-eval"])
@pytest.mark.parametrize("block_size", triton_config.BLOCK_SIZES)
def test_the_work_covers_every_pair_once_and_long_rows_in_equal_pieces(block_size, graph):
    spec = PatternSpec(block_size=block_size, graph=graph)
    pattern = spec.build(num_blocks=4096 // block_size, num_heads=2)
    blocks = 4096 // block_size
    plan = triton_plan.plan_of(pattern.row_starts, pattern.key_blocks, pattern.key_counts, (block_size, blocks, blocks))
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
