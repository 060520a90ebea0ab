import math

import pytest
import torch
import torch.nn.functional as F

from bigbird.attention import native_cpu
from bigbird.model import activation
from bigbird.model.activation import gelu_tanh

needs_kernel = pytest.mark.skipif(native_cpu.library() is None, reason="the native library is not built")
DTYPES = [torch.float32, torch.bfloat16]


def values(*shape, dtype=torch.float32, scale=4.0):
    return (scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(dtype)


def exact(x, grad_out):
    x = x.detach().double().requires_grad_()
    out = F.gelu(x, approximate="tanh")
    (gradient,) = torch.autograd.grad(out, x, grad_out.double())
    return out.detach(), gradient


@needs_kernel
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (17,), (3, 5, 7), (40_001,), (0,), ()])
def test_value_and_gradient_are_within_twice_the_error_of_pytorchs(dtype, shape):
    x, grad_out = values(*shape, dtype=dtype).requires_grad_(), values(*shape, dtype=dtype, scale=1.0)
    out, gradient = exact(x, grad_out)
    ours = gelu_tanh(x)
    theirs = F.gelu(x, approximate="tanh")
    for mine, peer, truth in (
        (ours, theirs, out),
        (torch.autograd.grad(ours, x, grad_out)[0], torch.autograd.grad(theirs, x, grad_out)[0], gradient),
    ):
        assert mine.shape == shape
        assert mine.dtype == dtype
        error, bar = ((y.detach().double() - truth).abs().sum() for y in (mine, peer))
        assert error <= 2 * bar + 1e-7


@needs_kernel
@pytest.mark.parametrize("dtype", DTYPES)
def test_far_out_it_is_zero_or_the_identity(dtype):
    x = torch.tensor([-1e30, -1e4, -50.0, -0.0, 0.0, 50.0, 1e4, 1e30, math.inf, math.nan], dtype=dtype)
    x.requires_grad_()
    out = gelu_tanh(x)
    out[:8].sum().backward()
    assert out[:5].abs().max() == 0
    assert torch.equal(out[5:9], x[5:9])
    assert out[9].isnan()
    assert x.grad[:8].tolist() == [0, 0, 0, 0.5, 0.5, 1, 1, 1]


@needs_kernel
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_element_has_the_same_bits_wherever_it_stands(dtype):
    x = values(40_001, dtype=dtype)
    whole = gelu_tanh(x)
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            for start in (1, 5, 16, 33, 20_011, 39_990):
                assert torch.equal(gelu_tanh(x[start:].contiguous()), whole[start:]), (number, start)
    finally:
        torch.set_num_threads(threads)


@needs_kernel
def test_takes_any_order_in_memory():
    x = values(30, 50)
    assert torch.equal(gelu_tanh(x.t()), gelu_tanh(x).t())


@needs_kernel
def test_second_derivative_is_pytorchs():
    results = []
    for function in (gelu_tanh, lambda x: F.gelu(x, approximate="tanh")):
        x = values(100).requires_grad_()
        (gradient,) = torch.autograd.grad(function(x).square().sum(), x, create_graph=True)
        gradient.sum().backward()
        results.append(x.grad)
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


@needs_kernel
def test_operator_is_registered_as_pytorch_wants_it():
    torch.library.opcheck(torch.ops.bigbird.gelu_tanh, (values(33).requires_grad_(),))
    torch.library.opcheck(torch.ops.bigbird.gelu_tanh_backward, (values(33), values(33)))


@pytest.mark.parametrize("case", ["float64", "no library"])
def test_else_it_is_pytorchs(case, monkeypatch):
    if case == "no library":
        monkeypatch.setattr(activation, "_has_kernel", lambda: False)
    x = values(40, dtype=torch.float64 if case == "float64" else torch.float32)
    assert torch.equal(gelu_tanh(x), F.gelu(x, approximate="tanh"))


def test_no_memory_for_the_kernel_is_said(monkeypatch):
    class Library:
        bigbird_gelu = staticmethod(lambda _: 1)

    monkeypatch.setattr(native_cpu, "library", lambda: Library)
    with pytest.raises(MemoryError, match="gelu: no memory left to start threads"):
        gelu_tanh(values(10))
