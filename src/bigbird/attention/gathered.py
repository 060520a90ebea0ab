"""Plain PyTorch on any device: gathers the visible key blocks of many rows and computes them as one batch.

Memory is linear in length: rows are taken a few at a time, long rows in pieces, and the backward pass computes the
weights again from the stored log-sum instead of keeping them. Both passes add in a fixed order, so results repeat.

Shapes inside: `folds` is batch, or batch * heads when all heads share the lists; `rows` and `columns` are query and
key blocks, times the heads when heads differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from bigbird.attention.pattern import BlockPattern
from bigbird.attention.schedule import Step, steps_of

MAX_SCORES = 1 << 19  # scores held at once; measured on two Zen 4 cores, docs/log.md 2026-11-23


def why_not(_q: Tensor, _pattern: BlockPattern, /) -> str | None:
    """Nothing stands against it."""
    return None


def forward(q: Tensor, k: Tensor, v: Tensor, *, pattern: BlockPattern, key_mask: Tensor | None, scale: float) -> Tensor:
    """See `api.block_sparse_attention`. Half-precision input is computed in float32 and rounded once."""
    with torch.autocast(q.device.type, enabled=False):
        blocks = _blocks_of(q, k, v, pattern=pattern, key_mask=key_mask, scale=scale)
        out: Tensor = _BlockAttention.apply(*blocks, pattern)  # type: ignore[no-untyped-call]
        return _from_blocks(out, q).to(q.dtype)


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, pattern: BlockPattern, key_mask: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Output and log of the sum of weights, [batch, heads, query_length]; not differentiable, see `gradients`.

    The log-sum, -inf where a query sees no key, lets results over disjoint sets of keys be joined.
    """
    with torch.autocast(q.device.type, enabled=False):
        blocks = _blocks_of(q, k, v, pattern=pattern, key_mask=key_mask, scale=scale)
        out, log_sum = _attend_all(*blocks, pattern)
        return _from_blocks(out, q).to(q.dtype), _from_blocks(log_sum[..., None], q)[..., 0]


