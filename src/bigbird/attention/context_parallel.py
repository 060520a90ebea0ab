"""Attention over a row of tokens that is divided over the ranks of a process group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from bigbird.attention import context_exchange as exchange
from bigbird.attention import context_partial as partial
from bigbird.attention.api import Backend
from bigbird.attention.context_partial import Partial, Problem
from bigbird.attention.context_plan import ContextPlan
from bigbird.attention.gathered import merge
from bigbird.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


def context_parallel_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    plan: ContextPlan,
    group: ProcessGroup | None = None,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    backend: Backend = "auto",
) -> Tensor:
    """`block_sparse_attention` where each rank of `group` holds its shard of the row and gets its shard of the result.

    q         [batch, heads, len(plan.query_places), head_dim]: this rank's queries
    k, v      [batch, heads, len(plan.key_places), head_dim]: this rank's keys and values
    plan      this rank's part of the pattern: `context_plan(pattern, rank=…, num_ranks=…)`
    key_mask  bool [batch, plan.key_length] of the whole row, alike on all ranks; True = real
    Returns   [batch, heads, len(plan.query_places), head_dim]

    Every rank calls it at the same point, and runs its backward pass. Results and gradients are those of one process
    but for the order of additions, which is fixed: they repeat bit for bit. Forward one exchange brings keys, values
    and queries, a second takes the partial results home; backward likewise. No rank ever holds more than its shard,
    what it fetches and what it helps with.
    """
    _check(q, k, v, plan, key_mask)
    if exchange.group_size(group) != plan.num_ranks:
        raise ConfigError(
            f"the plan is for {plan.num_ranks} ranks, the group has {exchange.group_size(group)}. Connect the "
            f"processes with torch.distributed.init_process_group, and make the plan for as many as share the row."
        )
    job = _Job(
        plan=plan,
        group=group,
        key_mask=_local_mask(plan, key_mask, k),
        scale=q.shape[3] ** -0.5 if scale is None else scale,
        backend=partial.backend_for(q, plan.local, backend),
    )
    out: Tensor = _ContextAttention.apply(q, k, v, job)  # type: ignore[no-untyped-call]
    return out


class _Job(NamedTuple):
    """key_mask: bool [batch, local keys] over the local key tiles."""

    plan: ContextPlan
    group: ProcessGroup | None
    key_mask: Tensor | None
    scale: float
    backend: str

    def problem(self, q: Tensor, k: Tensor, v: Tensor) -> Problem:
        """q, k, v: local tiles."""
        return Problem(_as_row(q), _as_row(k), _as_row(v), self.plan.local, self.key_mask, self.scale)


class _ContextAttention(torch.autograd.Function):
    """q, k, v, out: [batch, heads, length, head_dim] of this rank. Tiles: [tiles, batch, block_size, width]."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, job: _Job) -> Tensor:
        plan = job.plan
        with torch.autocast(q.device.type, enabled=False):
            own_q, own_k, own_v = (_to_tiles(x, plan.block_size) for x in (q, k, v))
            parts = ((own_k, plan.keys), (own_v, plan.keys), (own_q, plan.queries))
            fetched_k, fetched_v, helped_q = exchange.send(parts, job.group)
            all_q = torch.cat((own_q, helped_q))
            all_k, all_v = _placed(own_k, fetched_k, plan), _placed(own_v, fetched_v, plan)
            found = partial.attend(job.problem(all_q, all_k, all_v), job.backend)
            out, log_sum = _merged(found, job)
        ctx.save_for_backward(all_q, all_k, all_v, out, log_sum, found.softmax)
        ctx.job = job
        return _from_tiles(out, plan.num_heads, len(plan.query_places))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        all_q, all_k, all_v, out, log_sum, softmax = ctx.saved_tensors
        job: _Job = ctx.job
        plan = job.plan
        with torch.autocast(grad_out.device.type, enabled=False):
            own = (_to_tiles(grad_out, plan.block_size), out, log_sum)
            helped = exchange.send([(tiles, plan.queries) for tiles in own], job.group)
            grad, out, log_sum = (_as_row(torch.cat(both)) for both in zip(own, helped, strict=True))
            merged = Partial(out, log_sum[..., 0], softmax)
            found = partial.gradients(grad, job.problem(all_q, all_k, all_v), merged, job.backend)
            tiles = [_to_tiles(x, plan.block_size) for x in found]
            transfers = (plan.queries, plan.keys, plan.keys)
            home = exchange.send_home(list(zip(tiles, transfers, strict=True)), job.group)
            grad_q = exchange.summed(tiles[0][: plan.num_own_rows], home[0], plan.queries)
            grad_k, grad_v = (
                exchange.summed(x[plan.own_keys], more, plan.keys) for x, more in zip(tiles[1:], home[1:], strict=True)
            )
        return (
            _from_tiles(grad_q, plan.num_heads, len(plan.query_places)),
            _from_tiles(grad_k, plan.num_heads, len(plan.key_places)),
            _from_tiles(grad_v, plan.num_heads, len(plan.key_places)),
            None,
        )


