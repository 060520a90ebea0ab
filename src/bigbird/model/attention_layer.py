"""Projections around attention."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from bigbird.attention import Backend, BlockPattern, block_sparse_attention, context_parallel_attention
from bigbird.attention.context_shard import ShardPattern
from bigbird.attention.pattern import opaque
from bigbird.model.embeddings import rotate
from bigbird.model.linear import Linear

AttentionBias = bool | Literal["output"]


class Visibility(NamedTuple):
    """What every layer needs to know of the packed documents.

    key_mask  bool [1, total], True = real token; of the whole row, also where a rank holds a part of it
    rotary    cosine and sine tables when positions are rotary
    backend   who computes attention
    """

    key_mask: Tensor
    rotary: tuple[Tensor, Tensor] | None
    backend: Backend


class SelfAttention(nn.Module):
    """Multi-head block-sparse self-attention over packed documents.

    bias  True: all four projections have one, False: none has, "output": that behind attention alone
    """

    def __init__(self, *, hidden_size: int, num_heads: int, bias: AttentionBias) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = Linear(hidden_size, 3 * hidden_size, bias=bias is True)
        self.output = Linear(hidden_size, hidden_size, bias=bias is not False)

    def forward(self, x: Tensor, pattern: BlockPattern | ShardPattern, visibility: Visibility) -> Tensor:
        """x: [total, hidden] -> [total, hidden]. With a rank's part of a pattern, all ranks call it together."""
        q, k, v = self.heads(x, visibility)
        attended = _attend(q, k, v, pattern, visibility)
        projected: Tensor = self.output(attended[0].transpose(0, 1).reshape(x.shape))
        return projected

    def heads(self, x: Tensor, visibility: Visibility) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as attention takes them: [total, hidden] -> each [1, heads, total, head_dim]."""
        total, hidden_size = x.shape
        # Views; chunk() puts the gradients together in one copy.
        heads = (1, total, self.num_heads, hidden_size // self.num_heads)
        q, k, v = (part.view(heads).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=1))
        if visibility.rotary is not None:
            q, k = rotate(q, visibility.rotary), rotate(k, visibility.rotary)
        return q, k, v


def _attend(q: Tensor, k: Tensor, v: Tensor, pattern: BlockPattern | ShardPattern, visibility: Visibility) -> Tensor:
    key_mask, backend = visibility.key_mask, visibility.backend
    if isinstance(pattern, ShardPattern):
        plan, group = pattern
        attend = _uncompiled() if torch.compiler.is_compiling() else context_parallel_attention
        return attend(q, k, v, plan=plan, group=group, key_mask=key_mask, backend=backend)
    return block_sparse_attention(q, k, v, pattern=pattern, key_mask=key_mask, backend=backend)


@opaque
@lru_cache(maxsize=1)
def _uncompiled() -> Callable[..., Tensor]:
    """What torch.compile leaves as it is: it cannot follow tensors to other processes."""
    function: Callable[..., Tensor] = torch.compiler.disable(context_parallel_attention)
    return function
