"""Block-sparse attention in operations every runtime has; memory linear in length."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bigbird.attention import PatternSpec
from bigbird.interop.export_blocks import Seen, SeenBlocks


class Rows(NamedTuple):
    """A batch whose documents start at the rows' start; what every layer needs of it.

    lengths      int64 [batch], tokens of each document
    num_blocks   int64 [batch], blocks of each document
    query_block  int64 [query_blocks], 0, 1, 2, …
    is_real      bool [batch, query_blocks * block_size]
    always       window and global blocks
    """

    lengths: Tensor
    num_blocks: Tensor
    query_block: Tensor
    is_real: Tensor
    always: Seen


class BlockAttention(nn.Module):
    """What `block_sparse_attention` computes for a padded batch, each document with the pattern of its own length.

    A pattern in which every document the model reads sees all of itself is computed densely: memory grows with the
    square of the length there.
    """

    def __init__(self, spec: PatternSpec, *, num_heads: int, num_layers: int, max_length: int) -> None:
        super().__init__()
        self.block_size = spec.block_size
        max_blocks = spec.blocks_for(max_length)
        self.is_dense = max_blocks <= spec.num_full_blocks
        self.has_global = spec.global_blocks > 0
        sizes = {"num_heads": num_heads, "num_layers": 0 if self.is_dense else num_layers, "max_blocks": max_blocks}
        self.seen = SeenBlocks(spec, **sizes)
        blocks_of = torch.tensor([spec.blocks_for(length) for length in range(max_length + 1)])
        self.blocks_of = nn.Parameter(blocks_of, requires_grad=False)  # a longer document has no entry: an error

    def rows(self, key_mask: Tensor) -> Rows:
        """How documents lie at the start of rows that hold the longest; key_mask: bool [batch, length]."""
        lengths = key_mask.long().sum(1)
        num_blocks = self.blocks_of.index_select(0, lengths)
        most = num_blocks.max().clamp_min(1).item()  # read off data, so that torch.export knows nothing of it
        torch._check(most >= 1)  # noqa: SLF001 - what torch.export offers for the purpose
        query_block = torch.arange(most)
        is_real = torch.arange(query_block.shape[0] * self.block_size) < lengths[:, None]
        return Rows(lengths, num_blocks, query_block, is_real, self.seen.always(num_blocks, query_block))

    def forward(self, q: Tensor, k: Tensor, v: Tensor, rows: Rows, layer: int) -> Tensor:
        """q, k, v: [batch, heads, query_blocks * block_size, head_dim] -> the same shape; 0 for what sees no key."""
        q = q * q.shape[3] ** -0.5
        if self.is_dense:
            return _dense(q, k, v, rows.is_real)
        sparse = self._sparse(q, k, v, rows, layer)
        return self._with_global(sparse, q, k, v, rows) if self.has_global else sparse

    def _sparse(self, q: Tensor, k: Tensor, v: Tensor, rows: Rows, layer: int) -> Tensor:
        batch, heads, length, width = q.shape
        size, num_blocks = self.block_size, rows.query_block.shape[0]
        seen = self.seen.of_layer(layer, rows.always, rows.num_blocks, rows.query_block)
        token = seen.blocks[..., None] * size + torch.arange(size)
        is_seen = (seen.is_valid[..., None] & (token < rows.lengths[:, None, None, None, None])).flatten(3)
        is_seen = is_seen.expand(-1, heads, -1, -1).reshape(batch * heads, num_blocks, 1, -1)
        inside = torch.minimum(seen.blocks, rows.query_block[-1]).expand(-1, heads, -1, -1)
        block = (inside + (torch.arange(batch * heads) * num_blocks).reshape(batch, heads, 1, 1)).flatten()
        near_k, near_v = (
            x.reshape(batch * heads * num_blocks, size * width)
            .index_select(0, block)
            .reshape(batch * heads, num_blocks, -1, width)
            for x in (k, v)
        )
        out = _attend(q.reshape(batch * heads, num_blocks, size, width), near_k, near_v, is_seen)
        return out.reshape(batch, heads, length, width)

    def _with_global(self, out: Tensor, q: Tensor, k: Tensor, v: Tensor, rows: Rows) -> Tensor:
        """The global blocks' rows, which see all keys, put in their places."""
        heads, width = q.shape[1], q.shape[3]
        place = self.seen.at_global(rows.num_blocks)[:, :, None] * self.block_size + torch.arange(self.block_size)
        place = place.flatten(1)[:, None, :, None].expand(-1, heads, -1, width)
        return out.scatter(2, place, _dense(q.gather(2, place), k, v, rows.is_real))


def _dense(q: Tensor, k: Tensor, v: Tensor, is_real: Tensor) -> Tensor:
    return _attend(q, k, v, is_real[:, None, None, :])


def _attend(q: Tensor, k: Tensor, v: Tensor, is_seen: Tensor) -> Tensor:
    """4-D tensors; is_seen: bool [.., .., 1, keys]."""
    scores = torch.where(is_seen, q @ k.transpose(2, 3), torch.finfo(q.dtype).min)
    return torch.where(is_seen.any(3, keepdim=True), scores.softmax(3) @ v, 0.0)
