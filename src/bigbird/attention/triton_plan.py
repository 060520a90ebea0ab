"""The work lists of the Triton kernels: which pieces of which rows a program computes, made once for a pattern."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from bigbird.attention.pattern import lasting

_PIECE_TOKENS = 1024  # a row of twice as many keys (or queries) and more is cut into pieces of about this many


class Work(NamedTuple):
    """What the programs of one pass do, in the order they start: the pieces of long rows first.

    items        int32 [items, 4]: row, first and last + 1 of its entries, where its part waits (-1: a whole row)
    merges       int32 [long rows, 3]: row, first part, number of parts
    num_parts    places for parts, per fold
    blocks       int32 [pairs]: the lists
    log2_counts  float32 [pairs]; None when every block counts once
    """

    items: Tensor
    merges: Tensor
    num_parts: int
    blocks: Tensor
    log2_counts: Tensor | None


class Plan(NamedTuple):
    """The work over the rows of a pattern and over its transposed rows."""

    by_query: Work
    by_key: Work
    row_starts: Tensor
    shape: tuple[int, int, int]


class _Sizes(NamedTuple):
    items: int
    merges: int
    parts: int


# A pattern's lists are the same objects for as long as it lives, also behind PyTorch's dispatcher and compilers.
_plans = WeakTensorKeyDictionary()


def plan_of(row_starts: Tensor, key_blocks: Tensor, key_counts: Tensor, shape: tuple[int, int, int]) -> Plan:
    """The plan for a pattern's lists, kept while they live. shape: block_size, query blocks, key blocks.

    For a new plan the device is asked once how large it will be. While a CUDA graph is captured nothing may be asked:
    such a plan has room for the worst case and belongs to the graph. A graph captured with a kept plan reads it at
    every replay: keep the pattern as long as the graph.
    """
    plan: Plan | None = _plans.get(key_blocks)
    if plan is None or plan.row_starts is not row_starts or plan.shape != shape:
        is_captured = row_starts.is_cuda and torch.cuda.is_current_stream_capturing()
        with lasting():
            plan = new_plan(row_starts, key_blocks, key_counts, shape, may_ask=not is_captured)
        if not is_captured:
            _plans[key_blocks] = plan
    return plan


def new_plan(
    row_starts: Tensor, key_blocks: Tensor, key_counts: Tensor, shape: tuple[int, int, int], *, may_ask: bool
) -> Plan:
    """As `plan_of`; may_ask: whether the device may be asked how large the plan is."""
    block_size, query_blocks, key_blocks_per_head = shape
    device, pairs = key_blocks.device, len(key_blocks)
    row = torch.arange(len(row_starts) - 1, device=device)
    first_columns, queries = (  # of each pair; their number is known, so nothing is asked
        torch.repeat_interleave(x, row_starts.diff(), output_size=pairs)
        for x in (row // query_blocks * key_blocks_per_head, row % query_blocks)
    )
    columns = (first_columns + key_blocks).to(torch.int32)
    columns, order = columns.sort(stable=True)  # query blocks stay ascending
    num_columns = (len(row_starts) - 1) // query_blocks * key_blocks_per_head
    column_starts = torch.searchsorted(columns, torch.arange(num_columns + 1, dtype=torch.int32, device=device))
    piece = max(1, _PIECE_TOKENS // block_size)
    both = [(starts, (starts.diff() // piece).clamp(min=1)) for starts in (row_starts, column_starts)]
    if may_ask:
        *sizes, has_counts = _exact_sizes(both[0][1], both[1][1], key_counts)
    else:
        sizes = [_Sizes(len(pieces) + pairs // piece, pairs // (2 * piece), pairs // piece) for _, pieces in both]
        has_counts = True
    log2_counts = key_counts.double().log2().float() if has_counts else None
    by_query = _work(*both[0], sizes[0], key_blocks, log2_counts)
    transposed_counts = None if log2_counts is None else log2_counts.index_select(0, order)
    by_key = _work(*both[1], sizes[1], queries.index_select(0, order), transposed_counts)
    return Plan(by_query, by_key, row_starts, shape)


def _exact_sizes(by_query: Tensor, by_key: Tensor, key_counts: Tensor) -> tuple[_Sizes, _Sizes, bool]:
    """Numbers of items, merges and parts from the number of pieces of each row, and whether a block counts twice."""
    numbers = [(key_counts != 1).sum()]
    for pieces in (by_query, by_key):
        is_long = pieces > 1
        numbers += [pieces.sum(), is_long.sum(), (pieces * is_long).sum()]
    several, *sizes = torch.stack(numbers).tolist()
    return _Sizes(*sizes[:3]), _Sizes(*sizes[3:]), several > 0


def _work(starts: Tensor, pieces: Tensor, sizes: _Sizes, blocks: Tensor, log2_counts: Tensor | None) -> Work:
    """Cut every row into its number of pieces, as equal as can be. Where depends on the row alone."""
    order = pieces.argsort(descending=True, stable=True)
    ends = pieces[order].cumsum(0)
    item = torch.arange(sizes.items, device=starts.device)
    place = torch.searchsorted(ends, item, right=True).clamp_(max=len(order) - 1)
    row = order[place]
    count, length = pieces[row], starts.diff()[row]
    number = item - (ends[place] - count)
    first, last = (starts[row] + (number + step) * length // count for step in (0, 1))
    part = torch.where(count > 1, item, -1)  # long rows stand first, so a part's place is its item's
    items = torch.stack([torch.where(item < ends[-1], row, -1), first, last, part], 1)
    long = order[: sizes.merges]
    count = pieces[long]
    merges = torch.stack([torch.where(count > 1, long, -1), ends[: sizes.merges] - count, count], 1)
    return Work(
        items.to(torch.int32), merges.to(torch.int32), sizes.parts, blocks.to(torch.int32, copy=True), log2_counts
    )
