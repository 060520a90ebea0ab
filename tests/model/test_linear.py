import pytest
import torch
import torch.nn.functional as F

from bigbird.model import linear as module
from bigbird.model.blocks import FeedForward
from bigbird.model.linear import Linear, linear

needs_onednn = pytest.mark.skipif(not module._has_onednn(), reason="PyTorch has no oneDNN for this processor")


def tensors(*lead, inner=96, outer=160, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = ((*lead, inner), (outer, inner), (outer,))
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def operations(function, *arguments):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        function(*arguments)
    return {event.name for event in profile.events()}


@needs_onednn
def test_float32_products_go_to_onednn_forward_and_backward():
    x, weight, bias = tensors(50)
    names = operations(lambda: linear(x, weight, bias).square().sum().backward())
    assert "mkldnn::_linear_pointwise" in names
    assert not names & {"aten::addmm", "aten::mm"}


@needs_onednn
@pytest.mark.parametrize("change", ["float64", "bfloat16", "autocast", "subclass", "no onednn"])
def test_everything_else_goes_to_pytorch(change, monkeypatch):
    dtype = getattr(torch, change) if change in {"float64", "bfloat16"} else torch.float32
    x, weight, bias = tensors(50, dtype=dtype)
    if change == "subclass":
        weight = weight.detach().as_subclass(type("Sharded", (torch.Tensor,), {}))
    if change == "no onednn":
        monkeypatch.setattr(module, "_has_onednn", lambda: False)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=change == "autocast"):
        names = operations(linear, x, weight, bias)
        out = linear(x, weight, bias)
    assert "bigbird::linear" not in names
    assert out.dtype == (torch.bfloat16 if change in {"bfloat16", "autocast"} else dtype)


@pytest.mark.parametrize("lead", [(1,), (2,), (50,), (3, 7), (0,), ()])
@pytest.mark.parametrize("with_bias", [True, False])
def test_values_and_gradients_are_those_of_float64(lead, with_bias):
    single = tensors(*lead)
    double = [x.detach().double().requires_grad_() for x in single]
    outs = []
    for x, weight, bias in (single, double):
        out = (linear if x.dtype == torch.float32 else F.linear)(x, weight, bias if with_bias else None)
        out.sin().sum().backward()
        outs.append(out)
    torch.testing.assert_close(outs[0].double(), outs[1], rtol=1e-5, atol=1e-5)
    for ours, exact in list(zip(single, double, strict=True))[: 3 if with_bias else 2]:
        torch.testing.assert_close(ours.grad.double(), exact.grad, rtol=1e-5, atol=1e-6 * float(exact.grad.norm()))


@pytest.mark.parametrize(
    ("vendor", "family", "capability", "is_chosen"),
    [
        ("AuthenticAMD", "26", "AVX512", True),
        ("AuthenticAMD", "25", "AVX512", False),  # halves its vectors itself: MKL loses nothing there
        ("AuthenticAMD", "26", "AVX2", False),
        ("GenuineIntel", "26", "AVX512", False),
    ],
)
def test_onednn_is_for_processors_that_mkl_holds_back(vendor, family, capability, is_chosen, monkeypatch):
    monkeypatch.setattr(module.machine, "processor", lambda: {"vendor_id": vendor, "cpu family": family})
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert module._is_wide_amd.__wrapped__() == is_chosen


def test_second_derivatives_exist():
    results = []
    for function in (linear, F.linear):
        x, weight, bias = tensors(20)
        (gradient,) = torch.autograd.grad(function(x, weight, bias).sin().sum(), x, create_graph=True)
        gradient.square().sum().backward()
        results.append((x.grad, weight.grad, bias.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize(("inner", "outer"), [(32, 96), (192, 768), (768, 192), (100, 36)])
def test_a_row_has_the_same_bits_whatever_the_other_rows_and_threads(inner, outer):
    x, weight, bias = tensors(700, inner=inner, outer=outer)
    threads = torch.get_num_threads()
    whole = linear(x, weight, bias)
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            for rows in (16, 17, 31, 64, 100, 333, 699):
                assert torch.equal(linear(x[-rows:], weight, bias), whole[-rows:]), (number, rows)
    finally:
        torch.set_num_threads(threads)


def test_operator_is_registered_as_pytorch_wants_it():
    torch.library.opcheck(torch.ops.bigbird.linear, tuple(tensors(5, 4)))
    torch.library.opcheck(torch.ops.bigbird.linear, (*tensors(20)[:2], None))


def test_is_a_linear_module_to_others():
    torch.manual_seed(0)
    ours = Linear(8, 4)
    theirs = torch.nn.Linear(8, 4)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 8)
    assert isinstance(ours, torch.nn.Linear)
    torch.testing.assert_close(ours(input=x), theirs(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_feed_forward_in_portions_has_the_bits_of_the_whole(dtype):
    torch.manual_seed(0)
    layer = FeedForward(hidden_size=32, inner_size=100, activation="gelu_tanh").to(dtype)
    x = torch.randn(1900, 32).to(dtype)
    whole = layer(x)
    with torch.no_grad():
        assert torch.equal(layer(x), whole)


@torch.no_grad()
def test_feed_forward_holds_the_inner_rows_of_a_portion_only():
    layer = FeedForward(hidden_size=16, inner_size=64, activation="relu")
    rows = []
    layer.inner.register_forward_hook(lambda _module, _inputs, out: rows.append(len(out)))
    layer(torch.randn(4096, 16))
    assert max(rows) < 1024
    assert sum(rows) == 4096
