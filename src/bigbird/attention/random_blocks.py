"""Which random key blocks each query block reads: the paper's rule and the tables published checkpoints grew up with.

Every function returns int64 [heads, query_blocks, slots], -1 in an empty slot. A block may stand in two slots, or in a
slot of a row that sees it anyway: published tables do that, and it then counts twice. What stands in the first and the
last row means nothing: these rows are global.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness

Blocks = NDArray[np.int64]

TABLE_LENGTH = 4096  # tokens; google-research/bigbird, core/attention.py, MAX_SEQ_LEN
RANDOM_REACH = 1024  # tokens; the same file, last_idx: random blocks lie in the first 1,024 tokens of a document

_ROWS_AT_ONCE = 64  # rows by which a table grows, so that documents of many lengths share one
_DRAWN_AT_ONCE = 1 << 20  # random numbers held in memory


def paper(excluded: Blocks, *, num_key_blocks: int, random_blocks: int, num_heads: int, key: tuple[int, ...]) -> Blocks:
    """Distinct blocks from the whole document, none that the row sees anyway (Zaheer et al. 2020, appendix D).

    excluded: int64 [query_blocks, any], the blocks each row sees without chance, ascending; `num_key_blocks` fills up.
    """
    num_rows = len(excluded)
    heads, rows = np.arange(num_heads)[:, None], np.arange(num_rows)[None, :]
    num_free = num_key_blocks - (excluded < num_key_blocks).sum(1)
    num_drawn = np.minimum(random_blocks, num_free)
    chosen = np.full((num_heads, num_rows, random_blocks), -1, np.int64)
    for slot in range(random_blocks):  # Floyd's sampling without replacement (Bentley & Floyd 1987), all rows at once
        newest = np.maximum(num_free - num_drawn + slot, 0)
        pick = randomness.integers(0, newest + 1, *key, heads, rows, slot)
        repeated = (chosen[..., :slot] == pick[..., None]).any(-1)
        chosen[..., slot] = np.where(slot < num_drawn, np.where(repeated, newest, pick), -1)
    for column in excluded.T:  # count only free blocks: step over each excluded one, in ascending order
        chosen += (chosen >= column[None, :, None]) & (chosen >= 0)
    return chosen


def checkpoint(*, num_blocks: int, block_size: int, random_blocks: int, num_heads: int, seed: int) -> Blocks:
    """The table published checkpoints were trained with (google-research/bigbird 5e7d375, bigbird_block_rand_mask).

    The original draws one table per layer, seeded with the layer's number, for 4,096 tokens, and a shorter document
    reads its first rows; blocks behind the document's end are dropped. A longer document keeps those rows and
    continues them by the same rule.
    """
    table = _table(block_size, random_blocks, num_heads, seed, max(num_blocks, TABLE_LENGTH // block_size))
    rows = table[:, :num_blocks]
    return np.where(rows < num_blocks, rows, -1)


def transformers_train(*, num_blocks: int, block_size: int, random_blocks: int, num_heads: int, seed: int) -> Blocks:
    """What transformers 5.23 draws in training: the table above at three lengths, else only the first 2r + 5 blocks."""
    if num_blocks * block_size in (1024, 3072, 4096):  # 2048 is missing there, unlike in the original
        return checkpoint(
            num_blocks=num_blocks, block_size=block_size, random_blocks=random_blocks, num_heads=num_heads, seed=seed
        )
    num_rows = -(-num_blocks // _ROWS_AT_ONCE) * _ROWS_AT_ONCE  # a shorter document reads the first rows
    blocks = _train_table(random_blocks, num_heads, seed, num_rows)[:, :num_blocks].copy()
    blocks[:, -1] = -1
    return blocks


def transformers_eval(*, num_blocks: int, random_blocks: int) -> Blocks:
    """What transformers 5.23 uses outside training: block 0 in every random slot, the same for all heads."""
    return np.zeros((1, num_blocks, random_blocks), np.int64)


@lru_cache(maxsize=256)
def _table(block_size: int, random_blocks: int, num_heads: int, seed: int, num_rows: int) -> Blocks:
    """The checkpoint graph's [heads, num_rows, slots]; see `checkpoint`."""
    table_rows = TABLE_LENGTH // block_size
    last = RANDOM_REACH // block_size - 1 if 2 * block_size < RANDOM_REACH else table_rows - 1
    reach = max(min(last, table_rows - 2), 0)  # drawn are blocks 1 … reach, without the row's neighbours
    heads, inner, behind = np.arange(num_heads), np.arange(1, table_rows - 1), np.arange(table_rows - 1, num_rows)
    # The original draws head by head; rows behind its table follow row by row, so that the table never changes.
    head = np.concatenate((np.repeat(heads, len(inner)), np.tile(heads, len(behind))))
    row = np.concatenate((np.tile(inner, num_heads), np.repeat(behind, num_heads)))
    # The original forgets to leave out the neighbours in the two rows before its last.
    keeps_neighbours = ((row == table_rows - 3) | (row == table_rows - 2)) & (row > 2)
    first, num_left_out = np.maximum(row - 1, 1), np.clip(reach + 2 - row, 0, 3) - (row == 1)
    num_left_out = np.where(keeps_neighbours, 0, np.minimum(num_left_out, reach))
    size = reach - num_left_out
    drawn = 1 + _start_of_permutations(np.random.RandomState(seed), size, random_blocks).astype(np.int64)
    drawn += np.where(drawn >= first, num_left_out, 0)  # step over those left out
    drawn[np.arange(random_blocks)[:, None] >= size] = -1
    table = np.full((num_heads, num_rows, random_blocks), -1, np.int64)
    table[head, row] = drawn.T
    return table


