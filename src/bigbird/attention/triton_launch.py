"""Launches the kernels of `triton_kernels`: memory for the results, arguments, grids. Triton is imported late."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bigbird.attention import triton_config, triton_plan

_MERGED_ROWS = 16  # tokens of a long row whose pieces one program adds
_DELTA_ROWS = 64
_LOG2_E = 1.4426950408889634


class Call:
    """One call's tensors and numbers, in the form the kernels take them."""

    def __init__(
        self,
        q: Tensor,
        k: Tensor,
        row_starts: Tensor,
        key_blocks: Tensor,
        key_counts: Tensor,
        key_mask: Tensor | None,
        block_size: int,
        scale: float,
    ) -> None:
        self.batch, self.heads, self.query_length, self.head_dim = q.shape
        self.key_length, self.block_size, self.scale = k.shape[2], block_size, scale
        self.query_blocks, self.key_blocks = -(-self.query_length // block_size), -(-self.key_length // block_size)
        self.plan = triton_plan.plan_of(
            row_starts, key_blocks, key_counts, (block_size, self.query_blocks, self.key_blocks)
        )
        self.key_mask = None if key_mask is None else key_mask.contiguous().view(torch.uint8)
        self.heads_share = len(row_starts) - 1 == self.query_blocks
        self.folds = self.batch * self.heads if self.heads_share else self.batch
        self.padded_dim = triton_config.padded_dim(self.head_dim)
        self.all_keys = key_mask is None and self.key_length % block_size == 0
        self.is_half = q.dtype != torch.float32
        self.generation = triton_config.generation_of(q.get_device() if q.is_cuda else None)

    @property
    def plane(self) -> int:
        """Numbers of one plane of the softmax."""
        return self.batch * self.heads * self.query_length

    def parts(self, like: Tensor, work: triton_plan.Work, *width: int) -> Tensor:
        """Room for the parts of long rows: float32 [folds, parts, block_size, ...]."""
        return like.new_empty((self.folds, work.num_parts, self.block_size, *width), dtype=torch.float32)

    def lists(self, work: triton_plan.Work) -> tuple[Tensor, ...]:
        """items, blocks, log2_counts, key_mask; what is absent is never read, any tensor stands for it."""
        counts = work.items if work.log2_counts is None else work.log2_counts
        return work.items, work.blocks, counts, work.items if self.key_mask is None else self.key_mask

    def options(self, kernel: str, work: triton_plan.Work) -> dict[str, Any]:
        """Compile-time arguments of a kernel over tiles."""
        config = triton_config.config_of(
            kernel,
            block_size=self.block_size,
            head_dim=self.padded_dim,
            is_half=self.is_half,
            is_whole=self.all_keys,
            generation=self.generation,
        )
        options = {
            **self.shape(),
            "HAS_COUNTS": work.log2_counts is not None,
            "ALL_KEYS": self.all_keys,
            "HAS_MASK": self.key_mask is not None,
            "ROWS": config.rows,
            "TILE": config.tile,
            "PRECISION": "tf32" if self.is_half else "ieee",  # of products of float32 alone
            "num_warps": config.warps,
            "num_stages": config.stages,
        }
        if kernel == "key_value_gradient":
            options["ALL_QUERIES"] = self.query_length % self.block_size == 0
        return options if config.registers is None else options | {"maxnreg": config.registers}

    def shape(self, **more: int) -> dict[str, Any]:
        """Compile-time arguments of every kernel over rows."""
        return {
            "HEADS_SHARE": self.heads_share,
            "BLOCK": self.block_size,
            "HEAD_DIM": self.head_dim,
            "BLOCK_D": self.padded_dim,
            "enable_fp_fusion": True,  # said, because the default of Triton changes
            **more,
        }


def forward(q: Tensor, k: Tensor, v: Tensor, *lists: Any) -> tuple[Tensor, Tensor]:
    """(q, k, v, *lists) -> (out, softmax), as `operators.register` has it."""
    from bigbird.attention import triton_kernels as kernels

    out, softmax = forward_results(q, k, v)
    q, k, v = map(_with_dense_rows, (q, k, v))
    call = Call(q, k, *lists)
    work = call.plan.by_query
    parts = [call.parts(q, work, call.padded_dim), call.parts(q, work), call.parts(q, work)]
    options = call.options("attend", work)
    items, *others = call.lists(work)
    with torch.cuda.device_of(q):
        kernels.attend[len(items) * call.folds, call.block_size // options["ROWS"]](
            q, k, v, out, softmax, *parts, items, *others,
            *_strides(q, k, v, out),
            len(items), work.num_parts, call.heads, call.query_blocks, call.plane, call.query_length, call.key_length,
            call.scale * _LOG2_E,
            **options,
        )  # fmt: skip
        if len(work.merges):
            kernels.merge_attended[(len(work.merges) * call.folds, call.block_size // _MERGED_ROWS)](
                out, softmax, *parts, work.merges, *_strides(out),
                len(work.merges), work.num_parts, call.heads, call.query_blocks, call.plane, call.query_length,
                **call.shape(ROWS=_MERGED_ROWS),
            )  # fmt: skip
    return out, softmax


def forward_results(q: Tensor, _k: Tensor, _v: Tensor, *_lists: Any) -> tuple[Tensor, Tensor]:
    """Room for what `forward` gives; softmax is float32 [2, batch, heads, query_length], see `triton_kernels`."""
    return _empty_like(q), q.new_empty((2, *q.shape[:3]), dtype=torch.float32)


def backward(
    grad_out: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, softmax: Tensor, *lists: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of q, k and v."""
    gradients = backward_results(grad_out, q, k, v)
    grad_out, q, k, v, out = map(_with_dense_rows, (grad_out, q, k, v, out))
    call = Call(q, k, *lists)
    with torch.cuda.device_of(q):
        delta = _delta(out, grad_out, softmax, call)
        _query_gradient(q, k, v, grad_out, gradients[0], softmax, delta, call)
        _key_value_gradient(q, k, v, grad_out, *gradients[1:], softmax, delta, call)
    return gradients


def backward_results(
    _grad_out: Tensor, q: Tensor, k: Tensor, v: Tensor, *_others: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Room for what `backward` gives."""
    return _empty_like(q), _empty_like(k), _empty_like(v)


def _delta(out: Tensor, grad_out: Tensor, softmax: Tensor, call: Call) -> Tensor:
    from bigbird.attention import triton_kernels as kernels

    delta = torch.empty_like(softmax[0])
    kernels.dot_rows[(-(-call.query_length // _DELTA_ROWS) * call.batch * call.heads,)](
        out, grad_out, delta, *_strides(out, grad_out), call.heads, call.query_length,
        ROWS=_DELTA_ROWS, HEAD_DIM=call.head_dim, BLOCK_D=call.padded_dim, enable_fp_fusion=True,
    )  # fmt: skip
    return delta


def _query_gradient(
    q: Tensor, k: Tensor, v: Tensor, grad_out: Tensor, grad_q: Tensor, softmax: Tensor, delta: Tensor, call: Call
) -> None:
    from bigbird.attention import triton_kernels as kernels

    work = call.plan.by_query
    parts = call.parts(q, work, call.padded_dim)
    options = call.options("query_gradient", work)
    items, *others = call.lists(work)
    kernels.query_gradient[len(items) * call.folds, call.block_size // options["ROWS"]](
        q, k, v, grad_out, grad_q, softmax, delta, parts, items, *others,
        *_strides(q, k, v, grad_out, grad_q),
        len(items), work.num_parts, call.heads, call.query_blocks, call.plane, call.query_length, call.key_length,
        call.scale * _LOG2_E, call.scale,
        **options,
    )  # fmt: skip
    _add_parts(grad_q, parts, work, call, num_blocks=call.query_blocks, scale=call.scale)


def _key_value_gradient(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    grad_out: Tensor,
    grad_k: Tensor,
    grad_v: Tensor,
    softmax: Tensor,
    delta: Tensor,
    call: Call,
) -> None:
    from bigbird.attention import triton_kernels as kernels

    work = call.plan.by_key
    key_parts, value_parts = call.parts(q, work, call.padded_dim), call.parts(q, work, call.padded_dim)
    options = call.options("key_value_gradient", work)
    items, *others = call.lists(work)
    kernels.key_value_gradient[len(items) * call.folds, call.block_size // options["ROWS"]](
        q, k, v, grad_out, grad_k, grad_v, softmax, delta, key_parts, value_parts, items, *others,
        *_strides(q, k, v, grad_out, grad_k, grad_v),
        len(items), work.num_parts, call.heads, call.key_blocks, call.plane, call.query_length, call.key_length,
        call.scale * _LOG2_E, call.scale,
        **options,
    )  # fmt: skip
    _add_parts(grad_k, key_parts, work, call, num_blocks=call.key_blocks, scale=call.scale)
    _add_parts(grad_v, value_parts, work, call, num_blocks=call.key_blocks, scale=1.0)


def _add_parts(
    result: Tensor, parts: Tensor, work: triton_plan.Work, call: Call, *, num_blocks: int, scale: float
) -> None:
    from bigbird.attention import triton_kernels as kernels

    if len(work.merges):
        kernels.add_parts[(len(work.merges) * call.folds, call.block_size // _MERGED_ROWS)](
            result, parts, work.merges, *_strides(result),
            len(work.merges), work.num_parts, call.heads, num_blocks, result.shape[2], scale,
            **call.shape(ROWS=_MERGED_ROWS),
        )  # fmt: skip


def _has_dense_rows(x: Tensor) -> bool:
    return x.stride(3) == 1 or x.shape[3] == 1


def _with_dense_rows(x: Tensor) -> Tensor:
    return x if _has_dense_rows(x) else x.contiguous()


def _empty_like(x: Tensor) -> Tensor:
    """Laid out as x where the kernels can write that: [batch, length, heads, head_dim] in memory stays so."""
    result = torch.empty_like(x)
    return result if _has_dense_rows(result) else torch.empty_like(x, memory_format=torch.contiguous_format)


def _strides(*tensors: Tensor) -> tuple[int, ...]:
    """How far it is to the next batch element, head and row of each."""
    return tuple(stride for x in tensors for stride in x.stride()[:3])
