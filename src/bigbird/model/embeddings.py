"""Token ids to vectors, and rotary positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bigbird.errors import ShapeError


class Embeddings(nn.Module):
    """Sum of token, token-type and learned position vectors, then layer norm and dropout (BERT's order).

    num_positions   rows of the learned position table; 0 when positions are rotary
    num_token_types rows of the token-type table; 0 for none
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        hidden_size: int,
        num_positions: int,
        num_token_types: int,
        dropout: float,
        layer_norm_eps: float,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, hidden_size)
        self.positions = nn.Embedding(num_positions, hidden_size) if num_positions else None
        self.token_types = nn.Embedding(num_token_types, hidden_size) if num_token_types else None
        self.norm = nn.LayerNorm(hidden_size, eps=layer_norm_eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, token_ids: Tensor, positions: Tensor, token_types: Tensor | None = None) -> Tensor:
        """token_ids, positions, token_types: int64 [total] -> [total, hidden]. Without token types all are type 0."""
        embedded: Tensor = self.tokens(token_ids)
        if self.positions is not None:
            embedded = embedded + self.positions(positions)
        if self.token_types is not None:
            embedded = embedded + self.token_types(torch.zeros_like(token_ids) if token_types is None else token_types)
        elif token_types is not None:
            raise ShapeError("token_types were given to a model without token types. Leave them out.")
        embedded = self.dropout(self.norm(embedded))
        return embedded


def rotary_table(positions: Tensor, *, head_dim: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every position's angles, float32 [total, head_dim / 2] each (Su et al. 2021)."""
    frequencies = base ** -(torch.arange(0, head_dim, 2, device=positions.device) / head_dim)
    angles = positions[:, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (x[i], x[i + head_dim / 2]) by its position's angle; x: [..., total, head_dim]."""
    cos, sin = (part.to(x.dtype) for part in table)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
