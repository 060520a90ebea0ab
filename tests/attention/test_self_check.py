"""`auto` takes the Triton kernels, which have never run on a GPU, only where it has seen them compute the truth."""

import dataclasses
import re
import warnings

import pytest
import torch

from bigbird.attention import (
    PatternSpec,
    backend_report,
    block_sparse_attention,
    gathered,
    native_cpu,
    self_check,
    triton_gpu,
)

CPU = torch.device("cpu")
PATTERN = PatternSpec(block_size=16).build(num_blocks=3, num_heads=2)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@pytest.fixture(autouse=True)
def first_time_in_a_process(monkeypatch):
    monkeypatch.setattr(self_check, "_findings", {})
    monkeypatch.setattr(self_check, "_said", set())
    monkeypatch.setattr(self_check, "LENGTH", 256)


class Kernel:
    """In place of Triton's: computes as `gathered` in the given precision, then spoils what it is told to."""

    def __init__(self, spoil=lambda name, x: x):
        self.spoil, self.calls = spoil, 0

    def __call__(self, q, k, v, **arguments):
        self.calls += 1
        q, k, v = (Spoilt.apply(x, name, self.spoil) for x, name in ((q, "dq"), (k, "dk"), (v, "dv")))
        return self.spoil("outputs", gathered.forward(q, k, v, **arguments))


class Spoilt(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, name, spoil):
        ctx.name, ctx.spoil = name, spoil
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return ctx.spoil(ctx.name, grad), None, None


@pytest.fixture
def served_by(monkeypatch):
    """As on a machine with a GPU, whose kernels are the given one; the tensors stay on the CPU."""

    def serve(kernel):
        monkeypatch.setattr(triton_gpu, "why_not", lambda *_: None)
        monkeypatch.setattr(triton_gpu, "forward", kernel)
        return kernel

    return serve


def tensors(dtype=torch.float32):
    return torch.randn(3, 1, 2, 40, 16, generator=torch.Generator().manual_seed(0)).to(dtype)


def attend(backend="auto"):
    return block_sparse_attention(*tensors(), pattern=PATTERN, backend=backend)


def test_kernels_that_agree_are_chosen_and_tried_out_once(served_by):
    kernel = served_by(Kernel())
    attend()
    assert kernel.calls == 3, "two problems and the call itself"
    attend()
    assert kernel.calls == 4


@pytest.mark.parametrize("wrong", ["outputs", "dq", "dk", "dv"])
def test_kernels_that_are_wrong_are_warned_of_once_and_passed_over(served_by, wrong):
    kernel = served_by(Kernel(lambda name, x: x * 1.01 if name == wrong else x))
    said = (
        rf"on cpu with torch.float32, head_dim 16 and blocks of 16 the triton backend gave wrong {wrong} on a small "
        rf"problem \(off by .*; backend='auto' goes on with gathered, backend='triton' takes it all the same"
    )
    with pytest.warns(RuntimeWarning, match=said):
        out = attend()
    assert kernel.calls == 1
    assert torch.equal(attend(), out), "a second call says nothing, or this would be an error"
    assert kernel.calls == 1
    torch.testing.assert_close(out, attend("gathered"))
    served_by(kernel)
    attend("triton")
    assert kernel.calls == 2, "asked for by name it computes"


def test_kernels_that_fail_are_warned_of_and_passed_over(served_by):
    def broken(*_, **__):
        raise ValueError("ptxas: no such architecture\nand a long trace")

    served_by(broken)
    with pytest.warns(RuntimeWarning, match=re.escape("raised ValueError on a small problem (ptxas: no such archi")):
        out = attend()
    torch.testing.assert_close(out, attend("gathered"))
    with pytest.raises(ValueError, match="ptxas"):
        attend("triton")


def test_a_mask_that_is_not_kept_is_seen(served_by):
    def forgetful(q, k, v, *, key_mask, **arguments):  # noqa: ARG001
        return gathered.forward(q, k, v, key_mask=None, **arguments)

    served_by(forgetful)
    with pytest.warns(RuntimeWarning, match=r"gave wrong outputs on a small problem \(off by nan"):
        attend()


def test_a_count_that_is_not_kept_is_seen(served_by):
    def forgetful(q, k, v, *, pattern, **arguments):
        once = dataclasses.replace(pattern, key_counts=torch.ones_like(pattern.key_counts))
        return gathered.forward(q, k, v, pattern=once, **arguments)

    served_by(forgetful)
    with pytest.warns(RuntimeWarning, match="gave wrong outputs"):
        attend()


