"""The one entrance to attention: what it means stands here, who computes it is chosen here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from bigbird.attention import gathered, native_cpu, reference, self_check, triton_gpu
from bigbird.attention.pattern import BlockPattern
from bigbird.attention.triton_config import padded_dim
from bigbird.errors import BackendUnavailable, ShapeError

Backend = Literal["auto", "triton", "native", "gathered", "reference"]

_AUTO_ORDER = ("triton", "native", "gathered")  # fastest first


class _Implementation(Protocol):
    def why_not(self, q: Tensor, pattern: BlockPattern, /) -> str | None: ...

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, pattern: BlockPattern, key_mask: Tensor | None, scale: float
    ) -> Tensor: ...


_IMPLEMENTATIONS: Mapping[str, _Implementation] = {
    "triton": triton_gpu,
    "native": native_cpu,
    "gathered": gathered,
    "reference": reference,
}


def block_sparse_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    pattern: BlockPattern,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    backend: Backend = "auto",
) -> Tensor:
    """Softmax attention in which each block of queries sees only the key blocks its pattern lists.

        out[i] = sum over visible keys j of  w[i, j] * v[j],   w[i, j] ~ count[i, j] * exp(scale * q[i] . k[j])

    q                [batch, heads, query_length, head_dim], any floating type
    k, v             [batch, heads, key_length, head_dim], the type and device of q
    pattern          for ceil(query_length / block_size) query blocks and as many key blocks as the keys fill; the last
                     block may be partly empty. The same for every example; documents of different lengths are packed
                     into one row (`pack_patterns`).
                     Where it `is_causal`, query i sees of these keys only those with j <= i, and nothing finite in a
                     later token changes a bit of the result (NaN or infinity may, within the query's own block).
    key_mask         [batch, key_length] bool, True = real. What stands at a masked key or value, NaN included, never
                     reaches the result or a gradient.
    scale            what q . k is multiplied by; 1 / sqrt(head_dim) unless given
    backend          who computes: "triton" (NVIDIA GPUs), "native" (C++ on the CPU, float32 and bfloat16), "gathered"
                     (PyTorch on any device), "reference" (dense, the specification), or "auto", the first of triton,
                     native and gathered that can. Triton's kernels have never run on a GPU: before "auto" first uses
                     them on a device, for a dtype, head_dim and block_size, it compares them on small problems with
                     gathered; where they fail it says so in a warning and passes them over until the process ends.
                     A backend asked for by name is not tried out and never hands over to another.
    Returns          [batch, heads, query_length, head_dim]; exactly 0 for a query that sees no key

    Cost: O(pairs * block_size**2 * head_dim) time, O(length * head_dim) memory, forward and backward, except for the
    reference. There is no second derivative and no dropout on the weights.   (Zaheer et al. 2020, section 2)
    """
    _check(q, k, v, pattern, key_mask)
    implementation = _IMPLEMENTATIONS[choose(q, pattern, backend)]
    scale = q.shape[3] ** -0.5 if scale is None else scale
    return implementation.forward(q, k, v, pattern=pattern, key_mask=key_mask, scale=scale)


def backend_report(q: Tensor, pattern: BlockPattern) -> Iterator[tuple[str, str | None]]:
    """Every backend with the reason why it cannot serve the call, or None; in the order "auto" tries them.

    For triton also the reason why "auto" passes it over although it could be asked for by name; tries it out for that.
    """
    for name, implementation in _IMPLEMENTATIONS.items():
        reason = implementation.why_not(q, pattern)
        if reason is None and (finding := _untrusted(name, q, pattern, aloud=False)):
            reason = f"it {finding}; so auto passes it over, and only its name calls it"
        yield name, reason


def choose(q: Tensor, pattern: BlockPattern, backend: Backend) -> str:
    """The name of the backend that serves the call; BackendUnavailable when the one asked for cannot."""
    if backend not in get_args(Backend):
        raise ShapeError(f"backend must be one of {', '.join(get_args(Backend))}, got {backend!r}")
    for name in _AUTO_ORDER if backend == "auto" else (backend,):
        reason = _IMPLEMENTATIONS[name].why_not(q, pattern)
        if reason is None and not (backend == "auto" and _untrusted(name, q, pattern, aloud=True)):
            return name
    raise BackendUnavailable(f"attention backend {backend!r} cannot serve this call: {reason}")


def _untrusted(name: str, q: Tensor, pattern: BlockPattern, *, aloud: bool) -> str:
    """What keeps "auto" from a backend that can serve the call; aloud: warns of it, once."""
    if name != "triton":
        return ""
    return self_check.why_not(q.device, q.dtype, padded_dim(q.shape[3]), pattern.block_size, aloud=aloud)


def _check(q: Tensor, k: Tensor, v: Tensor, pattern: BlockPattern, key_mask: Tensor | None) -> None:
    if q.ndim != 4 or k.ndim != 4 or v.shape != k.shape or q.shape[:2] != k.shape[:2] or q.shape[3] != k.shape[3]:
        raise ShapeError(
            f"q must be [batch, heads, query_length, head_dim] and k, v [batch, heads, key_length, head_dim], "
            f"got q {list(q.shape)}, k {list(k.shape)}, v {list(v.shape)}"
        )
    if q.shape[0] < 1 or q.shape[3] < 1:
        raise ShapeError(f"batch and head_dim must be at least 1, got q {list(q.shape)}")
    if not q.is_floating_point() or not q.dtype == k.dtype == v.dtype:
        raise ShapeError(f"q, k and v must share one floating type, got {q.dtype}, {k.dtype} and {v.dtype}")
    lists_on = pattern.key_blocks.device  # torch.compile does not see through the property
    if not q.device == k.device == v.device == lists_on:
        raise ShapeError(
            f"q, k, v and the pattern must lie on one device, got {q.device}, {k.device}, {v.device} and "
            f"{lists_on}. Move the pattern with pattern.to(q.device)."
        )
    if q.shape[1] != pattern.num_heads:
        raise ShapeError(f"the pattern is for {pattern.num_heads} heads, q has {q.shape[1]}")
    _check_length("query", q.shape[2], pattern.num_query_blocks, pattern.block_size)
    _check_length("key", k.shape[2], pattern.num_key_blocks, pattern.block_size)
    if key_mask is not None and (
        key_mask.shape != (k.shape[0], k.shape[2]) or key_mask.dtype != torch.bool or key_mask.device != k.device
    ):
        raise ShapeError(
            f"key_mask must be bool [batch, key_length] = {[k.shape[0], k.shape[2]]} on {k.device}, True = real, "
            f"got {key_mask.dtype} {list(key_mask.shape)} on {key_mask.device}"
        )


def _check_length(side: str, length: int, num_blocks: int, block_size: int) -> None:
    if length < 1:
        raise ShapeError(f"{side}_length must be at least 1, got {length}")
    if -(-length // block_size) != num_blocks:
        raise ShapeError(
            f"{side}_length {length} fills {-(-length // block_size)} blocks of {block_size}, but the pattern is for "
            f"{num_blocks}. Build it with num_blocks={-(-length // block_size)}, or pad and mask the {side}s."
        )