def _merged(found: Partial, job: _Job) -> tuple[Tensor, Tensor]:
    """Output and log-sum of the own rows over all keys: what this rank found, then rank after rank what the others."""
    plan = job.plan
    out, log_sum = _to_tiles(found.out, plan.block_size), _to_tiles(found.log_sum[..., None], plan.block_size)
    home = exchange.send_home(((out, plan.queries), (log_sum, plan.queries)), job.group)
    more_out, more_log_sum = (x.to(log_sum.dtype) for x in home)
    out, log_sum = out[: plan.num_own_rows].to(log_sum.dtype), log_sum[: plan.num_own_rows]
    for part in exchange.returns(plan.queries):
        rows = plan.queries.sent[part]
        merged, total = merge(out[rows], log_sum[rows, ..., 0], more_out[part], more_log_sum[part, ..., 0])
        out[rows], log_sum[rows] = merged, total[..., None]
    return out.to(found.out.dtype), log_sum


def _placed(own: Tensor, fetched: Tensor, plan: ContextPlan) -> Tensor:
    """Own and fetched key tiles where the local pattern looks for them."""
    tiles = own.new_empty(len(plan.key_tiles), *own.shape[1:])
    tiles[plan.own_keys], tiles[plan.keys.places] = own, fetched
    return tiles


def _to_tiles(x: Tensor, block_size: int) -> Tensor:
    """[batch, heads, length, width] -> [heads * blocks, batch, block_size, width], the last block filled with zeros."""
    batch, heads, length, width = x.shape
    num_blocks = -(-length // block_size)
    x = F.pad(x, (0, 0, 0, num_blocks * block_size - length))
    return x.reshape(batch, heads * num_blocks, block_size, width).transpose(0, 1)


def _from_tiles(tiles: Tensor, num_heads: int, length: int) -> Tensor:
    """[heads * blocks, batch, block_size, width] -> [batch, heads, length, width]."""
    num_tiles, batch, block_size, width = tiles.shape
    return tiles.transpose(0, 1).reshape(batch, num_heads, num_tiles // num_heads * block_size, width)[:, :, :length]


def _as_row(tiles: Tensor) -> Tensor:
    """[tiles, batch, block_size, width] -> [batch, 1, tiles * block_size, width]: one head after the other."""
    num_tiles, batch, block_size, width = tiles.shape
    return tiles.transpose(0, 1).reshape(batch, 1, num_tiles * block_size, width)


def _local_mask(plan: ContextPlan, key_mask: Tensor | None, k: Tensor) -> Tensor | None:
    """Bool [batch, local keys]: True where a key of the local tiles is real; None when all are."""
    filling = -plan.key_length % plan.block_size
    if key_mask is None:
        if not filling:
            return None
        key_mask = torch.ones(len(k), plan.key_length, dtype=torch.bool, device=k.device)
    blocks = F.pad(key_mask, (0, filling)).view(len(k), -1, plan.block_size)
    return blocks[:, plan.key_tiles].flatten(1)


def _check(q: Tensor, k: Tensor, v: Tensor, plan: ContextPlan, key_mask: Tensor | None) -> None:
    queries = (len(q), plan.num_heads, len(plan.query_places), q.shape[-1])
    keys = (len(q), plan.num_heads, len(plan.key_places), q.shape[-1])
    if (q.shape, k.shape, v.shape) != (queries, keys, keys):
        raise ShapeError(
            f"this rank owns {len(plan.query_places)} queries and {len(plan.key_places)} keys: q must be [batch, "
            f"{plan.num_heads}, {len(plan.query_places)}, head_dim] and k, v [batch, {plan.num_heads}, "
            f"{len(plan.key_places)}, head_dim], got q {list(q.shape)}, k {list(k.shape)}, v {list(v.shape)}"
        )
    if not q.is_floating_point() or not q.dtype == k.dtype == v.dtype:
        raise ShapeError(f"q, k and v must share one floating type, got {q.dtype}, {k.dtype} and {v.dtype}")
    if not q.device == k.device == v.device == plan.device:
        raise ShapeError(
            f"q, k, v and the plan must lie on one device, got {q.device}, {k.device}, {v.device} and {plan.device}. "
            f"Move the plan with plan.to(q.device)."
        )
    if key_mask is not None and (
        key_mask.shape != (len(k), plan.key_length) or key_mask.dtype != torch.bool or key_mask.device != k.device
    ):
        raise ShapeError(
            f"key_mask must be bool [batch, key_length of the whole row] = {[len(k), plan.key_length]} on {k.device}, "
            f"True = real, got {key_mask.dtype} {list(key_mask.shape)} on {key_mask.device}"
        )
