"""What only the compiled kernels promise: every build of them, threads, forks, PyTorch's compilers."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bigbird.attention import (
    BlockPattern,
    DocumentLayout,
    PatternSpec,
    block_sparse_attention,
    native_cpu,
    pack_patterns,
)
from bigbird.errors import BackendUnavailable, ShapeError

ROOT = Path(__file__).parents[2]
SPEC = PatternSpec(block_size=64)

pytestmark = pytest.mark.skipif(
    native_cpu.instruction_set() is None, reason="the native library is not built: there was no C++ compiler"
)


def builds_that_run_here():
    libraries = {name: ROOT / f"src/bigbird/attention/native/libbigbird_native_{name}.so" for name in native_cpu.BUILDS}
    known = {name for name, path in libraries.items() if path.is_file()}
    best = native_cpu.instruction_set()
    return [name for name in native_cpu.BUILDS if name in known and native_cpu.BUILDS.index(name) >= best_index(best)]


def best_index(best):
    return native_cpu.BUILDS.index(best) if best else len(native_cpu.BUILDS)


@pytest.fixture
def use_build(monkeypatch):
    def use(name):
        monkeypatch.setenv("BIGBIRD_NATIVE_ISA", name)
        native_cpu._library_or_reason.cache_clear()

    yield use
    monkeypatch.undo()
    native_cpu._library_or_reason.cache_clear()


def tensors(length, *, heads=2, head_dim=64, dtype=torch.float32, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, heads, length, head_dim)
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for _ in range(3)]


def outputs_and_gradients(q, k, v, *, backend="native", **arguments):
    out = block_sparse_attention(q, k, v, backend=backend, **arguments)
    (grad, *_) = tensors(
        out.shape[2], heads=out.shape[1], head_dim=out.shape[3], dtype=out.dtype, batch=len(out), seed=7
    )
    return out, *torch.autograd.grad(out, (q, k, v), grad.detach())


@pytest.mark.parametrize("build", builds_that_run_here())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("length", "block_size", "head_dim"),
    [
        (1, 64, 64),
        (63, 64, 64),
        (65, 64, 32),
        (1000, 64, 80),
        (300, 13, 7),
        (700, 128, 128),
        (333, 16, 96),
        (250, 40, 34),
    ],
)
@pytest.mark.parametrize("is_causal", [False, True])
def test_every_build_is_as_exact_as_pytorch(use_build, build, dtype, length, block_size, head_dim, is_causal):
    use_build(build)
    assert native_cpu.instruction_set() == build
    pattern = PatternSpec(block_size=block_size).build(num_blocks=-(-length // block_size), num_heads=2)
    pattern = pattern.causal() if is_causal else pattern
    q, k, v = tensors(length, head_dim=head_dim, dtype=dtype)
    mask = torch.rand(1, length, generator=torch.Generator().manual_seed(1)) < 0.9
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    right = outputs_and_gradients(*exact, backend="reference", pattern=pattern, key_mask=mask)
    plain = outputs_and_gradients(q, k, v, backend="reference", pattern=pattern, key_mask=mask)
    ours = outputs_and_gradients(q, k, v, pattern=pattern, key_mask=mask)
    for true, reference, value in zip(right, plain, ours, strict=True):
        rounding = ((true.to(dtype) + 0.3) - 0.3 - true.to(dtype)).abs().max()
        budget = 2 * (reference.double() - true).abs().max() + 2 * rounding + 2e-6
        assert (value.double() - true).abs().max() <= budget


@pytest.mark.parametrize("order", [(0, 1, 3, 2), (3, 2, 1, 0), (2, 0, 1, 3), (1, 3, 0, 2)])
def test_any_order_of_memory_gives_the_same(order):
    pattern = SPEC.build(num_blocks=5, num_heads=2)
    plain = tensors(300, batch=2)
    back = [order.index(axis) for axis in range(4)]
    shuffled = [x.detach().permute(order).contiguous().permute(back).requires_grad_() for x in plain]
    assert shuffled[0].shape == plain[0].shape
    for one, other in zip(*(outputs_and_gradients(*x, pattern=pattern) for x in (plain, shuffled)), strict=True):
        assert torch.equal(one, other)


def test_uninitialised_memory_reaches_no_result(monkeypatch):
    lengths = (100, 1, 640)
    layout = DocumentLayout(lengths, 64)
    pattern = layout.pattern(SPEC, num_heads=2, layer=0)
    q, k, v = tensors(layout.total_length)
    mask = layout.is_real()[None]
    first = outputs_and_gradients(q, k, v, pattern=pattern, key_mask=mask)
    empty_like = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda x, **options: empty_like(x, **options).fill_(torch.nan))
    again = outputs_and_gradients(q, k, v, pattern=pattern, key_mask=mask)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_causal", [False, True])
def test_threads_and_repeats_change_no_bit(dtype, is_causal):
    spec = PatternSpec(block_size=16)
    pattern = pack_patterns([spec.build(num_blocks=count, num_heads=3) for count in (200, 7, 40)])  # long rows too
    pattern = pattern.causal() if is_causal else pattern
    q, k, v = tensors(247 * 16, heads=3, head_dim=32, dtype=dtype)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        first = outputs_and_gradients(q, k, v, pattern=pattern)
        for number in range(250 if os.environ.get("BIGBIRD_SLOW_TESTS") else 25):
            torch.set_num_threads(1 + number % 3)
            again = outputs_and_gradients(q, k, v, pattern=pattern)
            assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("graph", ["paper", "checkpoint", "transformers-train", "transformers-eval", "causal"])
def test_a_document_gets_the_same_bits_alone_in_a_batch_and_packed(graph, dtype, num_threads):
    """Outputs and gradients. Documents of one and more units, some cut in the middle of a row."""
    spec = PatternSpec(block_size=32, graph="paper" if graph == "causal" else graph)
    lengths = (777, 64, 4000, 5, 2100)
    layout = DocumentLayout(lengths, 32)
    patterns = [spec.build(num_blocks=count, num_heads=2, layer=1) for count in layout.block_counts]
    if graph == "causal":
        patterns = [pattern.causal() for pattern in patterns]
    *qkv, grad = (x.detach() for x in [*tensors(layout.total_length, dtype=dtype), *tensors(layout.total_length)[:1]])
    real = layout.is_real()[None]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(num_threads)
        together = attend_and_differentiate(qkv, grad.to(dtype) * real[:, None, :, None], pack_patterns(patterns), real)
        for start, length, pattern in zip(layout.starts, lengths, patterns, strict=True):
            here = slice(start, start + length)
            for batch in (1, 3):
                inputs = [x[:, :, here].expand(batch, -1, -1, -1) for x in (*qkv, grad.to(dtype))]
                alone = attend_and_differentiate(inputs[:3], inputs[3], pattern, None)
                for one, other in zip(alone, together, strict=True):
                    assert torch.equal(one, other[:, :, here].expand_as(one))
    finally:
        torch.set_num_threads(before)


def attend_and_differentiate(qkv, grad, pattern, mask):
    qkv = [x.clone().requires_grad_() for x in qkv]
    out = block_sparse_attention(*qkv, pattern=pattern, key_mask=mask, backend="native")
    return out, *torch.autograd.grad(out, qkv, grad)


FORK = """
import os, resource, signal, sys, torch
from bigbird import PatternSpec, block_sparse_attention
pattern = PatternSpec().build(num_blocks=20, num_heads=2)
q = torch.randn(1, 2, 1280, 64)

