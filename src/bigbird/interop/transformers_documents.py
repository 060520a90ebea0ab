"""Padded batches of another library on their way to our attention and back, with no copy where none is needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from bigbird.attention import BlockPattern, DocumentLayout, PatternSpec
from bigbird.attention.pattern import lasting, opaque
from bigbird.errors import ShapeError
from bigbird.model.encoder import Padding


class Batch(Protocol):
    """How a padded batch goes through attention. Tensors between pack and unpack share their first two dimensions."""

    @property
    def key_mask(self) -> Tensor | None:
        """What attention takes: bool, True = real."""

    def pattern(self, spec: PatternSpec, *, num_heads: int, layer: int, device: torch.device) -> BlockPattern:
        """Who sees whom, for the packed tensors."""

    def pack(self, x: Tensor) -> Tensor:
        """[batch, length, any ...] -> what attention reads, [rows, places, any ...]."""

    def unpack(self, packed: Tensor, pattern: BlockPattern) -> Tensor:
        """The way back."""


@dataclass(frozen=True, eq=False)
class Documents:
    """Every document for itself: laid out in one row, so that padding does not exist.

    places  int64 [sum of lengths], where each real token stands in the flattened batch; None when all are real and the
            batch, seen as one row, has each document on a block boundary already. Then nothing is copied.
    """

    batch: int
    length: int
    layout: DocumentLayout
    places: Tensor | None
    key_mask: Tensor | None

    def pattern(self, spec: PatternSpec, *, num_heads: int, layer: int, device: torch.device) -> BlockPattern:
        """Each document's own."""
        return self.layout.pattern(spec, num_heads=num_heads, layer=layer, device=device)

    def pack(self, x: Tensor) -> Tensor:
        """[batch, length, ...] -> [1, total, ...]"""
        flat = x.reshape(1, -1, *x.shape[2:])
        return flat if self.places is None else self.layout.pack(flat[0, self.places])[None]

    def unpack(self, packed: Tensor, _pattern: BlockPattern) -> Tensor:
        """[1, total, ...] -> [batch, length, ...], 0 where there is padding"""
        size = (self.batch, self.length, *packed.shape[2:])
        if self.places is None:
            return packed.reshape(size)
        flat = packed.new_zeros(self.batch * self.length, *packed.shape[2:])
        flat[self.places] = self.layout.unpack(packed[0])
        return flat.view(size)


@dataclass(frozen=True, eq=False)
class PaddedRows:
    """As transformers' BigBird sees a batch: every row is one document of the padded length, padding is masked."""

    length: int
    block_size: int
    key_mask: Tensor | None

    def pattern(self, spec: PatternSpec, *, num_heads: int, layer: int, device: torch.device) -> BlockPattern:
        """That of the padded length."""
        return _pattern_on(spec, spec.blocks_for(self.length), num_heads, layer, device)

    def pack(self, x: Tensor) -> Tensor:
        """[batch, length, ...], as it is"""
        return x

    def unpack(self, packed: Tensor, pattern: BlockPattern) -> Tensor:
        """[batch, length, ...], 0 at padding where attention is sparse, as theirs"""
        is_sparse = len(pattern.key_blocks) < pattern.num_lists * pattern.num_key_blocks
        if self.key_mask is None or not is_sparse:
            return packed
        return packed.masked_fill(~self.key_mask.view(*packed.shape[:2], *[1] * (packed.ndim - 2)), 0)


_known = WeakTensorKeyDictionary()  # mask -> batches; every layer of one forward pass is given the same mask


@torch.compiler.disable  # type: ignore[untyped-decorator]  # lengths become numbers, and numbers patterns
def batch_of(
    mask: Tensor | None, *, batch: int, length: int, block_size: int, padding: Padding, device: torch.device
) -> Batch:
    """The batch behind a mask, bool or integer [batch, length] or [batch, 1, 1, length], 0 = padding; None has none."""
    if mask is None:
        return _batch(None, batch, length, block_size, padding, device)
    if mask.shape not in ((batch, length), (batch, 1, 1, length)) or mask.is_floating_point():
        raise ShapeError(
            f"attention_mask must be [batch, length] = {[batch, length]}, 1 = real and 0 = padding, got "
            f"{mask.dtype} {list(mask.shape)}. Sparse attention takes no mask of pairs; its pattern says who sees whom."
        )
    found = _known.setdefault(mask, {})
    if (block_size, padding) not in found:
        key_mask = mask.reshape(batch, length) != 0
        found[block_size, padding] = _batch(
            None if bool(key_mask.all()) else key_mask, batch, length, block_size, padding, device
        )
    result: Batch = found[block_size, padding]
    return result


def _batch(
    key_mask: Tensor | None, batch: int, length: int, block_size: int, padding: Padding, device: torch.device
) -> Batch:
    if padding == "batch":
        return PaddedRows(length, block_size, key_mask)
    with lasting():
        layout = (
            DocumentLayout((length,) * batch, block_size)
            if key_mask is None
            else DocumentLayout.from_mask(key_mask, block_size=block_size)
        )
        is_in_place = batch == 1 or length % block_size == 0
        if key_mask is None and is_in_place and not layout.num_empty_blocks:
            return Documents(batch, length, layout, None, None)
        places = torch.arange(batch * length, device=device) if key_mask is None else key_mask.flatten().nonzero()[:, 0]
        return Documents(batch, length, layout, places, layout.is_real(device)[None])


@opaque
def _pattern_on(spec: PatternSpec, num_blocks: int, num_heads: int, layer: int, device: torch.device) -> BlockPattern:
    return _pattern(spec, num_blocks, num_heads, layer, device)


@lru_cache(maxsize=256)
def _pattern(spec: PatternSpec, num_blocks: int, num_heads: int, layer: int, device: torch.device) -> BlockPattern:
    with lasting():
        return spec.build(num_blocks=num_blocks, num_heads=num_heads, layer=layer).to(device)
