"""Which blocks each query block sees, for documents of every length in one exported graph.

Window and global blocks are computed from the document's number of blocks; random ones are read from a table, made with
`PatternSpec.build`, one row per (document's blocks, query block). Lengths that draw alike share their rows:

    graph                     rows stored          maximum 4,096 / 16,384 tokens, 12 layers and heads, blocks of 64
    paper                     n (n + 1) / 2 each   1.7 MiB / 27 MiB    every length has a draw of its own
    checkpoint                n, for all lengths   0.05 MiB / 0.2 MiB  a shorter document reads the first rows
    transformers-train        n, twice
    transformers-eval         n, heads alike
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bigbird.attention import PatternSpec


class Seen(NamedTuple):
    """Key blocks of every query block, in slots; a block that stands in two slots counts twice.

    blocks    int64 [batch, lists, query_blocks, slots], within the row
    is_valid  bool, the same shape; what stands behind a document's end may be valid and holds no real key
    """

    blocks: Tensor
    is_valid: Tensor


class SeenBlocks(nn.Module):
    """The pattern of a batch whose documents start at the rows' start, layer by layer.

    The lists of global query blocks mean nothing: their rows see every key.
    """

    def __init__(self, spec: PatternSpec, *, num_heads: int, num_layers: int, max_blocks: int) -> None:
        super().__init__()
        self.spec = spec
        self.num_full = min(spec.num_full_blocks, max_blocks)
        starts, tables = [], []
        if spec.random_blocks:
            for layer in range(num_layers):
                first_rows, table = _random_table(spec, num_heads, layer, self.num_full, max_blocks)
                starts.append(first_rows)
                tables.append(table)
        self.starts = nn.ParameterList(nn.Parameter(x, requires_grad=False) for x in starts)
        self.tables = nn.ParameterList(nn.Parameter(x, requires_grad=False) for x in tables)

    def at_global(self, num_blocks: Tensor) -> Tensor:
        """Numbers of the global blocks: int64 [batch, global_blocks], repeated in short documents."""
        at_end = self.spec.num_global_at_end
        first = torch.arange(self.spec.global_blocks - at_end).expand(num_blocks.shape[0], -1)
        last = num_blocks[:, None] - at_end + torch.arange(at_end)
        return torch.minimum(torch.cat((first, last), dim=1), num_blocks[:, None] - 1).clamp_min(0)

    def always(self, num_blocks: Tensor, query_block: Tensor) -> Seen:
        """Window and global blocks; num_blocks int64 [batch], query_block int64 [query_blocks]: lists is 1."""
        spec, count = self.spec, num_blocks[:, None, None, None]
        at_end = spec.num_global_at_end
        at_start = spec.global_blocks - at_end
        shape = (num_blocks.shape[0], 1, query_block.shape[0], -1)
        window = query_block[:, None] + (torch.arange(spec.window_blocks) - spec.window_blocks // 2)
        window = window[None, None].expand(shape)
        first = torch.arange(at_start).expand(shape)
        last = (count - at_end + torch.arange(at_end)).expand(shape)
        return Seen(
            torch.cat((window, first, last), dim=3),
            torch.cat(((window >= at_start) & (window < count - at_end), first >= 0, last >= 0), dim=3),
        )

    def of_layer(self, layer: int, always: Seen, num_blocks: Tensor, query_block: Tensor) -> Seen:
        """All blocks seen in a layer; a document of at most `num_full` blocks sees all of itself."""
        blocks, is_valid = always
        if self.spec.random_blocks:
            chance = self._random(layer, num_blocks, query_block)
            lists = chance.shape[1]
            blocks = torch.cat((blocks.expand(-1, lists, -1, -1), chance), dim=3)
            is_valid = torch.cat((is_valid.expand(-1, lists, -1, -1), chance >= 0), dim=3)
        missing = max(0, self.num_full - blocks.shape[3])
        blocks = nn.functional.pad(blocks, (0, missing))
        is_valid = nn.functional.pad(is_valid, (0, missing), value=False)
        slot = torch.arange(blocks.shape[3])
        is_short = (num_blocks <= self.num_full)[:, None, None, None]
        return Seen(
            torch.where(is_short, slot, blocks).clamp_min(0),
            is_short | is_valid,  # slots behind its last block hold no real key
        )

    def _random(self, layer: int, num_blocks: Tensor, query_block: Tensor) -> Tensor:
        """[batch, lists, query_blocks, random_blocks], -1 in empty slots."""
        inside = torch.minimum(query_block, (num_blocks[:, None] - 1).clamp_min(0))
        row = self.starts[layer].index_select(0, num_blocks)[:, None] + inside
        found = self.tables[layer].index_select(0, row.flatten()).long()
        shape = (num_blocks.shape[0], query_block.shape[0], -1, self.spec.random_blocks)
        by_list: Tensor = found.reshape(shape).permute(0, 2, 1, 3)
        return by_list


def _random_table(
    spec: PatternSpec, num_heads: int, layer: int, num_full: int, max_blocks: int
) -> tuple[Tensor, Tensor]:
    """Where a document's rows start, int64 [max_blocks + 1], and the rows, int16 [rows, lists * random_blocks]."""
    starts = torch.zeros(max_blocks + 1, dtype=torch.int64)
    pieces: list[tuple[int, Tensor]] = []
    num_rows = 0
    for count in range(max_blocks, num_full, -1):  # the longest first: others may be a part of it
        rows = _random_rows(spec, num_heads, layer, count)
        shared = next((start for start, piece in pieces[:2] if _continues(piece, rows, spec)), None)
        if shared is None:
            pieces.append((num_rows, rows))
            shared, num_rows = num_rows, num_rows + count
        starts[count] = shared
    return starts, torch.cat([rows.flatten(1) for _, rows in pieces]).to(torch.int16)


