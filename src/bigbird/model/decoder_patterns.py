"""Which blocks the tokens of a target see: earlier ones of the target, and those of the source.

Four target blocks at most, of which this target has two; window 3 (row = query block, column = key block):

    of the longest      of this one
    1 . . .             1 .
    1 1 . .             1 1
    . 1 1 .
    . . 1 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from bigbird.attention import BlockPattern, DocumentLayout, PatternSpec, pack_patterns
from bigbird.attention.pattern import lasting, opaque


@opaque
@lru_cache(maxsize=64)
def self_pattern(
    layout: DocumentLayout,
    spec: PatternSpec | None,
    *,
    max_length: int,
    num_heads: int,
    layer: int,
    device: torch.device,
) -> BlockPattern:
    """Of packed targets; `max_length` of the longest there may be."""
    with lasting():
        patterns = [
            own_pattern(
                spec,
                max_length=max_length,
                block_size=layout.block_size,
                num_blocks=count,
                num_heads=num_heads,
                layer=layer,
            )
            for count in layout.block_counts
        ]
        return pack_patterns([*patterns, *_filling(layout, num_heads, is_causal=True)]).to(device)


@opaque
@lru_cache(maxsize=64)
def cross_pattern(
    layouts: tuple[DocumentLayout, DocumentLayout],
    spec: PatternSpec | None,
    *,
    max_length: int,
    num_heads: int,
    layer: int,
    device: torch.device,
) -> BlockPattern:
    """Of packed targets, the second layout, and their sources, the first."""
    sources, targets = layouts
    with lasting():
        patterns = [
            source_pattern(
                spec,
                max_length=max_length,
                block_size=targets.block_size,
                num_blocks=count,
                num_heads=num_heads,
                layer=layer,
                num_key_blocks=num_keys,
            )
            for count, num_keys in zip(targets.block_counts, sources.block_counts, strict=True)
        ]
        packed = pack_patterns([*patterns, *_filling(targets, num_heads, is_causal=False)])
        num_key_blocks = sources.total_length // sources.block_size  # with their own filling, which nobody sees
        return replace(packed, num_key_blocks=num_key_blocks).to(device)


def own_pattern(
    spec: PatternSpec | None, *, max_length: int, block_size: int, num_blocks: int, num_heads: int, layer: int
) -> BlockPattern:
    """Of one target of `num_blocks` blocks."""
    if spec is None:
        full = BlockPattern.full(
            block_size=block_size, num_heads=num_heads, num_query_blocks=num_blocks, num_key_blocks=num_blocks
        )
        return full.causal()
    longest = spec.build(num_blocks=spec.blocks_for(max_length), num_heads=num_heads, layer=layer).causal()
    return _first_rows(longest, num_blocks, num_key_blocks=num_blocks)


def source_pattern(
    spec: PatternSpec | None,
    *,
    max_length: int,
    block_size: int,
    num_blocks: int,
    num_heads: int,
    layer: int,
    num_key_blocks: int,
) -> BlockPattern:
    """Of one target of `num_blocks` blocks and its source of `num_key_blocks`."""
    if spec is None:
        return BlockPattern.full(
            block_size=block_size, num_heads=num_heads, num_query_blocks=num_blocks, num_key_blocks=num_key_blocks
        )
    longest = spec.build(
        num_blocks=spec.blocks_for(max_length), num_heads=num_heads, layer=layer, num_key_blocks=num_key_blocks
    )
    return _first_rows(longest, num_blocks, num_key_blocks=num_key_blocks)


def _first_rows(pattern: BlockPattern, count: int, *, num_key_blocks: int) -> BlockPattern:
    """The lists of each head's first query blocks."""
    size = pattern.num_query_blocks
    lengths = pattern.row_starts.diff().view(-1, size)[:, :count].flatten()
    is_kept = pattern.rows % size < count
    return replace(
        pattern,
        num_query_blocks=count,
        num_key_blocks=num_key_blocks,
        row_starts=torch.nn.functional.pad(lengths.cumsum(0), (1, 0)),
        key_blocks=pattern.key_blocks[is_kept],
        key_counts=pattern.key_counts[is_kept],
    )


def _filling(layout: DocumentLayout, num_heads: int, *, is_causal: bool) -> Sequence[BlockPattern]:
    if not layout.num_empty_blocks:
        return ()
    empty = BlockPattern.empty(block_size=layout.block_size, num_heads=num_heads, num_blocks=layout.num_empty_blocks)
    return (empty.causal() if is_causal else empty,)


def key_places(pattern: BlockPattern, row: int) -> tuple[Tensor, Tensor]:
    """The keys that one query block sees, for writing token by token: places and log counts.

    int64 and float32 [heads, or 1 when heads share them; keys]; a shorter list ends in keys that weigh -inf.
    """
    lists = pattern.row_starts.diff().view(-1, pattern.num_query_blocks)[:, row]
    starts = pattern.row_starts[:-1].view(-1, pattern.num_query_blocks)[:, row]
    slots = torch.arange(int(lists.max()))
    is_listed = slots < lists[:, None]
    pairs = torch.where(is_listed, starts[:, None] + slots, 0)
    blocks = torch.where(is_listed, pattern.key_blocks[pairs], 0)
    log_counts = torch.where(is_listed, pattern.key_counts[pairs].log(), -torch.inf)
    places = blocks[..., None] * pattern.block_size + torch.arange(pattern.block_size)
    return places.flatten(1), log_counts.float().repeat_interleave(pattern.block_size, 1)
