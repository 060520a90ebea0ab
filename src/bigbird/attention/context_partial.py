"""Attention of queries over some of their keys: what a rank computes of a softmax that is spread over several.

    over some keys      out, log_sum    = attend(q, k, v)          log_sum = log of the sum of the weights
    over all            merged          = out and log_sum of several ranks, joined (`gathered.merge`)
    back, at each rank  the gradients that flow through its own keys, from the merged out and log_sum

The backends that keep the log-sum anyway serve this: triton, native and gathered.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from bigbird.attention import api, gathered, native_cpu
from bigbird.attention.api import Backend
from bigbird.attention.pattern import BlockPattern
from bigbird.errors import BackendUnavailable


class Problem(NamedTuple):
    """q: [batch, heads, query_length, head_dim], k, v: [batch, heads, key_length, head_dim]; see `api`."""

    q: Tensor
    k: Tensor
    v: Tensor
    pattern: BlockPattern
    key_mask: Tensor | None
    scale: float


class Partial(NamedTuple):
    """What `attend` found.

    out      [batch, heads, query_length, head_dim], 0 where a query sees no key
    log_sum  float32 or float64 [batch, heads, query_length], -inf where a query sees no key
    softmax  the backend's own record of the weights, for `gradients`; None where log_sum is all it needs
    """

    out: Tensor
    log_sum: Tensor
    softmax: Tensor | None


def backend_for(q: Tensor, pattern: BlockPattern, backend: Backend) -> str:
    """The backend that will compute."""
    if backend == "reference":
        raise BackendUnavailable(
            "attention backend 'reference' cannot serve context parallelism: it keeps no sums of weights to merge. "
            "Use 'auto', 'triton', 'native' or 'gathered'."
        )
    return api.choose(q, pattern, backend)


def attend(problem: Problem, backend: str) -> Partial:
    """Attention over the keys at hand."""
    q, _, _, pattern, key_mask, scale = problem
    if not len(pattern.key_blocks):
        precise = q.dtype if q.dtype == torch.float64 else torch.float32
        return Partial(torch.zeros_like(q), q.new_full(q.shape[:3], -torch.inf, dtype=precise), None)
    if backend == "gathered":
        out, log_sum = gathered.attend(*problem[:3], pattern=pattern, key_mask=key_mask, scale=scale)
        return Partial(out, log_sum, None)
    out, softmax = getattr(torch.ops.bigbird, f"{backend}_attention")(*problem[:3], *_lists(problem, backend))
    return Partial(out, _log_sum(softmax, backend, scale), softmax)


def gradients(grad_out: Tensor, problem: Problem, merged: Partial, backend: str) -> tuple[Tensor, Tensor, Tensor]:
    """Of q, k and v, through the keys at hand; `merged` holds out and log_sum over all keys, softmax as it was."""
    q, k, v, pattern, key_mask, scale = problem
    if not len(pattern.key_blocks):
        return torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
    out, log_sum, softmax = merged
    if backend == "gathered":
        return gathered.gradients(grad_out, q, k, v, out, log_sum, pattern=pattern, key_mask=key_mask, scale=scale)
    assert softmax is not None
    changed = (_natural_top(softmax, backend, scale) - log_sum).exp()
    is_own = (log_sum == _log_sum(softmax, backend, scale)) | (_inverse(softmax, backend) == 0)
    inverse = torch.where(is_own, _inverse(softmax, backend), changed)  # bit-equal where no other rank added anything
    softmax = softmax.clone()
    _inverse(softmax, backend).copy_(inverse)
    backward = getattr(torch.ops.bigbird, f"{backend}_attention_backward")
    found: tuple[Tensor, Tensor, Tensor] = backward(grad_out, q, k, v, out, softmax, *_lists(problem, backend))
    return found


def _lists(problem: Problem, backend: str) -> tuple[Tensor | int | float | None, ...]:
    """What follows the tensors in the operators: see `operators.register`."""
    pattern, key_mask, scale = problem[3:]
    if backend == "native":
        return native_cpu.lists_of(pattern, key_mask, scale)
    return pattern.row_starts, pattern.key_blocks, pattern.key_counts, key_mask, pattern.block_size, scale


def _log_sum(softmax: Tensor, backend: str, scale: float) -> Tensor:
    inverse = _inverse(softmax, backend)
    return (_natural_top(softmax, backend, scale) - inverse.log()).masked_fill(inverse == 0, -torch.inf)


def _natural_top(softmax: Tensor, backend: str, scale: float) -> Tensor:
    """The scaled score that weights are relative to: native keeps q . k, triton its multiple for powers of two."""
    return softmax[..., 0] * scale if backend == "native" else softmax[0] * math.log(2)


def _inverse(softmax: Tensor, backend: str) -> Tensor:
    """1 / sum of the weights relative to the top; 0 where a query sees nothing. A view."""
    return softmax[..., 1] if backend == "native" else softmax[1]
