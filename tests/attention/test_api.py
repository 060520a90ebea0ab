import pytest
import torch

from bigbird.attention import PatternSpec, api, backend_report, block_sparse_attention
from bigbird.errors import BackendUnavailable, ShapeError

PATTERN = PatternSpec(block_size=8).build(num_blocks=3, num_heads=2)


def tensors(length=20, dtype=torch.float32, heads=2):
    return [torch.zeros(1, heads, length, 4, dtype=dtype) for _ in range(3)]


def call(q, k, v, **arguments):
    return block_sparse_attention(q, k, v, **{"pattern": PATTERN, **arguments})


def test_a_document_that_sees_all_of_itself_gets_exactly_full_attention():
    q, k, v = torch.randn(3, 1, 2, 20, 4, dtype=torch.float64)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(call(q, k, v), expected, rtol=0, atol=1e-14)


def test_a_count_of_two_weighs_a_block_twice():
    counts = torch.tensor([[[1, 2]]])
    pattern = api.BlockPattern.from_counts(counts, block_size=2)
    q, k, v = torch.randn(3, 1, 1, 4, 4, dtype=torch.float64)
    twice_k, twice_v = (torch.cat((x, x[:, :, 2:]), dim=2) for x in (k, v))
    expected = torch.nn.functional.scaled_dot_product_attention(q[:, :, :2], twice_k, twice_v)
    for backend in ("reference", "gathered"):
        out = block_sparse_attention(q[:, :, :2], k, v, pattern=pattern, backend=backend)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": torch.zeros(2, 20, 4)}, r"q must be \[batch, heads, query_length, head_dim\].*got q \[2, 20, 4\]"),
        ({"v": torch.zeros(1, 2, 20, 5)}, r"got q .* v \[1, 2, 20, 5\]"),
        (
            {"k": torch.zeros(1, 2, 20, 4, dtype=torch.float64)},
            r"must share one floating type, got torch.float32, torch",
        ),
        ({"q": torch.zeros(1, 2, 20, 4, device="meta")}, r"must lie on one device, got meta, cpu, cpu.*pattern\.to"),
        (
            {"q": torch.zeros(1, 2, 25, 4)},
            r"query_length 25 fills 4 blocks of 8, but the pattern is for 3.*num_blocks=4",
        ),
        (
            dict.fromkeys("qkv", torch.zeros(0, 2, 20, 4)),
            r"batch and head_dim must be at least 1, got q \[0, 2, 20, 4\]",
        ),
        (
            dict.fromkeys("qkv", torch.zeros(1, 2, 20, 0)),
            r"batch and head_dim must be at least 1, got q \[1, 2, 20, 0\]",
        ),
        ({"q": torch.zeros(1, 2, 0, 4)}, r"query_length must be at least 1, got 0"),
        ({"key_mask": torch.ones(1, 20)}, r"key_mask must be bool .* = \[1, 20\] on cpu.*got torch.float32 \[1, 20\]"),
        ({"key_mask": torch.ones(1, 19, dtype=torch.bool)}, r"key_mask must be bool .*got torch.bool \[1, 19\]"),
        ({"backend": "flash"}, r"backend must be one of auto, triton, native, gathered, reference, got 'flash'"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_with_the_cure(change, message):
    arguments = dict(zip("qkv", tensors(), strict=True)) | change
    with pytest.raises(ShapeError, match=message):
        call(**arguments)


def test_whole_numbers_are_refused():
    with pytest.raises(ShapeError, match=r"must share one floating type, got torch.int64"):
        call(*tensors(dtype=torch.int64))


def test_the_number_of_heads_must_fit():
    with pytest.raises(ShapeError, match="the pattern is for 2 heads, q has 3"):
        call(*tensors(heads=3))


def test_a_backend_asked_for_by_name_never_hands_over_to_another(monkeypatch):
    from bigbird.attention import gathered, native_cpu, triton_gpu

    monkeypatch.setattr(triton_gpu, "why_not", lambda *_: "not here")
    monkeypatch.setattr(gathered, "why_not", lambda *_: "no luck today")
    monkeypatch.setattr(native_cpu, "why_not", lambda *_: "none at all")
    reasons = {"triton": "not here", "native": "none at all", "gathered": "no luck today", "auto": "no luck today"}
    for backend, reason in reasons.items():
        with pytest.raises(BackendUnavailable, match=f"backend '{backend}' cannot serve this call: {reason}"):
            call(*tensors(), backend=backend)
    report = {"triton": "not here", "native": "none at all", "gathered": "no luck today", "reference": None}
    assert dict(backend_report(tensors()[0], PATTERN)) == report


def test_auto_takes_the_first_that_can(monkeypatch):
    from bigbird.attention import native_cpu

    if native_cpu.instruction_set() is None:
        pytest.skip("the native library is not built: there was no C++ compiler")
    q, k, v = torch.randn(3, 1, 2, 20, 4)
    for reason, name in ((None, "native"), ("none at all", "gathered")):
        monkeypatch.setattr(native_cpu, "why_not", lambda *_, reason=reason: reason)
        assert torch.equal(call(q, k, v), call(q, k, v, backend=name))


def test_a_second_derivative_is_refused_not_wrong():
    q, k, v = (torch.ones_like(x, dtype=torch.float64, requires_grad=True) for x in tensors())
    (grad,) = torch.autograd.grad(call(q, k, v, backend="gathered").pow(2).sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
