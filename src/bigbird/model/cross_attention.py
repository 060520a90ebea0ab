"""A decoder's look at the document it writes about."""

from __future__ import annotations

from torch import Tensor, nn

from bigbird.attention import BlockPattern, block_sparse_attention
from bigbird.model.attention_layer import AttentionBias, Visibility
from bigbird.model.blocks import Layer, Norm, with_residual
from bigbird.model.linear import Linear


class CrossAttention(nn.Module):
    """Multi-head attention of target tokens to the encoded source.

    bias  as in `SelfAttention`
    """

    def __init__(self, *, hidden_size: int, num_heads: int, bias: AttentionBias) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = Linear(hidden_size, hidden_size, bias=bias is True)
        self.keys_values = Linear(hidden_size, 2 * hidden_size, bias=bias is True)
        self.output = Linear(hidden_size, hidden_size, bias=bias is not False)

    def forward(self, x: Tensor, encoded: Tensor, pattern: BlockPattern, visibility: Visibility) -> Tensor:
        """x: [target total, hidden], encoded: [source total, hidden] -> [target total, hidden].

        pattern     query blocks of the targets, key blocks of the sources
        visibility  of the sources; positions do not turn queries and keys here
        """
        q = self.heads(self.query(x))
        k, v = (self.heads(part) for part in self.keys_values(encoded).chunk(2, dim=1))
        attended = block_sparse_attention(
            q, k, v, pattern=pattern, key_mask=visibility.key_mask, backend=visibility.backend
        )
        projected: Tensor = self.output(attended[0].transpose(0, 1).reshape(x.shape))
        return projected

    def heads(self, x: Tensor) -> Tensor:
        """[total, hidden] -> a view of it, [1, heads, total, head_dim]."""
        return x.view(1, len(x), self.num_heads, -1).transpose(1, 2)


class CrossBlock(nn.Module):
    """Cross-attention with its norm and residual: what a decoder's layer has beside an encoder's."""

    def __init__(self, attention: CrossAttention, *, norm: Norm, dropout: float, layer_norm_eps: float) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = nn.LayerNorm(attention.output.out_features, eps=layer_norm_eps)
        self.dropout = nn.Dropout(dropout)
        self.norm = norm

    def forward(self, x: Tensor, encoded: Tensor, pattern: BlockPattern, visibility: Visibility) -> Tensor:
        """As `CrossAttention`."""
        return self.attended(x, lambda y: self.attention(y, encoded, pattern, visibility))

    def attended(self, x: Tensor, attend: Layer) -> Tensor:
        """The block, with whatever stands for its attention."""
        return with_residual(x, attend, self.attention_norm, norm=self.norm, dropout=self.dropout)
