"""Attention of a few single queries to keys that lie ready: what writing token by token needs.

No pattern here: the caller hands over the keys that are seen. Inference only. A C++ kernel where there is one (float32
and bfloat16 on a CPU), which reads the keys once for all queries; PyTorch elsewhere.
"""

from __future__ import annotations

import ctypes

import torch
import torch.nn.functional as F
from torch import Tensor

from bigbird.attention import native_cpu
from bigbird.attention.layout import MIN_ROWS


def row_attention(q: Tensor, k: Tensor, v: Tensor, *, bias: Tensor | None = None) -> Tensor:
    """Softmax attention in which a query's result never depends, in any bit, on how many others are asked with it.

        out[i] = sum over keys j of  w[i, j] * v[j],   w[i, j] ~ exp(q[i] . k[j] / sqrt(head_dim) + bias[j])

    q        [batch, heads, queries, head_dim], any floating type
    k, v     [batch, heads, keys, head_dim], the type and device of q; views of something larger are not copied
    bias     float32 [heads or 1, keys], -inf hides a key, though not a NaN there; at least one must be seen
    Returns  [batch, heads, queries, head_dim]
    """
    if q.device.type == "cpu" and q.dtype in native_cpu.ELEMENTS and _has_kernel():
        return _native(q, k, v, bias)
    # Products of one shape alone: those of other numbers of rows may round differently.
    groups = [F.pad(group, (0, 0, 0, MIN_ROWS - group.shape[2])) for group in q.split(MIN_ROWS, dim=2)]
    return torch.cat([_portable(group, k, v, bias) for group in groups], dim=2)[:, :, : q.shape[2]]


def _portable(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    scores = q @ k.mT
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * q.shape[3] ** -0.5
    if bias is not None:
        scores += bias[:, None]
    attended: Tensor = scores.softmax(3).to(v.dtype) @ v
    return attended


def _has_kernel() -> bool:
    return native_cpu.library() is not None


class _Problem(ctypes.Structure):
    """`RowAttention` of native/problem.h, field by field."""

    _fields_ = (
        ("element", ctypes.c_int32),
        ("num_threads", ctypes.c_int32),
        *((name, ctypes.c_int64) for name in ("batch", "heads", "queries", "keys", "head_dim")),
        ("scale", ctypes.c_float),
        ("bias", ctypes.c_void_p),
        ("bias_head", ctypes.c_int64),
        *((name, native_cpu.View) for name in ("q", "k", "v", "out")),
    )


def _native(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    q, k, v = (x if x.stride(3) == 1 else x.contiguous() for x in (q, k, v))
    bias = None if bias is None else bias.contiguous()
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    problem = _Problem(
        element=native_cpu.ELEMENTS[q.dtype],
        num_threads=torch.get_num_threads(),
        batch=q.shape[0],
        heads=q.shape[1],
        queries=q.shape[2],
        keys=k.shape[2],
        head_dim=q.shape[3],
        scale=q.shape[3] ** -0.5,
        bias=None if bias is None else bias.data_ptr(),
        bias_head=0 if bias is None or len(bias) == 1 else bias.stride(0),
        **{
            name: native_cpu.View(x.data_ptr(), *x.stride()[:3])
            for name, x in zip(("q", "k", "v", "out"), (q, k, v, out), strict=True)
        },
    )
    kernels = native_cpu.library()
    assert kernels is not None
    if kernels.bigbird_row_attention(ctypes.byref(problem)):
        raise MemoryError("row_attention: no memory left for the kernel's scratch space")
    return out
