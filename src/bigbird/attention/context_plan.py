"""How a pattern is divided over the ranks of a group: who owns, who needs, who sends what."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigbird.attention.pattern import BlockPattern, lasting
from bigbird.errors import ShapeError

Numbers = NDArray[np.int64]

# Tiles that travel in a forward and a backward pass: key, value and their gradients for a fetched key block;
# query, output, output again, its gradient and the query's for a row that is helped with.
_FETCH_COST, _HELP_COST = 4, 5


class Transfer(NamedTuple):
    """Tiles that go from their owners to other ranks, and what comes of them back the same way.

    sent             int64, which of the own tiles, destination after destination; one may go to several
    sent_counts      tiles for each rank
    places           int64, where those that arrive belong, source after source
    received_counts  tiles from each rank
    """

    sent: Tensor
    sent_counts: tuple[int, ...]
    places: Tensor
    received_counts: tuple[int, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class ContextPlan:
    """One rank's part of a pattern. Blocks are owned in contiguous shards, `num_blocks * rank // num_ranks` on.

    Nine blocks on three ranks, window 3, first and last block global, one random block a row: what rank 1 holds

                     0 1 2 | 3 4 5 | 6 7 8          o  its own rows over its own keys
            0        . . . | h h h | . . .          f  keys it fetches: one block beside the shard on either side
            3        f . f | o o . | . . .             (2 and 6), the global blocks 0 and 8, random ones (7)
            4        f . . | o o o | . f f          h  rows of others it helps with: a global row is too long to
            5        f . . | . o o | f . f             fetch for, so its queries come here and go back as a partial
            8        . . . | h h h | . . .             output with the log of the sum of its weights

    A tile is one block of one head. Rows longer than a limit are helped with, the others fetch; the limit is the power
    of two for which the fewest tiles travel, over all ranks.

    query_blocks, key_blocks    blocks of the whole pattern this rank owns
    query_places, key_places    the same in tokens; the last block may be partly empty
    key_length                  tokens of all keys
    local                       the pattern over the tiles at hand, as if of one head: rows are the own ones, head
                                after head, then those helped with; keys are own and fetched ones by head and block
    key_tiles                   int64 [local.num_key_blocks], the block each local key tile is of
    own_keys                    int64, where the own key tiles lie among these
    keys, queries               what travels: fetched keys, and the queries of rows that are helped with
    """

    block_size: int
    num_heads: int
    num_ranks: int
    query_blocks: range
    key_blocks: range
    query_places: range
    key_places: range
    key_length: int
    local: BlockPattern
    key_tiles: Tensor
    own_keys: Tensor
    keys: Transfer
    queries: Transfer

    @property
    def device(self) -> torch.device:
        """Where the plan's lists lie."""
        return self.key_tiles.device

    @property
    def num_own_rows(self) -> int:
        """Query tiles of this rank."""
        return self.num_heads * len(self.query_blocks)

    def to(self, device: torch.device | str) -> ContextPlan:
        """The plan with its lists on `device`."""
        if self.device == torch.device(device):
            return self
        return replace(
            self,
            local=self.local.to(device),
            key_tiles=self.key_tiles.to(device),
            own_keys=self.own_keys.to(device),
            keys=_moved(self.keys, device),
            queries=_moved(self.queries, device),
        )


