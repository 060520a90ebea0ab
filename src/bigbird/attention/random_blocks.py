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
    reach = 2 * random_blocks + 5
    generator = np.random.RandomState(seed)
    blocks = np.full((num_heads, num_blocks, random_blocks), -1, np.int64)
    for row in range(1, num_blocks - 1):
        illegal = {row - 1, row, row + 1, 0, reach - 1}
        illegal |= {reach - 2} if row == 1 else set()
        illegal |= {1} if row == reach - 2 else set()
        for head in range(num_heads):
            legal = [block for block in generator.permutation(reach) if block not in illegal][:random_blocks]
            blocks[head, row, : len(legal)] = legal
    return blocks


def transformers_eval(*, num_blocks: int, random_blocks: int) -> Blocks:
    """What transformers 5.23 uses outside training: block 0 in every random slot, the same for all heads."""
    return np.zeros((1, num_blocks, random_blocks), np.int64)


@lru_cache(maxsize=256)
def _table(block_size: int, random_blocks: int, num_heads: int, seed: int, num_rows: int) -> Blocks:
    table_rows = TABLE_LENGTH // block_size
    last = RANDOM_REACH // block_size - 1 if 2 * block_size < RANDOM_REACH else table_rows - 1
    generator = np.random.RandomState(seed)  # private, with the stream np.random.seed(layer) gives the original
    table = np.full((num_heads, num_rows, random_blocks), -1, np.int64)
    reachable = np.arange(1, max(min(last, table_rows - 2), 0) + 1)

    def draw(head: int, row: int) -> None:
        # The original forgets to leave out the neighbours in the two rows before its last.
        keep_neighbours = row in (table_rows - 3, table_rows - 2) and row > 2
        candidates = reachable if keep_neighbours else reachable[abs(reachable - row) > 1]
        drawn = generator.permutation(candidates)[:random_blocks]
        table[head, row, : len(drawn)] = drawn

    for head in range(num_heads):
        for row in range(1, table_rows - 1):
            draw(head, row)
    for row in range(table_rows - 1, num_rows):
        for head in range(num_heads):
            draw(head, row)
    return table
