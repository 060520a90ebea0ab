"""One layer of the encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from bigbird.attention import BlockPattern
from bigbird.attention.context_shard import ShardPattern
from bigbird.model.activation import ACTIVATIONS, Activation
from bigbird.model.attention_layer import SelfAttention, Visibility
from bigbird.model.linear import Linear

Norm = Literal["post", "pre"]
Layer = Callable[[Tensor], Tensor]
_ROWS_AT_ONCE = 512


class FeedForward(nn.Module):
    """hidden -> inner -> hidden, at every place alike."""

    def __init__(self, *, hidden_size: int, inner_size: int, activation: Activation) -> None:
        super().__init__()
        self.inner = Linear(hidden_size, inner_size)
        self.output = Linear(inner_size, hidden_size)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """[total, hidden] -> [total, hidden]."""
        is_to_be_kept = torch.is_grad_enabled() or torch.compiler.is_compiling()
        if is_to_be_kept or x.device.type != "cpu" or len(x) < 2 * _ROWS_AT_ONCE:
            return self._transform(x)
        # The inner rows of a few tokens stay in the cache, and nothing of [total, inner] is ever allocated.
        return torch.cat([self._transform(rows) for rows in x.tensor_split(len(x) // _ROWS_AT_ONCE)])

    def _transform(self, x: Tensor) -> Tensor:
        projected: Tensor = self.output(self.activation(self.inner(x)))
        return projected


class EncoderBlock(nn.Module):
    """Attention, then feed-forward, each with a residual.

    norm "post": x = norm(x + f(x)), as BERT;  "pre": x = x + f(norm(x)), as Pegasus
    """

    def __init__(
        self, attention: SelfAttention, feed_forward: FeedForward, *, norm: Norm, dropout: float, layer_norm_eps: float
    ) -> None:
        super().__init__()
        hidden_size = attention.output.out_features
        self.attention = attention
        self.attention_norm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.feed_forward = feed_forward
        self.feed_forward_norm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.dropout = nn.Dropout(dropout)
        self.norm = norm

    def forward(self, x: Tensor, pattern: BlockPattern | ShardPattern, visibility: Visibility) -> Tensor:
        """[total, hidden] -> [total, hidden]."""
        return self.fed(self.attended(x, lambda y: self.attention(y, pattern, visibility)))

    def attended(self, x: Tensor, attend: Layer) -> Tensor:
        """The block's first half, with whatever stands for its attention."""
        return with_residual(x, attend, self.attention_norm, norm=self.norm, dropout=self.dropout)

    def fed(self, x: Tensor) -> Tensor:
        """The block's second half."""
        return with_residual(x, self.feed_forward, self.feed_forward_norm, norm=self.norm, dropout=self.dropout)


def with_residual(x: Tensor, layer: Layer, layer_norm: nn.LayerNorm, *, norm: Norm, dropout: nn.Dropout) -> Tensor:
    """What `EncoderBlock` says of post and pre: [total, hidden] -> [total, hidden]."""
    changed: Tensor = dropout(layer(layer_norm(x) if norm == "pre" else x))
    return x + changed if norm == "pre" else layer_norm(x + changed)
