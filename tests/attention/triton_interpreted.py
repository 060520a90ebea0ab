"""The Triton kernels in Triton's interpreter. `test_triton.py` runs this file in a process of its own, because Triton
decides when it is imported; by hand: TRITON_INTERPRET=1 pytest tests/attention/triton_interpreted.py

float32 and float16: the interpreter multiplies the bit patterns of bfloat16 (triton issue 11584).
"""

import pytest
import torch

from bigbird.attention import (
    BlockPattern,
    PatternSpec,
    block_sparse_attention,
    context_partial,
    gathered,
    pack_patterns,
    self_check,
    triton_gpu,
    triton_plan,
)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of NaN and infinity, which we put there

PAPER = PatternSpec(block_size=16, window_blocks=3, global_blocks=2, random_blocks=1)


@pytest.fixture
def short_pieces(monkeypatch):
    """Rows of 64 tokens and more are cut, so that a small document has rows of many pieces."""
    monkeypatch.setattr(triton_plan, "_PIECE_TOKENS", 32)


def tensors(*shapes, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


def attend(q, k, v, *, backend="triton", **arguments):
    if backend == "triton":  # `why_not` would say that these tensors are not on a GPU
        arguments = {"key_mask": None, "scale": q.shape[3] ** -0.5, **arguments}
        return triton_gpu.forward(q, k, v, **arguments)
    return block_sparse_attention(q, k, v, backend=backend, **arguments)


def outputs_and_gradients(q, k, v, **arguments):
    out = attend(q, k, v, **arguments)
    (grad,) = tensors(out.shape, dtype=out.dtype, seed=1)
    return out, *torch.autograd.grad(out, (q, k, v), grad.detach())


def assert_as_exact_as_the_reference(q, k, v, **arguments):
    """The error against float64 is at most twice that of the reference in the same precision (flash-attention's rule).

    A gradient that cancels to 0 in the reference may leave the rounding of its parts; dv has as many, uncancelled.
    """
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    right = outputs_and_gradients(*exact, backend="reference", **arguments)
    plain = outputs_and_gradients(q, k, v, backend="reference", **arguments)
    ours = outputs_and_gradients(q, k, v, **arguments)
    cancelled = 16 * torch.finfo(torch.float32).eps * (1 + right[3].abs().max())
    for name, true, reference, value in zip(("out", "dq", "dk", "dv"), right, plain, ours, strict=True):
        rounding = ((true.to(q.dtype) + 0.3) - 0.3 - true.to(q.dtype)).abs().max()
        budget = 2 * (reference.double() - true).abs().max() + 2 * rounding + cancelled
        error = (value.double() - true).abs().max()
        assert error <= budget, f"{name}: error {error:.2e}, allowed {budget:.2e}"


def mask_of(batch, length, share=0.8):
    return torch.rand(batch, length, generator=torch.Generator().manual_seed(3)) < share


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(
    ("length", "block_size", "head_dim"),
    [
        (1, 16, 16),
        (15, 16, 4),
        (127, 16, 20),
        (128, 32, 32),
        (129, 64, 80),
        (100, 32, 96),
        (130, 128, 16),
        (64, 64, 128),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_odd_lengths_and_head_sizes(dtype, length, block_size, head_dim, masked):
    spec = PatternSpec(block_size=block_size, window_blocks=1, global_blocks=1, random_blocks=1)
    pattern = spec.build(num_blocks=spec.blocks_for(length), num_heads=1)
    mask = mask_of(1, length) if masked else None
    assert_as_exact_as_the_reference(
        *tensors(*[(1, 1, length, head_dim)] * 3, dtype=dtype), pattern=pattern, key_mask=mask
    )


@pytest.mark.usefixtures("short_pieces")
@pytest.mark.parametrize(
    ("dtype", "graph"),
    [
        (torch.float32, "paper"),
        (torch.float16, "checkpoint"),
        (torch.float16, "transformers-train"),
        (torch.float16, "transformers-eval"),
        (torch.float32, "transformers-eval"),
    ],
)
def test_every_graph_with_its_counts_and_its_long_rows_in_pieces(dtype, graph):
    spec = PatternSpec(block_size=16, graph=graph, random_blocks=2)
    pattern = spec.build(num_blocks=11, num_heads=2)
    plan = plan_for(pattern, 170, 170)
    assert plan.by_query.num_parts >= 4 and plan.by_key.num_parts >= 4
    q, k, v = tensors(*[(1, 2, 170, 16)] * 3, dtype=dtype)
    assert_as_exact_as_the_reference(q, k, v, pattern=pattern, key_mask=mask_of(1, 170))


def plan_for(pattern, query_length, key_length):
    shape = (pattern.block_size, -(-query_length // pattern.block_size), -(-key_length // pattern.block_size))
    return triton_plan.plan_of(pattern.row_starts, pattern.key_blocks, pattern.key_counts, shape)


@pytest.mark.usefixtures("short_pieces")
def test_unequal_lengths_any_counts_and_heads_that_differ():
    table = torch.randint(0, 4, (2, 4, 9), generator=torch.Generator().manual_seed(0))
    pattern = BlockPattern.from_counts(table * (table < 3), block_size=16)
    (q,) = tensors((2, 2, 50, 8))
    k, v = tensors(*[(2, 2, 140, 8)] * 2, seed=5)
    assert_as_exact_as_the_reference(q, k, v, pattern=pattern, key_mask=mask_of(2, 140, 0.5))
    assert_as_exact_as_the_reference(q, k, v, pattern=pattern, scale=0.05)


def test_block_causal():
    table = PAPER.build(num_blocks=9, num_heads=2).counts().tril()
    pattern = BlockPattern.from_counts(table, block_size=PAPER.block_size)
    assert_as_exact_as_the_reference(*tensors(*[(1, 2, 139, 8)] * 3), pattern=pattern)


def test_strided_and_expanded_tensors_and_a_strided_gradient():
    pattern = PAPER.build(num_blocks=6, num_heads=2)
    q, k, _ = tensors((2, 96, 3, 2, 16))[0].permute(2, 0, 3, 1, 4)
    v = tensors((1, 1, 96, 16))[0].expand(2, 2, -1, -1)
    assert_as_exact_as_the_reference(q, k, v, pattern=pattern)
    columns = [x.detach().transpose(2, 3).contiguous().transpose(2, 3).requires_grad_() for x in (q, k, v)]
    assert_as_exact_as_the_reference(*columns, pattern=pattern)
    (ours,) = torch.autograd.grad(attend(q, k, v, pattern=pattern).sum(), q)
    (right,) = torch.autograd.grad(attend(q, k, v, pattern=pattern, backend="reference").sum(), q)
    torch.testing.assert_close(ours, right)


@pytest.mark.usefixtures("short_pieces")
def test_a_document_gets_the_same_bits_alone_and_packed():
    documents = [PAPER.build(num_blocks=count, num_heads=2) for count in (2, 9, 1)]
    filling = BlockPattern.empty(block_size=16, num_heads=2, num_blocks=2)
    q, k, v = (x.detach() for x in tensors(*[(1, 2, 14 * 16, 16)] * 3, dtype=torch.float16))
    together = attend(q, k, v, pattern=pack_patterns([*documents, filling]))
    start = 0
    for pattern in documents:
        here = slice(start, start + pattern.num_query_blocks * 16)
        alone = attend(q[:, :, here], k[:, :, here], v[:, :, here], pattern=pattern)
        assert torch.equal(alone, together[:, :, here])
        start = here.stop
    assert together[:, :, start:].abs().max() == 0


@pytest.mark.usefixtures("short_pieces")
@pytest.mark.parametrize(("poison", "block_size"), [(torch.nan, 16), (torch.nan, 64), (torch.inf, 16), (6e4, 16)])
def test_what_stands_behind_the_mask_changes_no_bit(poison, block_size):
    spec = PatternSpec(block_size=block_size, window_blocks=1, global_blocks=1, random_blocks=1)
    length = 5 * block_size - 7
    pattern = spec.build(num_blocks=5, num_heads=1)
    q, k, v = tensors(*[(1, 1, length, 8)] * 3, dtype=torch.float16)
    mask = mask_of(1, length, 0.6)
    clean = outputs_and_gradients(q, k, v, pattern=pattern, key_mask=mask)
    hidden = ~mask[:, None, :, None]
    k, v = (x.detach().masked_fill(hidden, poison).requires_grad_() for x in (k, v))
    poisoned = outputs_and_gradients(q, k, v, pattern=pattern, key_mask=mask)
    assert all(torch.equal(one, other) for one, other in zip(clean, poisoned, strict=True))


@pytest.mark.usefixtures("short_pieces")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_query_that_sees_nothing_gets_zero_and_gives_zero_gradient(dtype):
    table = torch.ones(1, 7, 7, dtype=torch.int64)
    table[0, 1] = 0
    pattern = BlockPattern.from_counts(table, block_size=16)
    q, k, v = tensors(*[(2, 1, 112, 16)] * 3, dtype=dtype)
    q.data[1, 0, :16] = torch.nan  # nor does a query's NaN reach anything it does not see
    mask = torch.ones(2, 112, dtype=torch.bool)
    mask[1] = False
    out, dq, dk, dv = outputs_and_gradients(q, k, v, pattern=pattern, key_mask=mask)
    assert torch.isfinite(torch.stack([out, dq, dk, dv])).all()
    assert out[0, 0, 16:32].abs().max() == out[1].abs().max() == 0
    assert dq[0, 0, 16:32].abs().max() == dq[1].abs().max() == dk[1].abs().max() == dv[1].abs().max() == 0
    assert out[0, 0, :16].abs().min() > 0


@pytest.mark.usefixtures("short_pieces")
@pytest.mark.parametrize("poisoned", ["q", "k", "v"])
def test_a_nan_in_one_document_stays_there(poisoned):
    pattern = pack_patterns([PAPER.build(num_blocks=count, num_heads=1) for count in (7, 8)])
    q, k, v = tensors(*[(1, 1, 240, 8)] * 3, dtype=torch.float16)
    clean = outputs_and_gradients(q, k, v, pattern=pattern)
    {"q": q, "k": k, "v": v}[poisoned].data[:, :, :16] = torch.nan
    spoilt = outputs_and_gradients(q, k, v, pattern=pattern)
    assert torch.isnan(spoilt[0][:, :, :16]).all()
    assert all(torch.equal(one[:, :, 112:], other[:, :, 112:]) for one, other in zip(clean, spoilt, strict=True))


@pytest.mark.parametrize(("dtype", "factor"), [(torch.float16, 64), (torch.float32, 1e4)])
def test_large_activations_do_not_overflow(dtype, factor):
    q, k, v = ((x * factor).detach().requires_grad_() for x in tensors(*[(1, 1, 96, 64)] * 3, dtype=dtype))
    results = outputs_and_gradients(q, k, v, pattern=PAPER.build(num_blocks=6, num_heads=1))
    assert torch.isfinite(results[0]).all() and (
        dtype == torch.float16 or all(torch.isfinite(x).all() for x in results)
    )


@pytest.mark.parametrize(("dtype", "sign"), [(torch.float32, 1), (torch.float32, -1), (torch.float16, 1)])
def test_scores_far_from_zero_weigh_as_any_others(dtype, sign):
    """Near 280 or -280 in powers of two: what is masked or fills up a tile scores 0, and neither wins nor overflows.

    Loosely: NumPy rounds such products by the shape of the tile, so forward and backward differ, as on no GPU.
    """
    q, k, v = (x.detach() for x in tensors(*[(1, 1, 96, 16)] * 3, dtype=dtype))
    q, k, v = (x.requires_grad_() for x in (sign * (49 + q / 8), 1 + k / 8, v))
    options = {"pattern": PAPER.build(num_blocks=6, num_heads=1), "key_mask": mask_of(1, 96)}
    exact = [x.detach().double().requires_grad_() for x in (q, k, v)]
    right = outputs_and_gradients(*exact, backend="reference", **options)
    for true, value in zip(right, outputs_and_gradients(q, k, v, **options), strict=True):
        slack = {torch.float32: 1e-4, torch.float16: 3e-2}[dtype] * (1 + float(true.detach().abs().max()))
        torch.testing.assert_close(value.double(), true, rtol=0, atol=slack)


@pytest.mark.usefixtures("short_pieces")
def test_repeats_and_what_memory_held_change_no_bit(monkeypatch):
    pattern = PAPER.build(num_blocks=9, num_heads=2)
    q, k, v = tensors(*[(1, 2, 139, 8)] * 3, dtype=torch.float16)
    first = outputs_and_gradients(q, k, v, pattern=pattern)
    empty_like, new_empty = torch.empty_like, torch.Tensor.new_empty

    def poisoned(x, *shape, **options):
        fresh = new_empty(x, *shape, **options)
        return fresh.fill_(torch.nan) if fresh.is_floating_point() else fresh

    monkeypatch.setattr(torch, "empty_like", lambda x, **options: empty_like(x, **options).fill_(torch.nan))
    monkeypatch.setattr(torch.Tensor, "new_empty", poisoned)
    for _ in range(2):
        again = outputs_and_gradients(q, k, v, pattern=pattern)
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


@pytest.mark.usefixtures("short_pieces")
def test_a_plan_made_without_asking_the_device_computes_the_same_bits(monkeypatch):
    """As while a CUDA graph is captured: with room for the worst case, and counts looked at though all are one."""
    pattern = PAPER.build(num_blocks=9, num_heads=2)
    q, k, v = tensors(*[(1, 2, 139, 8)] * 3, dtype=torch.float16)
    first = outputs_and_gradients(q, k, v, pattern=pattern)
    exact = plan_for(pattern, 139, 139)
    roomy = triton_plan.new_plan(pattern.row_starts, pattern.key_blocks, pattern.key_counts, exact.shape, may_ask=False)
    assert len(roomy.by_query.items) > len(exact.by_query.items) and roomy.by_key.num_parts > exact.by_key.num_parts
    monkeypatch.setattr(triton_plan, "plan_of", lambda *_: roomy)
    again = outputs_and_gradients(q, k, v, pattern=pattern)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


@pytest.mark.usefixtures("short_pieces")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_auto_tries_out_first_finds_these_kernels_right_and_spoilt_ones_wrong(monkeypatch, dtype):
    monkeypatch.setattr(self_check, "LENGTH", 192)
    kind = {"device": torch.device("cpu"), "dtype": dtype, "head_dim": 16, "block_size": 16}
    assert self_check.disagreement(triton_gpu.forward, **kind) == ""
    right = triton_plan.new_plan

    def without_the_last_part(*lists, may_ask):
        plan = right(*lists, may_ask=may_ask)
        plan.by_query.merges[:, 2] -= 1
        return plan

    monkeypatch.setattr(triton_plan, "new_plan", without_the_last_part)
    monkeypatch.setattr(triton_plan, "_plans", {})  # built patterns are kept, and plans as long as they are
    assert self_check.disagreement(triton_gpu.forward, **kind).startswith("gave wrong outputs on a small problem")


def test_the_operator_keeps_pytorch_s_rules():
    pattern = PAPER.build(num_blocks=3, num_heads=2)
    lists = (pattern.row_starts, pattern.key_blocks, pattern.key_counts)
    q, k, v = tensors(*[(1, 2, 40, 8)] * 3)
    strided = [x.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_() for x in (q, k, v)]
    mask = torch.ones(1, 40, dtype=torch.bool)
    for inputs in ((q, k, v, *lists, None, 16, 0.125), (*strided, *lists, mask, 16, 0.125)):
        torch.library.opcheck(torch.ops.bigbird.triton_attention.default, inputs)


def test_a_second_derivative_is_refused_not_zero():
    q, k, v = tensors(*[(1, 1, 16, 16)] * 3)
    out = attend(q, k, v, pattern=PAPER.build(num_blocks=1, num_heads=1))
    (grad,) = torch.autograd.grad(out.pow(2).sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="attention has no second derivative; the gradients of triton_attention"):
        grad.pow(2).sum().backward()


def test_torch_compile_needs_no_graph_break_and_keeps_one_plan():
    pattern = PAPER.build(num_blocks=8, num_heads=2)
    q, k, v = tensors(*[(1, 2, 120, 8)] * 3, dtype=torch.float16)

    def run(q, k, v):
        return attend(2 * q, k, v, pattern=pattern) + 1

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(q, k, v), run(q, k, v))
    plan = plan_for(pattern, 120, 120)
    grads = [torch.autograd.grad(f(q, k, v).square().sum(), (q, k, v)) for f in (compiled, run)]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)
    assert plan_for(pattern, 120, 120) is plan


@pytest.mark.usefixtures("short_pieces")
@pytest.mark.parametrize("scale", [0.3, -0.3])
def test_results_over_halves_of_the_keys_merge_and_differentiate(scale):
    """What a rank does of a row that is shared: attend to its own keys, then differentiate given the whole softmax."""
    table = torch.randint(0, 3, (1, 5, 12), generator=torch.Generator().manual_seed(2))
    table[:, 2, :6] = 0  # sees nothing of one half
    q, k, v, grad_out = (x.detach() for x in tensors((2, 1, 80, 8), *[(2, 1, 192, 8)] * 2, (2, 1, 80, 8)))
    inputs = [x.clone().requires_grad_() for x in (q, k, v)]
    whole = BlockPattern.from_counts(table, block_size=16)
    right = attend(*inputs, backend="reference", pattern=whole, scale=scale)
    expected = torch.autograd.grad(right, inputs, grad_out)
    halves = [
        context_partial.Problem(
            q, k[:, :, keys], v[:, :, keys], BlockPattern.from_counts(counts, block_size=16), None, scale
        )
        for keys, counts in ((slice(96), table[..., :6]), (slice(96, None), table[..., 6:]))
    ]
    found = [context_partial.attend(half, "triton") for half in halves]
    out, log_sum = gathered.merge(found[0].out, found[0].log_sum, found[1].out, found[1].log_sum)
    torch.testing.assert_close(out, right.detach(), rtol=0, atol=2e-6)
    back = [
        context_partial.gradients(grad_out, half, one._replace(out=out, log_sum=log_sum), "triton")
        for half, one in zip(halves, found, strict=True)
    ]
    ours = (back[0][0] + back[1][0], *(torch.cat(pair, 2) for pair in zip(*(x[1:] for x in back), strict=True)))
    for value, true in zip(ours, expected, strict=True):
        torch.testing.assert_close(value, true, rtol=0, atol=5e-6)
