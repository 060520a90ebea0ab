"""Patterns, masks and tensors for the tests of attention, and how exact a backend must be."""

import pytest
import torch
from hypothesis import strategies as st

from bigbird.attention import PatternSpec, block_sparse_attention, native_cpu

GRAPHS = ("paper", "checkpoint", "transformers-train", "transformers-eval")
NO_LIBRARY = pytest.mark.skipif(
    native_cpu.instruction_set() is None, reason="the native library is not built: there was no C++ compiler"
)
BACKENDS = ("gathered", pytest.param("native", marks=NO_LIBRARY))
DTYPES = {"gathered": torch.float64, "reference": torch.float64, "native": torch.float32}  # each at its most precise


def random_tensors(*shapes, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def skip_unless_served(backend, dtype):
    if backend == "native" and dtype not in (torch.float32, torch.bfloat16):
        pytest.skip("native computes in float32 and bfloat16")


def outputs_and_gradients(backend, q, k, v, **arguments):
    out = block_sparse_attention(q, k, v, backend=backend, **arguments)
    (grad,) = random_tensors(out.shape, seed=1, dtype=out.dtype)
    return out, *torch.autograd.grad(out, (q, k, v), grad.detach())


def assert_agree(backend, q, k, v, **arguments):
    if DTYPES[backend] == torch.float64:
        expected = outputs_and_gradients("reference", q, k, v, **arguments)
        ours = outputs_and_gradients(backend, q, k, v, **arguments)
        for name, right, value in zip(("out", "dq", "dk", "dv"), expected, ours, strict=True):
            torch.testing.assert_close(value, right, rtol=0, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}")
    else:
        assert_as_exact_as_the_reference(backend, DTYPES[backend], q, k, v, **arguments)


def assert_as_exact_as_the_reference(backend, dtype, q, k, v, **arguments):
    """The error against float64 is at most twice that of the reference in the same precision (flash-attention's rule).

    A gradient that cancels to exactly 0 in the reference may leave the rounding of its parts; dv has as many parts
    as dk, and they do not cancel.
    """
    low = [x.to(dtype) for x in (q, k, v)]  # strides stay
    exact = [x.double() for x in low]
    right = outputs_and_gradients("reference", *exact, **arguments)
    plain = outputs_and_gradients("reference", *low, **arguments)
    ours = outputs_and_gradients(backend, *low, **arguments)
    cancelled = 16 * torch.finfo(torch.float32).eps * (1 + right[3].abs().max())
    for name, true, reference, value in zip(("out", "dq", "dk", "dv"), right, plain, ours, strict=True):
        rounding = ((true.to(dtype) + 0.3) - 0.3 - true.to(dtype)).abs().max()
        budget = 2 * (reference.double() - true).abs().max() + 2 * rounding + cancelled
        error = (value.double() - true).abs().max()
        assert error <= budget, f"{name}: error {error:.2e}, allowed {budget:.2e}"


@st.composite
def specs(draw):
    graph = draw(st.sampled_from(GRAPHS))
    return PatternSpec(
        block_size=draw(st.sampled_from([1, 2, 3, 5, 8, 13, 16, 31, 32, 64, 100, 128])),
        window_blocks=draw(st.integers(0, 5)),
        global_blocks=draw(st.integers(0, 4)),
        random_blocks=draw(st.integers(0, 4)),
        graph=graph,
        seed=draw(st.integers(0, 3)),
        global_at=draw(st.sampled_from(["ends"] if graph.startswith("transformers") else ["ends", "start"])),
    )


@st.composite
def masks(draw, batch, length):
    kind = draw(st.sampled_from(["none", "random", "first only", "last only", "nothing", "right padding"]))
    if kind == "none":
        return None
    mask = torch.zeros(batch, length, dtype=torch.bool)
    if kind == "random":
        mask = torch.rand(batch, length, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))) < 0.7
    elif kind == "first only":
        mask[:, 0] = True
    elif kind == "last only":
        mask[:, -1] = True
    elif kind == "right padding":
        mask[:, : draw(st.integers(1, length))] = True
    return mask
