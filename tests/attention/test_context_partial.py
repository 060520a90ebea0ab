"""What two ranks find of a row they share merges to the whole, and differentiates given the whole softmax."""

import pytest
import torch

from bigbird.attention import BlockPattern, block_sparse_attention, context_partial, gathered, native_cpu
from bigbird.attention.context_partial import Problem

NO_LIBRARY = pytest.mark.skipif(native_cpu.instruction_set() is None, reason="the native library is not built")
BACKENDS = [("gathered", torch.float64, 1e-12), pytest.param("native", torch.float32, 2e-5, marks=NO_LIBRARY)]


def halves_of(q, k, v, table, key_mask, scale):
    """The problem of the first six key blocks, and of the others."""
    for keys, blocks in ((slice(96), slice(6)), (slice(96, None), slice(6, None))):
        pattern = BlockPattern.from_counts(table[..., blocks], block_size=16)
        mask = None if key_mask is None else key_mask[:, keys]
        yield Problem(q, k[:, :, keys], v[:, :, keys], pattern, mask, scale)


@pytest.mark.parametrize(("backend", "dtype", "atol"), BACKENDS)
@pytest.mark.parametrize(("scale", "spread"), [(0.3, 1.0), (-0.3, 1.0), (0.0, 1.0), (1.0, 10.0)])
@pytest.mark.parametrize("masked", [False, True])
def test_halves_merge_and_differentiate(backend, dtype, atol, scale, spread, masked):
    generator = torch.Generator().manual_seed(0)
    q, grad_out = (torch.randn(2, 2, 80, 8, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2))
    k, v = (torch.randn(2, 2, 192, 8, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2))
    q = q * spread  # 10: here and there one half's weights vanish beside the other's
    table = torch.randint(0, 3, (2, 5, 12), generator=generator)
    table[:, 2, :6], table[:, 4] = 0, 0  # one row sees nothing of one half, one nothing at all
    mask = torch.rand(2, 192, generator=generator) < 0.7 if masked else None
    inputs = [x.clone().requires_grad_() for x in (q, k, v)]
    pattern = BlockPattern.from_counts(table, block_size=16)
    right = block_sparse_attention(*inputs, pattern=pattern, key_mask=mask, scale=scale, backend=backend)
    expected = torch.autograd.grad(right, inputs, grad_out)

    halves = list(halves_of(q, k, v, table, mask, scale))
    found = [context_partial.attend(half, backend) for half in halves]
    out, log_sum = gathered.merge(found[0].out, found[0].log_sum, found[1].out, found[1].log_sum)
    back = [
        context_partial.gradients(grad_out, half, one._replace(out=out, log_sum=log_sum), backend)
        for half, one in zip(halves, found, strict=True)
    ]
    ours = (back[0][0] + back[1][0], *(torch.cat(pair, 2) for pair in zip(*(x[1:] for x in back), strict=True)))
    for value, true in zip((out, *ours), (right.detach(), *expected), strict=True):
        torch.testing.assert_close(value, true, rtol=0, atol=atol * float(true.abs().max()))


@pytest.mark.parametrize("backend", ["gathered", pytest.param("native", marks=NO_LIBRARY)])
def test_no_key_at_hand_is_no_weight(backend):
    q, k = torch.randn(1, 2, 16, 4), torch.randn(1, 2, 0, 4)
    pattern = BlockPattern(
        block_size=16, num_heads=2, num_query_blocks=1, num_key_blocks=0,
        row_starts=torch.zeros(2, dtype=torch.int64), key_blocks=torch.zeros(0, dtype=torch.int64),
        key_counts=torch.zeros(0, dtype=torch.int64),
    )  # fmt: skip
    problem = Problem(q, k, k, pattern, None, 1.0)
    found = context_partial.attend(problem, backend)
    assert not found.out.any() and bool((found.log_sum == -torch.inf).all())
    gradients = context_partial.gradients(q, problem, found, backend)
    assert [x.shape for x in gradients] == [q.shape, k.shape, k.shape] and not gradients[0].any()
