"""Which key blocks each query block sees, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from bigbird.errors import ShapeError

Function = TypeVar("Function", bound=Callable[..., object])


@dataclass(frozen=True, eq=False, kw_only=True)
class BlockPattern:
    """For every head and query block the key blocks it sees, and how often each counts.

    Eight blocks, window 3, first and last block global, one random (row = query block, column = key block):

            0 1 2 3 4 5 6 7
        0   1 1 1 1 1 1 1 1     a global row sees every block
        1   1 1 1 . . 1 . 1
        2   1 1 1 1 . . 1 1
        3   1 . 1 1 1 1 . 1
        4   1 1 . 1 1 1 . 1
        5   1 . 1 . 1 1 1 1
        6   1 . . 1 . 1 1 1
        7   1 1 1 1 1 1 1 1     a global column is seen by every block

    Stored as compressed rows: row `head * num_query_blocks + query_block` holds
    `key_blocks[row_starts[row]:row_starts[row + 1]]`, ascending and without repeats. `key_counts` says how often each
    of them weighs in the softmax (scores + log count); published checkpoints need that. When all heads see the same,
    the lists are stored once and `num_heads` says for how many heads they stand.

    row_starts: int64 [rows + 1]    key_blocks: int64 [pairs]    key_counts: int64 [pairs], each at least 1

    is_causal  of the listed blocks a query sees only the keys at its own place and before, both counted in tokens from
               the start of the row: a decoder's self-attention. Two tokens a block:

            block 0 | block 1               block 0 | block 1
        0      1    |    .             0     1  .   |   .  .
        1      1    |    1             1     1  1   |   .  .
                                       2     1  1   |   1  .
           listed                      3     1  1   |   1  1     seen
    """

    block_size: int
    num_heads: int
    num_query_blocks: int
    num_key_blocks: int
    row_starts: Tensor
    key_blocks: Tensor
    key_counts: Tensor
    is_causal: bool = False

    def __post_init__(self) -> None:
        if self.is_causal and self.num_query_blocks != self.num_key_blocks:
            raise ShapeError(
                f"a causal pattern is for self-attention, where queries and keys are the same tokens; got "
                f"{self.num_query_blocks} query blocks and {self.num_key_blocks} key blocks. Leave cross-attention as "
                f"it is: a decoder may see all of the document it reads."
            )

    @classmethod
    def from_counts(cls, counts: Tensor, *, block_size: int) -> BlockPattern:
        """Read a table, integer [heads, query_blocks, key_blocks]: 0 hides a block, c makes it weigh c times."""
        if counts.ndim != 3 or counts.is_floating_point() or counts.numel() == 0 or bool((counts < 0).any()):
            raise ShapeError(
                f"counts must be a non-empty integer tensor [heads, query_blocks, key_blocks] without negative "
                f"entries, got {counts.dtype} {list(counts.shape)}"
            )
        heads, query_blocks, key_blocks = counts.shape
        flat = counts.reshape(heads * query_blocks, key_blocks)
        rows, columns = flat.nonzero(as_tuple=True)
        return cls(
            block_size=block_size,
            num_heads=heads,
            num_query_blocks=query_blocks,
            num_key_blocks=key_blocks,
            row_starts=_starts(torch.bincount(rows, minlength=len(flat))),
            key_blocks=columns,
            key_counts=flat[rows, columns].long(),
        )

    @classmethod
    def full(cls, *, block_size: int, num_heads: int, num_query_blocks: int, num_key_blocks: int) -> BlockPattern:
        """Every block sees every block."""
        return cls(
            block_size=block_size,
            num_heads=num_heads,
            num_query_blocks=num_query_blocks,
            num_key_blocks=num_key_blocks,
            row_starts=torch.arange(num_query_blocks + 1) * num_key_blocks,
            key_blocks=torch.arange(num_key_blocks).repeat(num_query_blocks),
            key_counts=torch.ones(num_query_blocks * num_key_blocks, dtype=torch.int64),
        )

    @classmethod
    def empty(cls, *, block_size: int, num_heads: int, num_blocks: int) -> BlockPattern:
        """No block sees any: the filling behind the last document of a packed row."""
        return cls(
            block_size=block_size,
            num_heads=num_heads,
            num_query_blocks=num_blocks,
            num_key_blocks=num_blocks,
            row_starts=torch.zeros(num_blocks + 1, dtype=torch.int64),
            key_blocks=torch.zeros(0, dtype=torch.int64),
            key_counts=torch.zeros(0, dtype=torch.int64),
        )

    @property
    def device(self) -> torch.device:
        """Where the lists lie; attention wants them beside its tensors."""
        return self.key_blocks.device

    @property
    def num_lists(self) -> int:
        """Stored lists: one per query block, times the heads where heads differ."""
        return len(self.row_starts) - 1

    @property
    def heads_share_lists(self) -> bool:
        """True when one set of lists stands for every head."""
        return self.num_lists == self.num_query_blocks

    @cached_property
    def rows(self) -> Tensor:
        """The row of each visible pair: int64 [pairs]."""
        return torch.repeat_interleave(self.row_starts.diff())

    @cached_property
    def transposed(self) -> BlockPattern:
        """The same pairs listed by key block: which query blocks see it. The backward pass walks these lists.

        Of a causal pattern, too, these are the same pairs, of tokens as well: rows are keys, and see later queries.
        """
        num_rows = self.num_lists // self.num_query_blocks * self.num_key_blocks
        row, lengths = torch.arange(self.num_lists, device=self.device), self.row_starts.diff()
        rows = torch.repeat_interleave(row // self.num_query_blocks * self.num_key_blocks, lengths) + self.key_blocks
        narrow = torch.int32 if num_rows < 2**31 else torch.int64  # sorts twice as fast
        order = torch.argsort(rows.to(narrow), stable=True)  # query blocks stay ascending
        return replace(
            self,
            num_query_blocks=self.num_key_blocks,
            num_key_blocks=self.num_query_blocks,
            row_starts=_starts(torch.bincount(rows, minlength=num_rows)),
            key_blocks=torch.repeat_interleave(row % self.num_query_blocks, lengths).index_select(0, order),
            key_counts=self.key_counts.index_select(0, order),
        )

    def counts(self) -> Tensor:
        """The pattern as a table for people and tests: int64 [heads, query_blocks, key_blocks], 0 where unlisted."""
        table = torch.zeros(self.num_lists, self.num_key_blocks, dtype=torch.int64, device=self.device)
        table[self.rows, self.key_blocks] = self.key_counts
        return table.view(-1, self.num_query_blocks, self.num_key_blocks).repeat(
            self.num_heads if self.heads_share_lists else 1, 1, 1
        )

    def causal(self) -> BlockPattern:
        """The pattern for tokens written one after the other: without later blocks, and `is_causal`."""
        visible = self.key_blocks <= self.rows % self.num_query_blocks
        return replace(
            self,
            is_causal=True,
            row_starts=_starts(torch.bincount(self.rows[visible], minlength=self.num_lists)),
            key_blocks=self.key_blocks[visible],
            key_counts=self.key_counts[visible],
        )

    def to(self, device: torch.device | str) -> BlockPattern:
        """The pattern with its lists on `device`."""
        if self.device == torch.device(device):
            return self
        return replace(
            self,
            row_starts=self.row_starts.to(device),
            key_blocks=self.key_blocks.to(device),
            key_counts=self.key_counts.to(device),
        )


def pack_patterns(patterns: Sequence[BlockPattern]) -> BlockPattern:
    """One pattern for several documents laid one behind the other, each seeing itself alone.

    A document of two blocks and one of three:

        a a . . .
        a a . . .
        . . b b b
        . . b . b
        . . b b b
    """
    first = _agreeing(patterns)
    if len(patterns) == 1:
        return first
    num_lists = 1 if all(pattern.heads_share_lists for pattern in patterns) else first.num_heads
    sizes = torch.tensor(
        [[x.num_query_blocks, x.num_key_blocks, x.num_lists, len(x.key_blocks)] for x in patterns], device=first.device
    )
    queries_before, keys_before, lists_before, pairs_before = (sizes.cumsum(0) - sizes).T
    document = torch.repeat_interleave(sizes[:, 0])  # of each packed query block
    per_head = sizes[:, 0] * (sizes[:, 2] > sizes[:, 0])  # lists from one head to the next
    heads = torch.arange(num_lists, device=first.device)[:, None]
    number = torch.arange(len(document), device=first.device) + (lists_before - queries_before)[document]
    source = (number + heads * per_head[document]).flatten()  # of each packed row, among all documents' lists
    starts = torch.cat([x.row_starts[:-1] for x in patterns]) + pairs_before.repeat_interleave(sizes[:, 2])
    lengths = torch.cat([x.row_starts.diff() for x in patterns])[source]
    row_starts = _starts(lengths)
    pairs = torch.repeat_interleave(starts[source] - row_starts[:-1], lengths)
    pairs += torch.arange(len(pairs), device=first.device)
    offsets = torch.repeat_interleave(keys_before[document].repeat(num_lists), lengths)
    return replace(
        first,
        num_query_blocks=len(document),
        num_key_blocks=sum(x.num_key_blocks for x in patterns),
        row_starts=row_starts,
        key_blocks=torch.cat([x.key_blocks for x in patterns]).index_select(0, pairs) + offsets,
        key_counts=torch.cat([x.key_counts for x in patterns]).index_select(0, pairs),
    )


def _agreeing(patterns: Sequence[BlockPattern]) -> BlockPattern:
    if not patterns:
        raise ShapeError("pack_patterns needs at least one pattern, got none")
    first = patterns[0]
    for pattern in patterns[1:]:
        if (pattern.block_size, pattern.num_heads) != (first.block_size, first.num_heads):
            raise ShapeError(
                f"patterns packed together must agree: got block_size {first.block_size} with {first.num_heads} heads "
                f"and block_size {pattern.block_size} with {pattern.num_heads} heads"
            )
        if first.is_causal != pattern.is_causal:
            raise ShapeError(
                "patterns packed together must agree: some are causal and some are not. Make the others causal with "
                "pattern.causal(), the empty ones behind the last document too."
            )
    return first


def opaque(function: Function) -> Function:
    """torch.compile calls the function and takes its result as it is, instead of looking inside.

    What `torch.compiler.assume_constant_result` does, without loading the compiler for it.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]  # noqa: SLF001
    return function


@contextmanager
def lasting() -> Iterator[None]:
    """Tensors made inside are kept for later calls: ordinary ones, whoever traces or infers at the moment."""
    with torch.inference_mode(mode=False), _disable_current_modes():
        yield


def _starts(lengths: Tensor) -> Tensor:
    """[2, 0, 3] -> [0, 2, 2, 5]"""
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