def owned_blocks(num_blocks: int, *, rank: int, num_ranks: int) -> range:
    """The contiguous shard of a rank; shards differ by one block at most and are empty where blocks are too few."""
    if num_ranks < 1 or not 0 <= rank < num_ranks:
        raise ShapeError(f"rank must be from 0 to num_ranks - 1, got rank {rank} of {num_ranks}")
    return range(num_blocks * rank // num_ranks, num_blocks * (rank + 1) // num_ranks)


def context_plan(
    pattern: BlockPattern, *, rank: int, num_ranks: int, query_length: int | None = None, key_length: int | None = None
) -> ContextPlan:
    """The part of `rank`; depends on nothing but the arguments, so all ranks agree without a word.

    query_length, key_length: tokens of the whole row, where its last block is not full.
    """
    if pattern.is_causal:
        raise ShapeError(
            "a causal pattern cannot be divided over several devices: the ranks' own patterns list tiles out of their "
            "order in the row. Compute it on one device with block_sparse_attention."
        )
    query_blocks = owned_blocks(pattern.num_query_blocks, rank=rank, num_ranks=num_ranks)
    key_blocks = owned_blocks(pattern.num_key_blocks, rank=rank, num_ranks=num_ranks)
    query_length = _checked_length("query", query_length, pattern.num_query_blocks, pattern.block_size)
    key_length = _checked_length("key", key_length, pattern.num_key_blocks, pattern.block_size)
    with lasting():
        division = _Division.of(pattern, num_ranks)
        local, key_tiles, own_keys, keys, queries = _part(division, rank, query_blocks, key_blocks)
    return ContextPlan(
        block_size=pattern.block_size,
        num_heads=pattern.num_heads,
        num_ranks=num_ranks,
        query_blocks=query_blocks,
        key_blocks=key_blocks,
        query_places=_places(query_blocks, pattern.block_size, query_length),
        key_places=_places(key_blocks, pattern.block_size, key_length),
        key_length=key_length,
        local=local,
        key_tiles=key_tiles,
        own_keys=own_keys,
        keys=keys,
        queries=queries,
    ).to(pattern.device)


def _checked_length(side: str, length: int | None, num_blocks: int, block_size: int) -> int:
    length = num_blocks * block_size if length is None else length
    if -(-length // block_size) != num_blocks:
        raise ShapeError(
            f"{side}_length {length} fills {-(-length // block_size)} blocks of {block_size}, but the pattern is for "
            f"{num_blocks}"
        )
    return length


def _places(blocks: range, block_size: int, length: int) -> range:
    return range(min(blocks.start * block_size, length), min(blocks.stop * block_size, length))


class _Division(NamedTuple):
    """Every visible pair, of every head, and the ranks at its two ends: int64 [pairs] each.

    rows    head * num_query_blocks + query block        keys  head * num_key_blocks + key block
    counts  how often the pair weighs                    is_helped  the pair's row is helped with instead of fetched for
    """

    pattern: BlockPattern
    num_ranks: int
    rows: Numbers
    keys: Numbers
    counts: Numbers
    query_ranks: Numbers
    key_ranks: Numbers
    is_helped: NDArray[np.bool_]

    @classmethod
    def of(cls, pattern: BlockPattern, num_ranks: int) -> _Division:
        """Of a pattern whose heads may share lists."""
        lengths = pattern.row_starts.diff().cpu().numpy()
        copies = pattern.num_heads if pattern.heads_share_lists else 1
        lengths = np.tile(lengths, copies)
        rows = np.repeat(np.arange(len(lengths)), lengths)
        head, query_block = np.divmod(rows, pattern.num_query_blocks)
        key_block = np.tile(pattern.key_blocks.cpu().numpy(), copies)
        keys = head * pattern.num_key_blocks + key_block
        query_ranks = _owners(query_block, pattern.num_query_blocks, num_ranks)
        key_ranks = _owners(key_block, pattern.num_key_blocks, num_ranks)
        is_long = _long_rows(lengths, rows, keys, query_ranks, key_ranks)
        counts = np.tile(pattern.key_counts.cpu().numpy(), copies)
        return cls(pattern, num_ranks, rows, keys, counts, query_ranks, key_ranks, is_long[rows])


def _owners(blocks: Numbers, num_blocks: int, num_ranks: int) -> Numbers:
    firsts = num_blocks * np.arange(num_ranks) // num_ranks
    return np.searchsorted(firsts, blocks, side="right") - 1


def _long_rows(
    lengths: Numbers, rows: Numbers, keys: Numbers, query_ranks: Numbers, key_ranks: Numbers
) -> NDArray[np.bool_]:
    """Which rows are helped with: those beyond the length that makes the fewest tiles travel."""
    sizes = np.frexp(lengths)[1]  # 1 for one block, 2 for two or three, 3 for up to seven, …
    is_remote = query_ranks != key_ranks
    num_keys, num_sizes = int(keys.max(initial=0)) + 1, int(sizes.max(initial=0)) + 1
    wanted = query_ranks[is_remote] * num_keys + keys[is_remote]
    by_size = np.unique(wanted * num_sizes + sizes[rows[is_remote]])
    tiles, firsts = np.unique(by_size // num_sizes, return_index=True)
    shortest = by_size[firsts] % num_sizes  # row that wants the tile
    fetched = np.bincount(shortest, minlength=num_sizes).cumsum() if len(tiles) else np.zeros(num_sizes, np.int64)
    num_ranks = int(key_ranks.max(initial=0)) + 1
    visits = np.unique(rows[is_remote] * num_ranks + key_ranks[is_remote]) // num_ranks
    helped = np.bincount(sizes[visits], minlength=num_sizes)
    cost = _FETCH_COST * fetched + _HELP_COST * (helped.sum() - helped.cumsum())
    limit = num_sizes - 1 - int(np.argmin(cost[::-1]))  # the longest of equals
    return sizes > limit


def _part(
    division: _Division, rank: int, query_blocks: range, key_blocks: range
) -> tuple[BlockPattern, Tensor, Tensor, Transfer, Transfer]:
    """local, key_tiles, own_keys, keys and queries of `ContextPlan`."""
    pattern, num_ranks, rows, keys, counts, query_ranks, key_ranks, is_helped = division
    is_remote = query_ranks != key_ranks

    own_keys = _tiles(pattern.num_heads, pattern.num_key_blocks, key_blocks)
    fetches = is_remote & ~is_helped
    key_trips = _Trips.of(keys[fetches], key_ranks[fetches], query_ranks[fetches], num_ranks, rank)
    key_tiles = np.sort(np.concatenate((own_keys, key_trips.arriving)))
    key_transfer = key_trips.transfer(own_keys, places=np.searchsorted(key_tiles, key_trips.arriving))

    own_rows = _tiles(pattern.num_heads, pattern.num_query_blocks, query_blocks)
    helps = is_remote & is_helped
    query_trips = _Trips.of(rows[helps], query_ranks[helps], key_ranks[helps], num_ranks, rank)
    num_local = len(own_rows) + len(query_trips.arriving)
    query_transfer = query_trips.transfer(own_rows, places=np.arange(len(own_rows), num_local))

    local_row = np.full(pattern.num_heads * pattern.num_query_blocks, -1)
    local_row[np.concatenate((own_rows, query_trips.arriving))] = np.arange(num_local)
    is_here = (local_row[rows] >= 0) & np.where(is_helped, key_ranks == rank, query_ranks == rank)
    width = max(1, len(key_tiles))
    pairs = local_row[rows[is_here]] * width + np.searchsorted(key_tiles, keys[is_here])
    order = np.argsort(pairs)
    lengths = np.bincount(pairs // width, minlength=num_local)
    local = BlockPattern(
        block_size=pattern.block_size,
        num_heads=1,
        num_query_blocks=num_local,
        num_key_blocks=len(key_tiles),
        row_starts=torch.from_numpy(np.concatenate(([0], lengths.cumsum()))),
        key_blocks=torch.from_numpy(pairs[order] % width),
        key_counts=torch.from_numpy(counts[is_here][order]),
    )
    places = torch.from_numpy(np.searchsorted(key_tiles, own_keys))
    return local, torch.from_numpy(key_tiles % pattern.num_key_blocks), places, key_transfer, query_transfer


def _tiles(num_heads: int, num_blocks: int, blocks: range) -> Numbers:
    """The numbers head * num_blocks + block of every head and the given blocks, ascending."""
    return (np.arange(num_heads)[:, None] * num_blocks + np.arange(blocks.start, blocks.stop)).ravel()


class _Trips(NamedTuple):
    """The tiles that leave a rank, by destination and then number, and those that arrive, by source and then number."""

    leaving: Numbers
    leaving_counts: Numbers
    arriving: Numbers
    arriving_counts: Numbers

    @classmethod
    def of(cls, tiles: Numbers, sources: Numbers, destinations: Numbers, num_ranks: int, rank: int) -> _Trips:
        """Of the wishes of all ranks, each tile sent to a destination once."""
        size = int(tiles.max(initial=0)) + 1
        wishes = np.unique((sources * num_ranks + destinations) * size + tiles)
        ends, tiles = np.divmod(wishes, size)
        sources, destinations = np.divmod(ends, num_ranks)
        leaving, arriving = sources == rank, destinations == rank
        return cls(
            tiles[leaving],
            np.bincount(destinations[leaving], minlength=num_ranks),
            tiles[arriving],
            np.bincount(sources[arriving], minlength=num_ranks),
        )

    def transfer(self, own: Numbers, *, places: Numbers) -> Transfer:
        """own: the rank's own tiles, ascending; places: where those that arrive belong."""
        sent = np.searchsorted(own, self.leaving)
        return Transfer(
            torch.from_numpy(sent),
            tuple(self.leaving_counts.tolist()),
            torch.from_numpy(places),
            tuple(self.arriving_counts.tolist()),
        )


def _moved(transfer: Transfer, device: torch.device | str) -> Transfer:
    return transfer._replace(sent=transfer.sent.to(device), places=transfer.places.to(device))
