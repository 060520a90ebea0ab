"""Every backend computes what the reference computes, forward and backward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attention_cases import (
    BACKENDS,
    GRAPHS,
    assert_agree,
    assert_as_exact_as_the_reference,
    masks,
    outputs_and_gradients,
    random_tensors,
    skip_unless_served,
    specs,
)
from bigbird.attention import BlockPattern, PatternSpec, block_sparse_attention, pack_patterns


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_one_document_of_any_length(backend, data):
    spec, length = data.draw(specs()), data.draw(st.integers(1, 1500))
    batch, heads, head_dim = data.draw(st.sampled_from([(1, 1, 4), (2, 2, 8), (1, 3, 5)]))
    pattern = spec.build(num_blocks=spec.blocks_for(length), num_heads=heads, layer=data.draw(st.integers(0, 3)))
    q, k, v = random_tensors(*[(batch, heads, length, head_dim)] * 3)
    assert_agree(backend, q, k, v, pattern=pattern, key_mask=data.draw(masks(batch, length)))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_packed_documents(backend, data):
    spec, heads = data.draw(specs()), data.draw(st.integers(1, 3))
    lengths = data.draw(st.lists(st.integers(1, 400), min_size=1, max_size=5))
    pattern = pack_patterns([spec.build(num_blocks=spec.blocks_for(n), num_heads=heads) for n in lengths])
    total = pattern.num_query_blocks * spec.block_size
    starts, mask = 0, torch.zeros(1, total, dtype=torch.bool)
    for length in lengths:
        mask[:, starts : starts + length] = True
        starts += spec.blocks_for(length) * spec.block_size
    q, k, v = random_tensors(*[(1, heads, total, 4)] * 3)
    assert_agree(backend, q, k, v, pattern=pattern, key_mask=mask)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_unequal_lengths_and_any_table_of_counts(backend, data):
    block_size, heads = data.draw(st.sampled_from([1, 3, 8, 16])), data.draw(st.integers(1, 2))
    query_length, key_length = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 300))
    shape = (heads, -(-query_length // block_size), -(-key_length // block_size))
    table = torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99))))
    (q,) = random_tensors((2, heads, query_length, 6))
    k, v = random_tensors(*[(2, heads, key_length, 6)] * 2, seed=5)
    pattern = BlockPattern.from_counts(table * (table < 3), block_size=block_size)
    assert_agree(backend, q, k, v, pattern=pattern, key_mask=data.draw(masks(2, key_length)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_without_later_blocks(backend, graph):
    table = PatternSpec(block_size=8, graph=graph).build(num_blocks=20, num_heads=2).counts().tril()
    pattern = BlockPattern.from_counts(table, block_size=8)
    q, k, v = random_tensors(*[(2, 2, 155, 8)] * 3)
    assert_agree(backend, q, k, v, pattern=pattern)


@pytest.mark.parametrize("backend", BACKENDS)
def test_strided_and_expanded_tensors(backend):
    pattern = PatternSpec(block_size=8).build(num_blocks=20, num_heads=4)
    qkv = random_tensors((2, 160, 3, 4, 16))[0]
    q, k, _ = qkv.permute(2, 0, 3, 1, 4)
    v = random_tensors((1, 1, 160, 16))[0].expand(2, 4, -1, -1)
    assert_agree(backend, q, k, v, pattern=pattern)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_given_scale_is_used(backend):
    pattern = PatternSpec(block_size=8).build(num_blocks=12, num_heads=1)
    q, k, v = random_tensors(*[(1, 1, 96, 8)] * 3)
    assert_agree(backend, q, k, v, pattern=pattern, scale=0.05)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("scale", [0.0, -0.3])
def test_a_scale_may_be_zero_or_negative(backend, scale):
    pattern = PatternSpec(block_size=16).build(num_blocks=150, num_heads=1)  # with rows of several pieces
    q, k, v = random_tensors(*[(1, 1, 2400, 8)] * 3)
    assert_agree(backend, q, k, v, pattern=pattern, scale=scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("length", [63, 1000])
def test_low_precision_is_no_worse_than_the_reference_in_that_precision(backend, dtype, length):
    pattern = PatternSpec(block_size=16).build(num_blocks=-(-length // 16), num_heads=2)
    tensors = random_tensors(*[(1, 2, length, 32)] * 3)
    skip_unless_served(backend, dtype)
    assert_as_exact_as_the_reference(backend, dtype, *tensors, pattern=pattern)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_repeat_bit_by_bit(backend):
    pattern = PatternSpec(block_size=16).build(num_blocks=100, num_heads=3)
    tensors = random_tensors(*[(2, 3, 1600, 16)] * 3, dtype=torch.float32)
    first = outputs_and_gradients(backend, *tensors, pattern=pattern)
    for _ in range(3):
        again = outputs_and_gradients(backend, *tensors, pattern=pattern)
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


@pytest.mark.parametrize("backend", [*BACKENDS, "reference"])
@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_what_stands_behind_the_mask_changes_no_bit(backend, poison):
    pattern = PatternSpec(block_size=8).build(num_blocks=30, num_heads=2)
    q, k, v = random_tensors(*[(2, 2, 237, 8)] * 3, dtype=torch.float32)
    mask = torch.rand(2, 237, generator=torch.Generator().manual_seed(3)) < 0.6
    clean = outputs_and_gradients(backend, q, k, v, pattern=pattern, key_mask=mask)
    hidden = ~mask[:, None, :, None]
    k, v = (x.detach().masked_fill(hidden, poison).requires_grad_() for x in (k, v))
    poisoned = outputs_and_gradients(backend, q, k, v, pattern=pattern, key_mask=mask)
    assert all(torch.equal(one, other) for one, other in zip(clean, poisoned, strict=True))


@pytest.mark.parametrize("backend", [*BACKENDS, "reference"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_query_that_sees_nothing_gets_zero_and_gives_zero_gradient(backend, dtype):
    skip_unless_served(backend, dtype)
    pattern = BlockPattern.from_counts(torch.tensor([[[1, 0], [0, 0]]]), block_size=4)
    q, k, v = random_tensors(*[(2, 1, 8, 4)] * 3, dtype=dtype)
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[1, :4] = False
    out, dq, dk, dv = outputs_and_gradients(backend, q, k, v, pattern=pattern, key_mask=mask)
    assert torch.isfinite(torch.stack([out, dq, dk, dv])).all()
    assert out[0, 0, 4:].abs().max() == out[1].abs().max() == 0
    assert dq[0, 0, 4:].abs().max() == dq[1].abs().max() == dk[1].abs().max() == dv[1].abs().max() == 0
    assert out[0, 0, :4].abs().min() > 0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("dtype", "factor"), [(torch.float16, 64), (torch.bfloat16, 1e4)])
def test_large_activations_do_not_overflow(backend, dtype, factor):
    skip_unless_served(backend, dtype)
    pattern = PatternSpec(block_size=16).build(num_blocks=20, num_heads=2)
    q, k, v = (x.detach().to(dtype) for x in random_tensors(*[(1, 2, 320, 64)] * 3))
    assert torch.isfinite(
        block_sparse_attention(q * factor, k * factor, v * factor, pattern=pattern, backend=backend)
    ).all()


def test_gradcheck():
    pattern = PatternSpec(block_size=4, window_blocks=1, random_blocks=1).build(num_blocks=6, num_heads=2)
    mask = torch.rand(1, 23, generator=torch.Generator().manual_seed(0)) < 0.8
    tensors = random_tensors(*[(1, 2, 23, 3)] * 3)
    torch.autograd.gradcheck(
        lambda q, k, v: block_sparse_attention(q, k, v, pattern=pattern, key_mask=mask, backend="gathered"), tensors
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_neither_crashes_nor_lowers_the_inner_precision(backend):
    pattern = PatternSpec(block_size=16).build(num_blocks=20, num_heads=2)
    q, k, v = random_tensors(*[(1, 2, 320, 16)] * 3, dtype=torch.float32)
    plain = outputs_and_gradients(backend, q, k, v, pattern=pattern)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = outputs_and_gradients(backend, q, k, v, pattern=pattern)
    assert all(torch.equal(one, other) for one, other in zip(plain, inside, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("poisoned", ["q", "k", "v"])
def test_a_nan_in_one_document_stays_there(backend, poisoned):
    spec = PatternSpec(block_size=16)
    pattern = pack_patterns([spec.build(num_blocks=count, num_heads=2) for count in (120, 80)])  # rows of several steps
    q, k, v = (x.detach() for x in random_tensors(*[(1, 2, 3200, 8)] * 3, dtype=torch.float32))
    clean = block_sparse_attention(q, k, v, pattern=pattern, backend=backend)
    {"q": q, "k": k, "v": v}[poisoned][:, :, :16] = torch.nan
    out = block_sparse_attention(q, k, v, pattern=pattern, backend=backend)
    assert torch.isnan(out[:, :, :16]).all()
    assert torch.equal(out[:, :, 1920:], clean[:, :, 1920:])