def attend():
    return block_sparse_attention(q, q, q, pattern=pattern, backend="native").numpy()

{before}
child = os.fork()
if child == 0:
    signal.alarm(50)  # one that hangs must not stay behind
    {inside}
    os._exit(0 if attend().any() else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


# With the stacks of 1 GiB that the test asks for, what this leaves holds no further thread.
NO_MORE_THREADS = """
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, used + 2**28))
"""


@pytest.mark.parametrize(
    ("before", "inside"),
    [("first = attend()", "assert (attend() == first).all()"), ("torch.randn(10**6).exp()", ""), ("", NO_MORE_THREADS)],
    ids=["the library used before", "only OpenMP used before", "no more threads"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="a matter of Linux's threads")
def test_a_call_after_a_fork_neither_hangs_nor_crashes(before, inside):
    program = FORK.format(before=before, inside=inside)
    shell = 'ulimit -s 1048576 && exec "$0" -c "$1"'
    command = ["sh", "-c", shell, sys.executable, program]
    subprocess.run(command, check=True, timeout=60, env={**os.environ, "OMP_NUM_THREADS": "2"})


def test_the_operator_keeps_pytorch_s_rules():
    pattern = SPEC.build(num_blocks=3, num_heads=2)
    q, k, v = tensors(150)
    operator, mask = torch.ops.bigbird.native_attention.default, torch.ones(1, 150, dtype=torch.bool)
    for lists in (native_cpu.lists_of(pattern, None, 0.125), native_cpu.lists_of(pattern.causal(), mask, 0.125)):
        torch.library.opcheck(operator, (q, k, v, *lists))
    strided = [x.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_() for x in (q, k, v)]
    torch.library.opcheck(operator, (*strided, *native_cpu.lists_of(pattern, None, 0.125)))


@pytest.mark.parametrize("is_causal", [False, True])
def test_torch_compile_needs_no_graph_break(is_causal):
    pattern = SPEC.build(num_blocks=8, num_heads=2)
    pattern = pattern.causal() if is_causal else pattern
    q, k, v = tensors(500)

    def attend(q, k, v):
        return block_sparse_attention(2 * q, k, v, pattern=pattern) + 1

    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(q, k, v), attend(q, k, v))
    grads = [torch.autograd.grad(f(q, k, v).square().sum(), (q, k, v)) for f in (compiled, attend)]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


def test_torch_export_keeps_the_operator():
    class Attend(torch.nn.Module):
        def forward(self, q, k, v):
            return block_sparse_attention(q, k, v, pattern=SPEC.build(num_blocks=8, num_heads=2))

    inputs = tuple(x.detach() for x in tensors(500))
    exported = torch.export.export(Attend(), inputs)
    assert "native_attention" in exported.graph_module.code
    torch.testing.assert_close(exported.module()(*inputs), Attend()(*inputs))


def test_a_build_nobody_knows_is_named(use_build):
    use_build("mmx")
    q, k, v = tensors(64)
    with pytest.raises(BackendUnavailable, match=r"BIGBIRD_NATIVE_ISA must be one of avx512_amx, .*, got 'mmx'"):
        block_sparse_attention(q, k, v, pattern=SPEC.build(num_blocks=1, num_heads=2), backend="native")


NEEDS_AMX = pytest.mark.skipif("avx512_amx" not in builds_that_run_here(), reason="no processor or kernel with AMX")

SMALL_SIGNAL_STACK = """
import ctypes

class Stack(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))

memory = ctypes.create_string_buffer(8192)  # a signal would not find room on it for the tiles' registers
assert ctypes.CDLL(None).sigaltstack(ctypes.byref(Stack(ctypes.addressof(memory), 0, 8192)), None) == 0
from bigbird.attention import native_cpu
print(native_cpu.instruction_set())
"""


@NEEDS_AMX
def test_where_linux_refuses_the_tiles_the_next_build_serves():
    command = [sys.executable, "-c", SMALL_SIGNAL_STACK]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.stdout.strip() == "avx512_bf16", result.stderr


@NEEDS_AMX
def test_products_of_pytorch_before_and_after_use_the_tiles_unhindered():
    pattern = SPEC.build(num_blocks=5, num_heads=2)
    q, k, v = tensors(300, dtype=torch.bfloat16)
    first = outputs_and_gradients(q, k, v, pattern=pattern)
    (x, *_) = tensors(250, head_dim=250, dtype=torch.bfloat16)
    product = x @ x
    again = outputs_and_gradients(q, k, v, pattern=pattern)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert torch.equal(x @ x, product)


def test_without_a_library_auto_goes_on_and_the_reason_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(native_cpu, "_FOLDER", tmp_path)
    native_cpu._library_or_reason.cache_clear()
    try:
        q, k, v = tensors(64)
        pattern = SPEC.build(num_blocks=1, num_heads=2)
        assert torch.equal(
            block_sparse_attention(q, k, v, pattern=pattern),
            block_sparse_attention(q, k, v, pattern=pattern, backend="gathered"),
        )
        with pytest.raises(BackendUnavailable, match=r"its library is not built; install a C\+\+ compiler"):
            block_sparse_attention(q, k, v, pattern=pattern, backend="native")
    finally:
        monkeypatch.undo()
        native_cpu._library_or_reason.cache_clear()


@pytest.mark.parametrize(
    ("library", "reason"),
    [
        (None, r"generic.so cannot be loaded: "),
        ({"bigbird_abi": 0, "bigbird_runs_here": 1}, r"generic.so was built from other sources; install a C\+\+"),
        ({"bigbird_abi": native_cpu._ABI, "bigbird_runs_here": 0}, r"this processor cannot run its build for generic"),
    ],
)
def test_a_library_that_cannot_serve_is_not_used_and_the_reason_is_said(use_build, monkeypatch, library, reason):
    if library is None:
        monkeypatch.setattr(native_cpu.ctypes, "CDLL", lambda _: (_ for _ in ()).throw(OSError("wrong ELF class")))
    else:
        answers = {name: lambda value=value: value for name, value in library.items()}
        monkeypatch.setattr(native_cpu.ctypes, "CDLL", lambda _: SimpleNamespace(**answers))
    use_build("generic")
    q = torch.zeros(1, 1, 64, 8)
    with pytest.raises(BackendUnavailable, match=reason):
        block_sparse_attention(q, q, q, pattern=SPEC.build(num_blocks=1, num_heads=1), backend="native")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"dtype": torch.float64}, r"it computes in float32 and bfloat16, got torch.float64"),
        ({"device": "meta"}, r"it computes on the CPU, the tensors are on meta"),
    ],
)
def test_what_it_cannot_serve_is_said(change, reason):
    pattern = SPEC.build(num_blocks=1, num_heads=1).to(change.get("device", "cpu"))
    q = torch.zeros(1, 1, 64, 8, **change)
    with pytest.raises(BackendUnavailable, match=reason):
        block_sparse_attention(q, q, q, pattern=pattern, backend="native")