def test_a_backend_asked_for_by_name_is_not_tried_out(served_by):
    kernel = served_by(Kernel())
    for backend in ("triton", "gathered", "reference"):
        attend(backend)
    assert kernel.calls == 1


def test_while_a_cuda_graph_is_captured_nothing_is_tried_and_triton_is_passed_over(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    monkeypatch.setattr(self_check, "disagreement", lambda *_, **__: pytest.fail("tried out"))
    kind = (torch.device("cuda", 0), torch.bfloat16, 64, 64)
    with pytest.warns(RuntimeWarning, match=r"was not tried out before this CUDA graph was captured \(call once out"):
        assert self_check.why_not(*kind, aloud=True)
    monkeypatch.setattr(self_check, "disagreement", lambda *_, **__: "")
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    assert self_check.why_not(*kind, aloud=True) == ""
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert self_check.why_not(*kind, aloud=True) == "", "tried out before, it serves the capture"


def test_every_kind_of_tensor_is_tried_out_for_itself(monkeypatch):
    tried = []
    monkeypatch.setattr(self_check, "disagreement", lambda *_, **kind: tried.append(kind) or "")
    for dtype in DTYPES:
        for head_dim, block_size in ((64, 64), (128, 64), (64, 32), (64, 64)):
            self_check.why_not(CPU, dtype, head_dim, block_size, aloud=True)
    assert len(tried) == 9


def test_the_report_says_what_was_found_and_does_not_warn(served_by):
    q = tensors()[0]
    served_by(Kernel())
    assert dict(backend_report(q, PATTERN))["triton"] is None
    self_check._findings.clear()
    served_by(Kernel(lambda name, x: -x if name == "dk" else x))
    with warnings.catch_warnings(action="error"):
        reason = dict(backend_report(q, PATTERN))["triton"]
    assert re.match(r"it gave wrong dk .*; so auto passes it over, and only its name calls it", reason)


@pytest.mark.skipif(native_cpu.instruction_set() is None, reason="needs an operator that computes on a CPU")
def test_nothing_of_it_is_traced_into_a_compiled_or_exported_graph(served_by, monkeypatch):
    class Attend(torch.nn.Module):
        def forward(self, q, k, v):
            return block_sparse_attention(q, k, v, pattern=PATTERN)

    served_by(native_cpu.forward)  # an opaque operator, as Triton's is
    monkeypatch.setattr(native_cpu, "why_not", lambda *_: "it stands in for triton")
    seen = []

    def keep(graph, _inputs):
        seen.append(calls(graph))
        return graph.forward

    inputs = tensors()
    with torch.no_grad():
        torch.compile(Attend(), backend=keep, fullgraph=True)(*inputs)
        assert self_check._findings == {(CPU, torch.float32, 16, 16): ""}, "tried out while tracing"
        for strict in (True, False):
            self_check._findings.clear()
            seen.append(calls(torch.export.export(Attend(), tuple(inputs), strict=strict).graph_module))
            assert self_check._findings == {(CPU, torch.float32, 16, 16): ""}
    for names in seen:
        assert "native_attention" in names[0]
        assert all("getitem" in name for name in names[1:]), names


def calls(graph):
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


def test_inside_inference_mode_and_autocast_it_still_compares_gradients(served_by):
    kernel = served_by(Kernel())
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        attend()
    assert kernel.calls == 3


def test_no_global_generator_is_read_or_seeded(served_by):
    served_by(Kernel())
    with torch.random.fork_rng():
        torch.manual_seed(991)
        state = torch.get_rng_state()
        attend()
        assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("head_dim", "block_size"), [(16, 16), (64, 64), (128, 128)])
def test_honest_rounding_is_allowed_in_every_precision(monkeypatch, dtype, head_dim, block_size):
    monkeypatch.setattr(self_check, "LENGTH", 1536)

    def low_precision(q, k, v, **arguments):  # as a kernel that keeps its sums, but not its weights, in float32
        return block_sparse_attention(q, k, v, backend="reference", **arguments)

    found = self_check.disagreement(low_precision, device=CPU, dtype=dtype, head_dim=head_dim, block_size=block_size)
    assert found == ""