@lru_cache(maxsize=256)
def _train_table(random_blocks: int, num_heads: int, seed: int, num_rows: int) -> Blocks:
    """What transformers draws for long documents, [heads, num_rows, slots]: of 2r + 5 blocks the first r allowed."""
    reach, row = 2 * random_blocks + 5, np.repeat(np.arange(1, num_rows), num_heads)
    drawn = _start_of_permutations(np.random.RandomState(seed), np.full(len(row), reach), random_blocks + 5)
    row = np.minimum(row, reach + 1).astype(drawn.dtype)
    allowed = (drawn != 0) & (drawn != reach - 1) & ((drawn + 1 < row) | (drawn > row + 1))
    allowed &= (drawn != reach - 2) | (row != 1)
    allowed &= (drawn != 1) | (row != reach - 2)
    found, place = np.zeros((random_blocks, len(row)), drawn.dtype), np.zeros_like(row)
    for block, is_allowed in zip(drawn, allowed, strict=True):
        for slot in range(random_blocks):
            found[slot] += (block + 1) * (is_allowed & (place == slot))
        place += is_allowed
    blocks = np.full((num_heads, num_rows, random_blocks), -1, np.int64)
    blocks[:, 1:] = found.reshape(random_blocks, num_rows - 1, num_heads).transpose(2, 1, 0)
    blocks[:, 1:] -= 1
    return blocks


def _start_of_permutations(generator: np.random.RandomState, sizes: Blocks, count: int) -> NDArray[np.unsignedinteger]:
    """The first `count` numbers of generator.permutation(size) for each size, one after the other: [count, sizes].

    That shuffle swaps place i with one drawn from 0 … i, for i from size - 1 down to 1. One call draws all of them: the
    same words of the same stream, and none for i alone, which stands where a size has no place i. Then every place is
    followed back through the swaps. A place behind a permutation's end holds its own number.
    """
    most = max(int(sizes.max(initial=0)), count, 1)
    dtype = np.min_scalar_type(most)
    found = np.empty((count, len(sizes)), dtype)
    place = np.arange(most - 1, 0, -1)
    step = max(1, _DRAWN_AT_ONCE // most)
    for start in range(0, len(sizes), step):
        here = slice(start, start + step)
        least = np.where(place < sizes[here, None], 0, place)
        swaps = np.ascontiguousarray(generator.randint(least, place + 1, dtype=np.uint32).T.astype(dtype))
        at = np.broadcast_to(np.arange(count, dtype=dtype)[:, None], found[:, here].shape).copy()
        for one, other in zip(place[::-1].astype(dtype), swaps[::-1], strict=True):
            at ^= ((at == one) | (at == other)) * (one ^ other)
        found[:, here] = at
    return found
