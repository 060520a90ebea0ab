"""The order in which a pattern's rows are computed by the portable backend."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from bigbird.attention.pattern import BlockPattern, lasting, opaque

MAX_WIDTH_TOKENS = 1024  # a longer row is read in pieces of this many keys, so that global rows need no extra memory


class Step(NamedTuple):
    """Rows that read the same number of key blocks, so that they can be computed as one batch.

    rows        int64 [items], no row twice
    blocks      int64 [items, width], place of each key block in [heads * key_blocks] (or [key_blocks] if heads share)
    log_counts  float64 [items, width], log of how often a block counts, -inf in an empty slot; None when all are 0
    is_first    False when the rows were begun by an earlier step and this one adds to them

    Of a causal pattern, where only the slots between these two need a look at single tokens; else 0:
    num_earlier  slots at the start that hold a block before the row's own place in every row
    num_later    slots at the end that hold a block behind it in every row
    """

    rows: Tensor
    blocks: Tensor
    log_counts: Tensor | None
    is_first: bool
    num_earlier: int = 0
    num_later: int = 0


_steps: weakref.WeakKeyDictionary[BlockPattern, tuple[Step, ...]] = weakref.WeakKeyDictionary()


@opaque
def steps_of(pattern: BlockPattern) -> tuple[Step, ...]:
    """The steps that visit every visible pair once.

    How a row is cut depends on that row alone, so a document is computed alike alone and packed with others.
    """
    if pattern not in _steps:
        with lasting():
            _steps[pattern] = tuple(_steps_in_order(pattern))
    return _steps[pattern]


def _steps_in_order(pattern: BlockPattern) -> Iterator[Step]:
    lengths = pattern.row_starts.diff()
    max_width = max(1, MAX_WIDTH_TOKENS // pattern.block_size)
    for length in lengths.unique().tolist():
        if 0 < length <= max_width:
            yield _step(pattern, torch.nonzero(lengths == length)[:, 0], start=0, width=length)
    longest = int(lengths.max())
    if longest > max_width:
        for start in range(0, longest, max_width):
            yield _step(
                pattern,
                torch.nonzero((lengths > start) & (lengths > max_width))[:, 0],
                start=start,
                width=max_width,
            )


def _step(pattern: BlockPattern, rows: Tensor, *, start: int, width: int) -> Step:
    slots = pattern.row_starts[rows, None] + start + torch.arange(width, device=pattern.device)
    is_empty = slots >= pattern.row_starts[rows + 1, None]
    # An empty slot repeats a block of its own row: another document's could hold NaN, and 0 * NaN is NaN.
    slots = torch.where(is_empty, pattern.row_starts[rows, None] + start, slots)
    head = rows // pattern.num_query_blocks
    blocks = pattern.key_blocks[slots] + head[:, None] * pattern.num_key_blocks
    counts = pattern.key_counts[slots].masked_fill(is_empty, 0)
    log_counts = None if bool((counts == 1).all()) else counts.double().log()
    step = Step(rows, blocks, log_counts, is_first=start == 0)
    if not pattern.is_causal:
        return step
    return step._replace(
        num_earlier=_num_leading((blocks < rows[:, None]).all(0)),
        num_later=_num_leading((blocks > rows[:, None]).all(0).flip(0)),
    )


def _num_leading(flags: Tensor) -> int:
    return int(flags.long().cumprod(0).sum())