def test_without_a_compiler_the_installation_goes_on(tmp_path):
    """`hatch_build.py` asked for a compiler that is not there, on a copy of the sources."""
    copy = tmp_path / "src/bigbird/attention/native"
    copy.mkdir(parents=True)
    (tmp_path / "hatch_build.py").write_text((ROOT / "hatch_build.py").read_text())
    program = "import hatch_build; assert hatch_build.build_all('no-such-compiler') == []"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    if "No module named 'hatchling'" in result.stderr:
        pytest.skip("hatchling, which builds packages, is not installed")
    assert result.returncode == 0, result.stderr
    assert "no C++ compiler (g++ or clang++): bigbird goes on without its native attention kernels" in result.stderr


@pytest.mark.parametrize("build", builds_that_run_here())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("growth", [0.02, -0.02, 1.0])
def test_scores_that_grow_along_the_keys_are_weighed_right(use_build, build, dtype, growth):
    # The kernels take their maximum from the first keys and must notice when later ones leave it far behind.
    use_build(build)
    pattern = BlockPattern.full(block_size=32, num_heads=1, num_query_blocks=2, num_key_blocks=40)
    q, _, _ = tensors(50, heads=1, head_dim=16, dtype=dtype)
    k, v = (x.detach().requires_grad_() for x in tensors(1280, heads=1, head_dim=16, dtype=dtype)[1:])
    with torch.no_grad():
        k += growth * torch.arange(1280)[:, None] * torch.sign(q[0, 0, 0])
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    right = outputs_and_gradients(*exact, backend="reference", pattern=pattern)
    plain = outputs_and_gradients(q, k, v, backend="reference", pattern=pattern)
    ours = outputs_and_gradients(q, k, v, pattern=pattern)
    for true, reference, value in zip(right, plain, ours, strict=True):
        # Scores in the thousands are rounded to 1e-4 by everybody, each in another way: four times, not twice.
        budget = 4 * (reference.double() - true).abs().max() + 1e-5 * true.abs().max()
        assert (value.double() - true).abs().max() <= budget


