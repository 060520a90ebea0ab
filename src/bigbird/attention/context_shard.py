"""One rank's part of a packed row of documents: what a model is given in place of the row's layout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from bigbird.attention.context_plan import ContextPlan, context_plan, owned_blocks
from bigbird.attention.layout import DocumentLayout
from bigbird.attention.pattern import opaque
from bigbird.attention.spec import PatternSpec

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class ShardPattern(NamedTuple):
    """A rank's part of a pattern and the ranks it shares it with (None: all processes)."""

    plan: ContextPlan
    group: ProcessGroup | None


@dataclass(frozen=True)
class ContextShard:
    """The blocks a rank owns of a row that is too long for one device; it answers what a `DocumentLayout` answers.

    lengths (3, 5, 4), block_size 4, two ranks:

        | a a a . | b b b b | b . . . | c c c c |
          rank 0 ————————————  rank 1 ————————————

    Whoever computes token by token (embeddings, norms, feed-forward, heads, losses per token) needs to know its own
    places alone; attention reaches over the ranks by itself. A document may lie on several ranks.

    layout     the whole row, alike on all ranks
    rank       this process' number in `group`, from 0
    num_ranks  processes that share the row
    group      None: all processes
    """

    layout: DocumentLayout
    rank: int
    num_ranks: int
    group: ProcessGroup | None = None

    def __post_init__(self) -> None:
        owned_blocks(1, rank=self.rank, num_ranks=self.num_ranks)  # refuses a rank that is none

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of every document of the whole row."""
        return self.layout.lengths

    @property
    def block_size(self) -> int:
        """Tokens per block."""
        return self.layout.block_size

    @property
    def blocks(self) -> range:
        """The blocks this rank owns."""
        num_blocks = self.layout.total_length // self.block_size
        return owned_blocks(num_blocks, rank=self.rank, num_ranks=self.num_ranks)

    @property
    def owned(self) -> slice:
        """The places of the whole row this rank owns."""
        return slice(self.blocks.start * self.block_size, self.blocks.stop * self.block_size)

    @property
    def num_tokens(self) -> int:
        """Real tokens this rank owns."""
        return len(range(self.layout.num_tokens)[self.tokens])

    @property
    def total_length(self) -> int:
        """Places this rank owns."""
        return len(self.blocks) * self.block_size

    @property
    def tokens(self) -> slice:
        """Which of the row's real tokens, counted document after document, this rank owns."""
        before = self.layout.is_real()[: self.owned.stop].cumsum(0)
        first = int(before[self.owned.start - 1]) if self.owned.start else 0
        return slice(first, int(before[-1]) if len(before) else 0)

    def places(self, device: torch.device | str = "cpu") -> Tensor:
        """Where each of the rank's real tokens lies among its own places: int64 [real tokens owned]."""
        places: Tensor = self.layout.places(device)[self.tokens] - self.owned.start
        return places

    def positions(self, device: torch.device | str = "cpu") -> Tensor:
        """Each own place's position in its document, 0 in filling: int64 [total_length]."""
        return self.layout.positions(device)[self.owned]

    def is_real(self, device: torch.device | str = "cpu") -> Tensor:
        """True where an own place holds a token: bool [total_length]."""
        return self.layout.is_real(device)[self.owned]

    def key_mask(self, device: torch.device | str = "cpu") -> Tensor:
        """What attention needs to know of the whole row's keys: bool [1, places of the row]."""
        return self.layout.key_mask(device)

    def pattern(
        self, spec: PatternSpec, *, num_heads: int, layer: int, device: torch.device | str = "cpu"
    ) -> ShardPattern:
        """This rank's part of every document's own pattern."""
        return ShardPattern(_kept_plan(self, spec, num_heads, layer, torch.device(device)), self.group)

    def unpack(self, packed: Tensor) -> Tensor:
        """Take the real tokens out: [total_length, ...] -> [real tokens owned, ...]."""
        return packed[self.places(packed.device)]


Layout = DocumentLayout | ContextShard


@opaque
def _kept_plan(shard: ContextShard, spec: PatternSpec, num_heads: int, layer: int, device: torch.device) -> ContextPlan:
    plans = _plans(shard.layout, shard.rank, shard.num_ranks, spec, num_heads, device)
    if layer not in plans:
        pattern = shard.layout.pattern(spec, num_heads=num_heads, layer=layer)
        plans[layer] = context_plan(pattern, rank=shard.rank, num_ranks=shard.num_ranks).to(device)
    return plans[layer]


@lru_cache(maxsize=4)  # as `layout`'s own
def _plans(
    _: DocumentLayout, _rank: int, _num_ranks: int, _spec: PatternSpec, _num_heads: int, _device: torch.device
) -> dict[int, ContextPlan]:
    """The plans made so far, by layer."""
    return {}
