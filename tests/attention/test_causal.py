"""Causal patterns: a query sees, of the listed blocks, what stands at its own place and before. Nothing later."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attention_cases import GRAPHS, masks, random_tensors, specs
from bigbird.attention import BlockPattern, DocumentLayout, PatternSpec, block_sparse_attention, pack_patterns
from bigbird.errors import BackendUnavailable

BACKENDS = ("gathered", "reference")


def oracle(q, k, v, pattern, key_mask):
    """Written again from the contract: a triangle over single tokens, and how often each block counts."""
    size, length = pattern.block_size, q.shape[2]
    place = torch.arange(length)
    weights = pattern.counts()[:, place // size][:, :, place // size] * (place <= place[:, None])
    weights = weights * (torch.ones(len(k), 1, 1, length) if key_mask is None else key_mask[:, None, None])
    shares = weights * torch.exp(q @ k.transpose(2, 3) * q.shape[3] ** -0.5)
    return shares / shares.sum(3, keepdim=True).clamp_min(1e-300) @ v


def attend(q, k, v, *, pattern, key_mask=None, backend="auto"):
    return block_sparse_attention(q, k, v, pattern=pattern, key_mask=key_mask, backend=backend)


def assert_is_the_oracle_s(backend, q, k, v, pattern, key_mask=None):
    expected = oracle(q, k, v, pattern, key_mask)
    ours = attend(q, k, v, pattern=pattern, key_mask=key_mask, backend=backend)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)
    (grad,) = random_tensors(ours.shape, seed=1)
    for mine, right in zip(*(torch.autograd.grad(out, (q, k, v), grad) for out in (ours, expected)), strict=True):
        torch.testing.assert_close(mine, right, rtol=0, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_one_document_of_any_length(backend, data):
    """Heads that differ, blocks that count twice, masks, and rows long enough to be read in pieces."""
    spec, length = data.draw(specs()), data.draw(st.integers(1, 600))
    pattern = spec.build(num_blocks=spec.blocks_for(length), num_heads=2, layer=1).causal()
    q, k, v = random_tensors(*[(2, 2, length, 5)] * 3)
    assert_is_the_oracle_s(backend, q, k, v, pattern, data.draw(masks(2, length)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("graph", [*GRAPHS, "full"])
def test_long_rows_read_in_pieces(backend, graph):
    length, size = 1500, 16
    full = BlockPattern.full(block_size=size, num_heads=1, num_query_blocks=94, num_key_blocks=94)
    pattern = full if graph == "full" else PatternSpec(block_size=size, graph=graph).build(num_blocks=94, num_heads=1)
    assert_is_the_oracle_s(backend, *random_tensors(*[(1, 1, length, 4)] * 3), pattern.causal())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_pattern_that_lists_later_blocks_all_the_same_shows_nothing_of_them(backend):
    table = torch.randint(0, 3, (2, 9, 9), generator=torch.Generator().manual_seed(0))
    listed = BlockPattern.from_counts(table, block_size=4)
    q, k, v = random_tensors(*[(2, 2, 35, 4)] * 3)
    as_listed = dataclasses.replace(listed, is_causal=True)
    assert_is_the_oracle_s(backend, q, k, v, as_listed)


@pytest.mark.parametrize("backend", BACKENDS)
def test_packed_documents_are_each_causal(backend):
    spec, lengths = PatternSpec(block_size=8), (43, 1, 200, 8)
    layout = DocumentLayout(lengths, 8)
    patterns = [spec.build(num_blocks=count, num_heads=2).causal() for count in layout.block_counts]
    q, k, v = random_tensors(*[(1, 2, layout.total_length, 4)] * 3)
    packed = pack_patterns(patterns)
    assert_is_the_oracle_s(backend, q, k, v, packed, layout.key_mask())
    together = attend(q, k, v, pattern=packed, key_mask=layout.key_mask(), backend=backend)
    for start, length, pattern in zip(layout.starts, lengths, patterns, strict=True):
        here = slice(start, start + length)
        alone = attend(*(x[:, :, here] for x in (q, k, v)), pattern=pattern, backend=backend)
        torch.testing.assert_close(together[:, :, here], alone, rtol=0, atol=1e-12)


def sparse_and_full(*, num_heads=2, num_blocks=20, block_size=16):
    sizes = {"num_query_blocks": num_blocks, "num_key_blocks": num_blocks}
    yield PatternSpec(block_size=block_size).build(num_blocks=num_blocks, num_heads=num_heads).causal()
    yield BlockPattern.full(block_size=block_size, num_heads=num_heads, **sizes).causal()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("place", [0, 15, 16, 100, 313])
def test_a_later_token_changes_no_bit_of_an_earlier_result(dtype, place):
    for pattern in sparse_and_full():
        q, k, v = (x.detach() for x in random_tensors(*[(1, 2, 315, 8)] * 3, dtype=dtype))
        before = attend(q, k, v, pattern=pattern)
        for x in (q, k, v):
            x[:, :, place + 1 :] = 50 * torch.randn_like(x[:, :, place + 1 :])
        after = attend(q, k, v, pattern=pattern)
        assert torch.equal(before[:, :, : place + 1], after[:, :, : place + 1])
        assert (before[:, :, place + 1 :] != after[:, :, place + 1 :]).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_gradient_flows_back_from_earlier_results(dtype):
    for pattern in sparse_and_full():
        q, k, v = random_tensors(*[(1, 2, 315, 8)] * 3, dtype=dtype)
        out = attend(q, k, v, pattern=pattern)
        gradients = torch.autograd.grad(out[:, :, :101].float().square().sum(), (q, k, v))
        assert all((grad[:, :, 101:] == 0).all() and (grad[:, :, 1:101] != 0).any() for grad in gradients)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [1, 16, 63, 200])
def test_a_shorter_document_gets_the_bits_of_the_longer_one_s_first_rows(dtype, length):
    """Lists of the longest document, of which a shorter one takes the first: what has been written stays as it is."""
    for longest in sparse_and_full():
        count = -(-length // 16)
        shorter = BlockPattern.from_counts(longest.counts()[:, :count, :count], block_size=16).causal()
        q, k, v = (x.detach() for x in random_tensors(*[(1, 2, 320, 8)] * 3, dtype=dtype))
        whole = attend(q, k, v, pattern=longest)
        first = attend(*(x[:, :, :length] for x in (q, k, v)), pattern=shorter)
        assert torch.equal(first, whole[:, :, :length])


def test_a_query_whose_earlier_keys_are_all_masked_gets_zero():
    for backend in BACKENDS:
        for pattern in sparse_and_full():
            q, k, v = random_tensors(*[(1, 2, 320, 8)] * 3)
            mask = torch.arange(320)[None] >= 37
            out = attend(q, k, v, pattern=pattern, key_mask=mask, backend=backend)
            gradients = torch.autograd.grad(out.sum(), (q, k, v))
            assert (out[:, :, :37] == 0).all()
            assert (out[:, :, 37] == v[:, :, 37]).all()
            assert all(torch.isfinite(grad).all() and (grad[:, :, :37] == 0).all() for grad in gradients)


def test_native_says_that_gathered_serves_causal_patterns():
    pattern = PatternSpec(block_size=16).build(num_blocks=2, num_heads=1).causal()
    (q,) = random_tensors((1, 1, 32, 8), dtype=torch.float32)
    with pytest.raises(BackendUnavailable, match=r"it computes no causal patterns; gathered does"):
        attend(q, q, q, pattern=pattern, backend="native")


def test_gradcheck():
    pattern = PatternSpec(block_size=4, window_blocks=1, random_blocks=1).build(num_blocks=4, num_heads=1).causal()
    tensors = random_tensors(*[(1, 1, 15, 2)] * 3)
    torch.autograd.gradcheck(lambda q, k, v: attend(q, k, v, pattern=pattern, backend="gathered"), tensors)
