"""The specification: dense softmax attention over the visible keys. Slow, quadratic, made to be read."""

from __future__ import annotations

from torch import Tensor

from bigbird.attention.pattern import BlockPattern


def why_not(_q: Tensor, _pattern: BlockPattern, /) -> str | None:
    """Nothing stands against it."""
    return None


def forward(q: Tensor, k: Tensor, v: Tensor, *, pattern: BlockPattern, key_mask: Tensor | None, scale: float) -> Tensor:
    """See `api.block_sparse_attention`. A value of NaN reaches every query here, seen or not: 0 * NaN is NaN."""
    if key_mask is not None:
        v = v.masked_fill(~key_mask[:, None, :, None], 0)  # 0 * NaN would be NaN
    shares = weights(q, k, pattern=pattern, key_mask=key_mask, scale=scale)
    return (shares @ v).masked_fill((shares == 0).all(3, keepdim=True), 0)


def weights(q: Tensor, k: Tensor, *, pattern: BlockPattern, key_mask: Tensor | None, scale: float) -> Tensor:
    """How much each query takes of each key: [batch, heads, query_length, key_length], rows sum to 1.

    A query that sees no key has zeros.
    """
    query_length, key_length = q.shape[2], k.shape[2]
    counts = pattern.counts().repeat_interleave(pattern.block_size, 1).repeat_interleave(pattern.block_size, 2)
    if pattern.is_causal:
        counts = counts.tril()
    counts = counts[:, :query_length, :key_length].expand(len(q), -1, -1, -1)
    if key_mask is not None:
        hidden = ~key_mask[:, None, :, None]
        k = k.masked_fill(hidden, 0)
        counts = counts.masked_fill(hidden.transpose(2, 3), 0)
    scores = (q * scale) @ k.transpose(2, 3) + counts.to(q.dtype).log()  # log 0 = -inf hides, log 2 counts twice
    seen = (counts > 0).any(3, keepdim=True)
    return scores.masked_fill(~seen, 0).softmax(3).masked_fill(~seen, 0)