def _continues(longer: Tensor, rows: Tensor, spec: PatternSpec) -> bool:
    """Whether a document's rows are the first rows of a longer one's, but for blocks behind its end."""
    count, at_end = len(rows), spec.num_global_at_end
    if len(longer) < count or longer.shape[1:] != rows.shape[1:]:
        return False
    inner = slice(spec.global_blocks - at_end, count - at_end)
    return torch.equal(_ascending(longer[inner], count), _ascending(rows[inner], count))


def _ascending(rows: Tensor, num_blocks: int) -> Tensor:
    ascending: Tensor = torch.where((rows < 0) | (rows >= num_blocks), num_blocks, rows).sort(dim=2).values
    return ascending


def _random_rows(spec: PatternSpec, num_heads: int, layer: int, num_blocks: int) -> Tensor:
    """Blocks seen beyond window and global ones, as often as they count: [query_blocks, lists, random_blocks]."""
    pattern = spec.build(num_blocks=num_blocks, num_heads=num_heads, layer=layer)
    at_end = spec.num_global_at_end
    query, key = pattern.rows % num_blocks, pattern.key_blocks
    offset = key - query + spec.window_blocks // 2
    is_global = [(x < spec.global_blocks - at_end) | (x >= num_blocks - at_end) for x in (query, key)]
    is_always = ((offset >= 0) & (offset < spec.window_blocks)) | is_global[1]
    extra = torch.where(is_global[0], 0, pattern.key_counts - is_always.long())
    per_row = torch.zeros(pattern.num_lists, dtype=torch.int64).index_add_(0, pattern.rows, extra)
    row = torch.repeat_interleave(per_row)
    slot = torch.arange(len(row)) - (per_row.cumsum(0) - per_row)[row]
    rows = torch.full((pattern.num_lists, spec.random_blocks), -1)
    rows[row, slot] = torch.repeat_interleave(key, extra)
    return rows.reshape(-1, num_blocks, spec.random_blocks).transpose(0, 1)