def gradients(
    grad_out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    log_sum: Tensor,
    *,
    pattern: BlockPattern,
    key_mask: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v through the pattern's pairs; out and log_sum may be those over more keys than these."""
    with torch.autocast(q.device.type, enabled=False):
        blocks = _blocks_of(q, k, v, pattern=pattern, key_mask=key_mask, scale=scale)
        precise = blocks.q.dtype
        grad_out, out = (_to_blocks(x.to(precise), pattern) for x in (grad_out, out))
        log_sum = _to_blocks(log_sum.to(precise)[..., None], pattern)[..., 0]
        grad_q, grad_k, grad_v = _differentiate(blocks, grad_out, out, log_sum, pattern)
        grad_q = _from_blocks(grad_q, q) * scale
        return grad_q.to(q.dtype), _from_blocks(grad_k, k).to(k.dtype), _from_blocks(grad_v, v).to(v.dtype)


class _Blocks(NamedTuple):
    """q, k, v: [folds, rows or columns, block_size, head_dim]; q already scaled. is_real: see `_real_keys`."""

    q: Tensor
    k: Tensor
    v: Tensor
    is_real: Tensor | None


def _blocks_of(
    q: Tensor, k: Tensor, v: Tensor, *, pattern: BlockPattern, key_mask: Tensor | None, scale: float
) -> _Blocks:
    precise = q.dtype if q.dtype == torch.float64 else torch.float32
    if key_mask is not None:
        k, v = (x.masked_fill(~key_mask[:, None, :, None], 0) for x in (k, v))  # 0 * NaN would be NaN
    return _Blocks(
        _to_blocks(q.to(precise) * scale, pattern),
        _to_blocks(k.to(precise), pattern),
        _to_blocks(v.to(precise), pattern),
        _real_keys(k, key_mask, pattern),
    )


def _from_blocks(x: Tensor, like: Tensor) -> Tensor:
    """[folds, rows, block_size, any] -> [batch, heads, length, any], batch, heads and length as in `like`."""
    return x.reshape(*like.shape[:2], -1, x.shape[3])[:, :, : like.shape[2]]


def _to_blocks(x: Tensor, pattern: BlockPattern) -> Tensor:
    """[batch, heads, length, any] -> [folds, rows, block_size, any], the last block filled up with zeros."""
    batch, heads, length, width = x.shape
    x = F.pad(x, (0, 0, 0, -length % pattern.block_size))
    folds = batch * heads if pattern.heads_share_lists else batch
    return x.reshape(folds, -1, pattern.block_size, width)


def _real_keys(k: Tensor, key_mask: Tensor | None, pattern: BlockPattern) -> Tensor | None:
    """True where a key is neither masked nor beyond the end: [folds, columns, block_size]; None if all are real."""
    batch, heads, length, _ = k.shape
    if key_mask is None:
        if length % pattern.block_size == 0:
            return None
        key_mask = torch.ones(batch, length, dtype=torch.bool, device=k.device)
    return _to_blocks(key_mask[:, None, :, None].expand(-1, heads, -1, -1), pattern)[..., 0]


class _BlockAttention(torch.autograd.Function):
    """q, k, v, is_real: `_Blocks`; out: [folds, rows, block_size, head_dim]."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, is_real: Tensor | None, pattern: BlockPattern) -> Tensor:
        out, log_sum = _attend_all(q, k, v, is_real, pattern)
        ctx.save_for_backward(q, k, v, is_real, out, log_sum)
        ctx.pattern = pattern
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        *blocks, out, log_sum = ctx.saved_tensors
        with torch.autocast(grad_out.device.type, enabled=False):
            return *_differentiate(_Blocks(*blocks), grad_out, out, log_sum, ctx.pattern), None, None


def _attend_all(
    q: Tensor, k: Tensor, v: Tensor, is_real: Tensor | None, pattern: BlockPattern
) -> tuple[Tensor, Tensor]:
    """Output and log-sum, [folds, rows, block_size], of every row."""
    out = torch.zeros_like(q)
    log_sum = q.new_full(q.shape[:3], -torch.inf)
    for step in _pieces(pattern, folds=len(q)):
        piece, piece_log_sum = _attend(q, k, v, is_real, step, is_causal=pattern.is_causal)
        if not step.is_first:
            piece, piece_log_sum = merge(out[:, step.rows], log_sum[:, step.rows], piece, piece_log_sum)
        out[:, step.rows], log_sum[:, step.rows] = piece, piece_log_sum
    return out, log_sum


def _differentiate(
    blocks: _Blocks, grad_out: Tensor, out: Tensor, log_sum: Tensor, pattern: BlockPattern
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the blocks' q, k and v."""
    log_sum = log_sum.masked_fill(log_sum == -torch.inf, torch.inf)  # a query that sees nothing weighs nothing
    saved = _Saved(*blocks, log_sum, grad_out, (grad_out * out).sum(3), pattern.is_causal)
    grad_q, grad_k, grad_v = (torch.zeros_like(x) for x in blocks[:3])
    for step in _pieces(pattern, folds=len(grad_q)):
        grad_q[:, step.rows] += _query_gradient(saved, step)
    for step in _pieces(pattern.transposed, folds=len(grad_q)):
        key_gradient, value_gradient = _key_and_value_gradient(saved, step)
        grad_k[:, step.rows] += key_gradient
        grad_v[:, step.rows] += value_gradient
    return grad_q, grad_k, grad_v


class _Saved(NamedTuple):
    q: Tensor
    k: Tensor
    v: Tensor
    is_real: Tensor | None
    log_sum: Tensor  # [folds, rows, block_size]
    grad_out: Tensor
    delta: Tensor  # [folds, rows, block_size], sum of grad_out * out
    is_causal: bool


def _pieces(pattern: BlockPattern, *, folds: int) -> Iterator[Step]:
    """The pattern's steps, cut so that no more than MAX_SCORES scores are held at once."""
    for step in steps_of(pattern):
        size = max(1, MAX_SCORES // (folds * step.blocks.shape[1] * pattern.block_size**2))
        for start in range(0, len(step.rows), size):
            part = slice(start, start + size)
            log_counts = None if step.log_counts is None else step.log_counts[part]
            # Not _replace, which torch.compile does not follow.
            yield Step(step.rows[part], step.blocks[part], log_counts, step.is_first, step.num_earlier, step.num_later)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, is_real: Tensor | None, step: Step, *, is_causal: bool
) -> tuple[Tensor, Tensor]:
    """Attention of the step's rows over the step's blocks, and the log of the sum of its weights."""
    scores = _scores(q[:, step.rows], _gather(k, step.blocks), step)
    _hide(scores, is_real, step)
    if is_causal:
        _hide_later(scores, step, is_key=False)
    top = scores.amax(3, keepdim=True).clamp_min_(torch.finfo(scores.dtype).min)  # finite where all is hidden
    weights = scores.sub_(top).exp_()
    total = weights.sum(3, keepdim=True)
    out = (weights @ _gather(v, step.blocks)).div_(total.clamp_min(torch.finfo(scores.dtype).tiny))
    return out, (top + total.log()).squeeze(3)


def merge(out: Tensor, log_sum: Tensor, more: Tensor, more_log_sum: Tensor) -> tuple[Tensor, Tensor]:
    """Join attention over two disjoint sets of keys: outputs [..., head_dim] and their log-sums [...]."""
    total = torch.logaddexp(log_sum, more_log_sum)
    finite = total.masked_fill(total == -torch.inf, 0)
    out = out * (log_sum - finite).exp()[..., None] + more * (more_log_sum - finite).exp()[..., None]
    return out, total


def _query_gradient(saved: _Saved, step: Step) -> Tensor:
    keys = _gather(saved.k, step.blocks)
    scores = _scores(saved.q[:, step.rows], keys, step)
    _hide(scores, saved.is_real, step)
    if saved.is_causal:
        _hide_later(scores, step, is_key=False)
    weights = scores.sub_(saved.log_sum[:, step.rows, :, None]).exp_()
    grad_weights = saved.grad_out[:, step.rows] @ _gather(saved.v, step.blocks).transpose(2, 3)
    return weights.mul_(grad_weights.sub_(saved.delta[:, step.rows, :, None])) @ keys


def _key_and_value_gradient(saved: _Saved, step: Step) -> tuple[Tensor, Tensor]:
    """Here the step's rows are key blocks and its blocks the query blocks that see them."""
    queries, grad_out = _gather(saved.q, step.blocks), _gather(saved.grad_out, step.blocks)
    scores = _scores(saved.k[:, step.rows], queries, step)
    if saved.is_causal:
        _hide_later(scores, step, is_key=True)
    weights = scores.sub_(_gather(saved.log_sum, step.blocks)[:, :, None]).exp_()
    if saved.is_real is not None:
        weights.masked_fill_(~saved.is_real[:, step.rows, :, None], 0)
    value_gradient = weights @ grad_out
    grad_weights = saved.v[:, step.rows] @ grad_out.transpose(2, 3)
    grad_scores = weights.mul_(grad_weights.sub_(_gather(saved.delta, step.blocks)[:, :, None]))
    return grad_scores @ queries, value_gradient


def _scores(rows: Tensor, others: Tensor, step: Step) -> Tensor:
    """[folds, items, block_size, head_dim] x [folds, items, width * block_size, head_dim] -> their products."""
    scores = rows @ others.transpose(2, 3)
    if step.log_counts is not None:
        block_size = others.shape[2] // step.blocks.shape[1]
        scores += step.log_counts.to(scores.dtype).repeat_interleave(block_size, 1)[:, None]
    return scores


def _hide(scores: Tensor, is_real: Tensor | None, step: Step) -> None:
    if is_real is not None:
        scores.masked_fill_(~_gather(is_real, step.blocks)[:, :, None], -torch.inf)


def _hide_later(scores: Tensor, step: Step, *, is_key: bool) -> None:
    """Hide the keys behind their query; is_key: the step's rows are key blocks, its blocks query blocks.

    Rows and columns are as many, so that one head's places lie alike among both.
    """
    size, width = scores.shape[2], step.blocks.shape[1]
    first, last = (0, width - step.num_later) if is_key else (step.num_earlier, width)
    within = torch.arange(size, device=scores.device)
    row = step.rows[:, None] * size + within
    column = (step.blocks[:, first:last, None] * size + within).flatten(1)
    later = column[:, None] < row[:, :, None] if is_key else column[:, None] > row[:, :, None]
    scores[..., first * size : last * size].masked_fill_(later, -torch.inf)


def _gather(x: Tensor, blocks: Tensor) -> Tensor:
    """[folds, columns, block_size, ...] -> [folds, items, width * block_size, ...]"""
    return x[:, blocks].flatten(2, 3)
