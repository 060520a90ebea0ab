"""Rows of tokens as tiles, one block of one head each, which is the unit that travels between ranks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def to_tiles(x: Tensor, block_size: int) -> Tensor:
    """[batch, heads, length, width] -> [heads * blocks, batch, block_size, width], the last block filled with zeros."""
    batch, heads, length, width = x.shape
    num_blocks = -(-length // block_size)
    if length % block_size:
        x = F.pad(x, (0, 0, 0, num_blocks * block_size - length))
    return x.reshape(batch, heads * num_blocks, block_size, width).transpose(0, 1)


def from_tiles(tiles: Tensor, num_heads: int, length: int) -> Tensor:
    """[heads * blocks, batch, block_size, width] -> [batch, heads, length, width]."""
    num_tiles, batch, block_size, width = tiles.shape
    return tiles.transpose(0, 1).reshape(batch, num_heads, num_tiles // num_heads * block_size, width)[:, :, :length]


def as_row(tiles: Tensor) -> Tensor:
    """[tiles, batch, block_size, width] -> [batch, 1, tiles * block_size, width]: one head after the other."""
    num_tiles, batch, block_size, width = tiles.shape
    return tiles.transpose(0, 1).reshape(batch, 1, num_tiles * block_size, width)