@pytest.mark.parametrize("build", builds_that_run_here())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("logit", [1e9, 1e12, 1e20, 1e30])
def test_scores_of_any_size_are_weighed_right(use_build, build, dtype, logit):
    """Each key stands there twice, so that the two largest scores are equal and weigh a half, whatever their size."""
    use_build(build)
    pattern = PatternSpec(block_size=8).build(num_blocks=20, num_heads=2)
    q, k, v = (x.detach() for x in tensors(160, head_dim=16, dtype=dtype))
    size = logit**0.5 / 4  # q . k times the scale of 4 is then about `logit`
    q, k = q * size, (k * size)[:, :, :80].repeat_interleave(2, 2)
    q, k, v = (x.requires_grad_() for x in (q, k, v))
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    right = outputs_and_gradients(*exact, backend="reference", pattern=pattern, scale=4.0)
    ours = outputs_and_gradients(q, k, v, pattern=pattern, scale=4.0)
    largest = [1, 4 * k.abs().max(), 4 * q.abs().max(), 1]  # of what each result sums up
    for true, value, most in zip(right, ours, largest, strict=True):
        assert (value.double() - true).abs().max() <= 32 * torch.finfo(dtype).eps * (most + true.abs().max())


def test_a_second_derivative_is_refused_not_zero():
    pattern = SPEC.build(num_blocks=2, num_heads=2)
    q, k, v = tensors(100)
    out = block_sparse_attention(q, k, v, pattern=pattern, backend="native")
    (grad,) = torch.autograd.grad(out.pow(2).sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="attention has no second derivative"):
        grad.pow(2).sum().backward()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: {"key_blocks": p.key_blocks - 3}, r"key_blocks must be from 0 to 1, got -3 to -2"),
        (lambda p: {"key_blocks": p.key_blocks + 9}, r"key_blocks must be from 0 to 1, got 9 to 10"),
        (lambda p: {"key_counts": p.key_counts.int()}, r"row_starts, key_blocks and key_counts must be int64"),
        (lambda p: {"key_counts": p.key_counts[1:]}, r"a count for each key block, got 3 for 4"),
        (lambda p: {"key_counts": p.key_counts - 1}, r"key_counts must be at least 1, got 0"),
        (lambda p: {"row_starts": p.row_starts[1:]}, r"row_starts must hold 3 numbers, or 5 where heads differ, got 2"),
        (lambda p: {"row_starts": p.row_starts + 1}, r"ascend from 0 to 4, .*; got numbers from 1 to 5"),
        (lambda p: {"row_starts": p.row_starts[[0, 2, 1]]}, r"ascend from 0 to 4, .*; got numbers from 0 to 4"),
    ],
)
def test_a_pattern_made_by_hand_is_checked(change, message):
    pattern = SPEC.build(num_blocks=2, num_heads=2)
    pattern = dataclasses.replace(pattern, **change(pattern))
    with pytest.raises(ShapeError, match=message):
        block_sparse_attention(*tensors(100), pattern=pattern, backend="native")


