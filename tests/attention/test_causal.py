"""Causal patterns: a query sees, of the listed blocks, what stands at its own place and before. Nothing later."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attention_cases import (
    BACKENDS,
    GRAPHS,
    NO_LIBRARY,
    assert_as_exact_as_the_reference,
    masks,
    outputs_and_gradients,
    random_tensors,
    specs,
)
from bigbird.attention import BlockPattern, DocumentLayout, PatternSpec, block_sparse_attention, pack_patterns

DTYPES = (torch.float32, torch.bfloat16)


def oracle(q, k, v, pattern, key_mask):
    """Written again from the contract: a triangle over single tokens, and how often each block counts."""
    size, length = pattern.block_size, q.shape[2]
    place = torch.arange(length)
    weights = pattern.counts()[:, place // size][:, :, place // size] * (place <= place[:, None])
    weights = weights * (torch.ones(len(k), 1, 1, length) if key_mask is None else key_mask[:, None, None])
    shares = weights * torch.exp(q @ k.transpose(2, 3) * q.shape[3] ** -0.5)
    return shares / shares.sum(3, keepdim=True).clamp_min(1e-300) @ v


def assert_right(backend, q, k, v, pattern, key_mask=None):
    """In float64 what the oracle says; native, in its two types, as exact as the reference in the same."""
    if backend == "native":
        for dtype in DTYPES:
            assert_as_exact_as_the_reference(backend, dtype, q, k, v, pattern=pattern, key_mask=key_mask)
        return
    expected = oracle(q, k, v, pattern, key_mask)
    ours, *gradients = outputs_and_gradients(backend, q, k, v, pattern=pattern, key_mask=key_mask)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)
    (grad,) = random_tensors(ours.shape, seed=1)
    for mine, right in zip(gradients, torch.autograd.grad(expected, (q, k, v), grad), strict=True):
        torch.testing.assert_close(mine, right, rtol=0, atol=1e-9)


@pytest.mark.parametrize("backend", [*BACKENDS, "reference"])
@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_one_document_of_any_length(backend, data):
    """Heads that differ, blocks that count twice, masks, and rows long enough to be read in pieces."""
    spec, length = data.draw(specs()), data.draw(st.integers(1, 500))
    pattern = spec.build(num_blocks=spec.blocks_for(length), num_heads=2, layer=1).causal()
    q, k, v = random_tensors(*[(2, 2, length, data.draw(st.sampled_from([4, 5])))] * 3)
    assert_right(backend, q, k, v, pattern, data.draw(masks(2, length)))


@pytest.mark.parametrize("graph", [*GRAPHS, "full"])
@pytest.mark.parametrize(
    ("backend", "length"), [("gathered", 1500), ("reference", 300), pytest.param("native", 2300, marks=NO_LIBRARY)]
)
def test_rows_read_in_pieces(backend, length, graph):
    count = -(-length // 16)
    full = BlockPattern.full(block_size=16, num_heads=1, num_query_blocks=count, num_key_blocks=count)
    pattern = full if graph == "full" else PatternSpec(block_size=16, graph=graph).build(num_blocks=count, num_heads=1)
    assert_right(backend, *random_tensors(*[(1, 1, length, 4)] * 3), pattern.causal())


@pytest.mark.parametrize("backend", [*BACKENDS, "reference"])
def test_a_pattern_that_lists_later_blocks_all_the_same_shows_nothing_of_them(backend):
    table = torch.randint(0, 3, (2, 9, 9), generator=torch.Generator().manual_seed(0))
    listed = BlockPattern.from_counts(table, block_size=4)
    for mask in (None, torch.rand(2, 35, generator=torch.Generator().manual_seed(1)) < 0.6):
        tensors = random_tensors(*[(2, 2, 35, 4)] * 3)
        assert_right(backend, *tensors, dataclasses.replace(listed, is_causal=True), mask)


@pytest.mark.parametrize("backend", [*BACKENDS, "reference"])
@pytest.mark.parametrize("scale", [0.0, -0.3])
def test_a_scale_may_be_zero_or_negative(backend, scale):
    pattern = PatternSpec(block_size=16).build(num_blocks=12, num_heads=1).causal()
    low = [x.detach().float().requires_grad_() for x in random_tensors(*[(1, 1, 190, 8)] * 3)]
    right = outputs_and_gradients("reference", *(x.detach().double().requires_grad_() for x in low), pattern=pattern)
    assert all(torch.isfinite(x).all() for x in right)
    assert_as_exact_as_the_reference(backend, torch.float32, *low, pattern=pattern, scale=scale)


@pytest.mark.parametrize("backend", [*BACKENDS, "reference"])
def test_packed_documents_are_each_causal(backend):
    spec, lengths = PatternSpec(block_size=8), (43, 1, 200, 8)
    layout = DocumentLayout(lengths, 8)
    patterns = [spec.build(num_blocks=count, num_heads=2).causal() for count in layout.block_counts]
    q, k, v = random_tensors(*[(1, 2, layout.total_length, 4)] * 3)
    assert_right(backend, q, k, v, pack_patterns(patterns), layout.key_mask())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_packed_document_gets_the_bits_it_gets_alone(backend, dtype):
    spec, lengths = PatternSpec(block_size=16), (77, 1, 400, 16)
    layout = DocumentLayout(lengths, 16)
    patterns = [spec.build(num_blocks=count, num_heads=2).causal() for count in layout.block_counts]
    tensors = random_tensors(*[(1, 2, layout.total_length, 8)] * 3, dtype=dtype)
    together = attend(backend, *tensors, pattern=pack_patterns(patterns), key_mask=layout.key_mask())
    for start, length, pattern in zip(layout.starts, lengths, patterns, strict=True):
        here = slice(start, start + length)
        alone = attend(backend, *(x[:, :, here] for x in tensors), pattern=pattern)
        assert torch.equal(together[:, :, here], alone)


def attend(backend, q, k, v, **arguments):
    return block_sparse_attention(q, k, v, backend=backend, **arguments)


def sparse_and_full(*, num_blocks=20, block_size=16):
    """Blocks of several steps of a kernel are among them."""
    sizes = {"num_query_blocks": num_blocks, "num_key_blocks": num_blocks}
    yield PatternSpec(block_size=block_size).build(num_blocks=num_blocks, num_heads=2).causal()
    yield BlockPattern.full(block_size=block_size, num_heads=2, **sizes).causal()
    yield BlockPattern.full(block_size=160, num_heads=2, num_query_blocks=2, num_key_blocks=2).causal()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", [0, 15, 16, 100, 313])
def test_a_later_token_changes_no_bit_of_an_earlier_result(backend, dtype, place):
    for pattern in sparse_and_full():
        tensors = [x.detach() for x in random_tensors(*[(1, 2, 315, 8)] * 3, dtype=dtype)]
        before = attend(backend, *tensors, pattern=pattern)
        for x in tensors:
            x[:, :, place + 1 :] = 50 * torch.randn_like(x[:, :, place + 1 :])
        after = attend(backend, *tensors, pattern=pattern)
        assert torch.equal(before[:, :, : place + 1], after[:, :, : place + 1])
        assert (before[:, :, place + 1 :] != after[:, :, place + 1 :]).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_gradient_flows_from_earlier_results_to_later_tokens(backend, dtype):
    for pattern in sparse_and_full():
        q, k, v = random_tensors(*[(1, 2, 315, 8)] * 3, dtype=dtype)
        out = attend(backend, q, k, v, pattern=pattern)
        gradients = torch.autograd.grad(out[:, :, :101].float().square().sum(), (q, k, v))
        assert all((grad[:, :, 101:] == 0).all() and (grad[:, :, 1:101] != 0).any() for grad in gradients)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("length", [1, 16, 63, 200])
def test_a_shorter_document_gets_the_bits_of_the_longer_one_s_first_rows(backend, dtype, length):
    """Lists of the longest document, of which a shorter one takes the first: what has been written stays as it is."""
    for longest in sparse_and_full():
        size = longest.block_size
        count = -(-length // size)
        shorter = BlockPattern.from_counts(longest.counts()[:, :count, :count], block_size=size).causal()
        tensors = random_tensors(*[(1, 2, 320, 8)] * 3, dtype=dtype)
        first = attend(backend, *(x[:, :, :length] for x in tensors), pattern=shorter)
        assert torch.equal(first, attend(backend, *tensors, pattern=longest)[:, :, :length])


@pytest.mark.parametrize("backend", [*BACKENDS, "reference"])
def test_a_query_whose_earlier_keys_are_all_masked_gets_zero(backend):
    for pattern in sparse_and_full():
        q, k, v = random_tensors(*[(1, 2, 320, 8)] * 3, dtype=torch.float32)
        mask = torch.arange(320)[None] >= 37
        out = attend(backend, q, k, v, pattern=pattern, key_mask=mask)
        gradients = torch.autograd.grad(out.sum(), (q, k, v))
        assert (out[:, :, :37] == 0).all()
        torch.testing.assert_close(out[:, :, 37], v[:, :, 37])
        assert all(torch.isfinite(grad).all() and (grad[:, :, :37] == 0).all() for grad in gradients)


@pytest.mark.parametrize("backend", [*BACKENDS, "reference"])
def test_what_stands_behind_the_mask_changes_no_bit(backend):
    pattern = PatternSpec(block_size=16).build(num_blocks=20, num_heads=2).causal()
    q, k, v = random_tensors(*[(1, 2, 315, 8)] * 3, dtype=torch.float32)
    mask = torch.rand(1, 315, generator=torch.Generator().manual_seed(3)) < 0.6
    clean = outputs_and_gradients(backend, q, k, v, pattern=pattern, key_mask=mask)
    k, v = (x.detach().masked_fill(~mask[:, None, :, None], torch.nan).requires_grad_() for x in (k, v))
    poisoned = outputs_and_gradients(backend, q, k, v, pattern=pattern, key_mask=mask)
    assert all(torch.equal(one, other) for one, other in zip(clean, poisoned, strict=True))


def test_gradcheck():
    pattern = PatternSpec(block_size=4, window_blocks=1, random_blocks=1).build(num_blocks=4, num_heads=1).causal()
    tensors = random_tensors(*[(1, 1, 15, 2)] * 3)
    torch.autograd.gradcheck(lambda q, k, v: attend("gathered", q, k, v, pattern=pattern), tensors)