def test_a_pattern_s_lists_are_looked_through_once_and_again_when_they_change(monkeypatch):
    looks = []
    aminmax = torch.Tensor.aminmax
    monkeypatch.setattr(torch.Tensor, "aminmax", lambda x: looks.append(x) or aminmax(x))
    pattern = SPEC.build(num_blocks=2, num_heads=2)
    pattern = dataclasses.replace(pattern, key_blocks=pattern.key_blocks.clone())
    q, k, v = tensors(100)
    for _ in range(2):
        block_sparse_attention(q, k, v, pattern=pattern, backend="native").sum().backward()
    assert len(looks) <= 3
    pattern.key_blocks[0] = 2
    with pytest.raises(ShapeError, match=r"key_blocks must be from 0 to 1, got 0 to 2"):
        block_sparse_attention(q, k, v, pattern=pattern, backend="native")


def test_lists_made_in_inference_mode_are_checked_at_every_call():
    q, k, v = (x.detach() for x in tensors(100))
    with torch.inference_mode():
        counts = torch.ones(2, 2, 2, dtype=torch.int64)
        pattern = BlockPattern.from_counts(counts, block_size=64)
        block_sparse_attention(q, k, v, pattern=pattern, backend="native")
        pattern.key_blocks[0] = 2
        with pytest.raises(ShapeError, match=r"key_blocks must be from 0 to 1, got 0 to 2"):
            block_sparse_attention(q, k, v, pattern=pattern, backend="native")


def test_no_memory_for_the_kernels_is_said(monkeypatch):
    class Library:
        bigbird_forward = staticmethod(lambda _: 1)

    monkeypatch.setattr(native_cpu, "_library_or_reason", lambda: (Library, "", "avx2"))
    q = torch.randn(1, 1, 32, 8)
    pattern = PatternSpec(block_size=16).build(num_blocks=2, num_heads=1)
    with pytest.raises(MemoryError, match="block_sparse_attention: no memory left for the kernels' scratch space"):
        block_sparse_attention(q, q, q, pattern=pattern, backend="native")


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="the system has no huge pages")
def test_large_results_ask_for_huge_pages():
    q = torch.randn(1, 1, 65_536, 64)  # 16 MiB
    pattern = PatternSpec().build(num_blocks=1024, num_heads=1)
    out = block_sparse_attention(q, q, q, pattern=pattern, backend="native")
    middle, is_there = out.data_ptr() + out.nbytes // 2, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            first, end = (int(number, 16) for number in line.split()[0].split("-"))
            is_there = first <= middle < end
        if is_there and line.startswith("VmFlags:"):
            assert "hg" in line.split()
            return
    raise AssertionError("the result lies nowhere")
