"""Which tokens of a corpus make which row in an epoch: every token once, rows as full as blocks allow.

Documents are laid one behind the other in an order drawn for the epoch; where a row is full, the document is cut and
goes on in the next. A piece takes whole blocks, its two special tokens included:

    row_length 32, block_size 8        documents a of 36, b of 9, c of 5 tokens, in the order b c a

    row 0   | C b b b b b b b | b b S . . . . . | C c c c c c S . | C a a a a a a S |
    row 1   | C a a a a a a a | a a a a a a a a | a a a a a a a a | a a a a a a S . |

An epoch has the same number of rows whatever its order, so that a position in the endless series of epochs is a number.
It is the most rows that any order can need; an epoch that needs fewer has some of its rows parted in two.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness
from bigbird.data.packing import NUM_SPECIAL, RowShape


class CorpusPlan(NamedTuple):
    """The pieces of an epoch, row after row; memory grows with their number alone.

    documents     int64 [pieces], places in the list of documents that was given
    starts, ends  int64 [pieces], tokens [start, end) of the document
    row_starts    int64 [rows + 1]: row r holds pieces row_starts[r] to row_starts[r + 1]
    """

    documents: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    row_starts: NDArray[np.int64]

    @property
    def num_rows(self) -> int:
        """Rows of the epoch."""
        return len(self.row_starts) - 1

    def wasted(self, shape: RowShape) -> float:
        """Share of the rows' places that hold neither a token nor one of the two special tokens of a piece."""
        used = int((self.ends - self.starts).sum()) + NUM_SPECIAL * len(self.starts)
        return 1 - used / (self.num_rows * shape.row_length)


def rows_per_epoch(num_tokens: NDArray[np.int64], shape: RowShape) -> int:
    """Rows of every epoch over documents of so many tokens: the most that any order of them can need.

    A document needs one piece more than the fewest when it begins late in a row. No row's end cuts two documents, so
    no more documents than there are rows can be so unlucky.
    """
    fewest = _fewest_pieces(num_tokens, shape)
    most = 1 + _ceil(np.maximum(num_tokens - (shape.block_size - NUM_SPECIAL), 0), _room_behind_a_cut(shape))
    blocks, at_most = _blocks(num_tokens, fewest, shape), _blocks(num_tokens, np.maximum(fewest, most), shape)
    certain, perhaps = int(blocks.sum()), int((at_most - blocks).sum())
    num_rows = -(-(certain + perhaps) // shape.num_blocks)
    unlucky = int((at_most - blocks).max(initial=0))  # 0 or 1
    if unlucky < shape.num_blocks:
        num_rows = min(num_rows, -(-certain // (shape.num_blocks - unlucky)))
    return num_rows


def plan_epoch(num_tokens: NDArray[np.int64], shape: RowShape, *, seed: int, epoch: int | None) -> CorpusPlan:
    """The rows of an epoch over documents of `num_tokens` tokens, each at least 1: int64 [documents].

    epoch  None leaves the documents in the order given
    """
    count = len(num_tokens)
    order = np.arange(count) if epoch is None else randomness.permutation(count, seed, epoch)
    plan = _laid_out(num_tokens, order, shape)
    return _with_rows(plan, rows_per_epoch(num_tokens, shape), shape)


def _laid_out(num_tokens: NDArray[np.int64], order: NDArray[np.int64], shape: RowShape) -> CorpusPlan:
    lengths = num_tokens[order]
    first_ends, num_pieces, first_blocks = _first_pieces(lengths, shape)
    index = np.repeat(np.arange(len(order)), num_pieces)
    place = np.arange(len(index)) - np.repeat(
        num_pieces.cumsum() - num_pieces, num_pieces
    )  # of a piece in its document
    room = _room_behind_a_cut(shape)
    ends = np.minimum(first_ends[index] + place * room, lengths[index])
    starts = np.where(place == 0, 0, first_ends[index] + (place - 1) * room)
    blocks = _ceil(ends - starts + NUM_SPECIAL + np.where(place == 0, 0, shape.shift), shape.block_size)
    assert first_blocks == int(blocks.sum())
    row_ends = np.flatnonzero(blocks.cumsum() % shape.num_blocks == 0) + 1
    row_starts = np.unique(np.concatenate([[0], row_ends, [len(index)]]))
    return CorpusPlan(order[index], starts, ends, row_starts)


def _first_pieces(lengths: NDArray[np.int64], shape: RowShape) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Where each document's first piece ends, how many pieces it has, and the blocks of all of them."""
    size, full, shift = shape.block_size, shape.num_blocks, shape.shift
    behind = full * size - NUM_SPECIAL - shift
    taken, first_ends, num_pieces = 0, [], []
    for length in lengths.tolist():
        room = full - taken % full
        first = min(length, room * size - NUM_SPECIAL)
        more = length - first
        pieces, last = (-(-more // behind), (more - 1) % behind + 1) if more else (0, 0)
        first_ends.append(first)
        num_pieces.append(1 + pieces)
        taken += -(-(first + NUM_SPECIAL) // size)
        if pieces:
            taken += (pieces - 1) * full - (-(last + NUM_SPECIAL + shift) // size)
    return np.array(first_ends, np.int64), np.array(num_pieces, np.int64), taken


def _with_rows(plan: CorpusPlan, num_rows: int, shape: RowShape) -> CorpusPlan:
    """The plan with as many rows more as `num_rows` asks for, got by parting the first rows that can be parted."""
    while plan.num_rows < num_rows:
        counts = np.diff(plan.row_starts)
        last = plan.row_starts[1:] - 1  # the last piece of each row
        is_long = plan.ends[last] - plan.starts[last] > 2 * shape.shift + 1
        parted = np.flatnonzero((counts > 1) | is_long)[: num_rows - plan.num_rows]
        assert len(parted), "more rows than tokens"
        cut = parted[counts[parted] == 1]
        plan = _with_pieces_cut(plan, last[cut])
        firsts = plan.row_starts[parted]
        middles = firsts + (plan.row_starts[parted + 1] - firsts) // 2
        plan = plan._replace(row_starts=np.sort(np.concatenate([plan.row_starts, middles])))
    return plan


def _with_pieces_cut(plan: CorpusPlan, pieces: NDArray[np.int64]) -> CorpusPlan:
    """The plan with these pieces cut in the middle; both halves stay in their row."""
    middles = (plan.starts[pieces] + plan.ends[pieces]) // 2
    added = np.searchsorted(pieces, plan.row_starts)  # pieces cut in the rows before
    return CorpusPlan(
        np.insert(plan.documents, pieces, plan.documents[pieces]),
        np.insert(plan.starts, pieces + 1, middles),
        np.insert(plan.ends, pieces, middles),
        plan.row_starts + added,
    )


def _room_behind_a_cut(shape: RowShape) -> int:
    """Tokens of a piece that fills a row and begins with a cut."""
    return shape.row_length - NUM_SPECIAL - shape.shift


def _fewest_pieces(num_tokens: NDArray[np.int64], shape: RowShape) -> NDArray[np.int64]:
    more = np.maximum(num_tokens - (shape.row_length - NUM_SPECIAL), 0)
    return 1 + _ceil(more, _room_behind_a_cut(shape))


def _blocks(num_tokens: NDArray[np.int64], pieces: NDArray[np.int64], shape: RowShape) -> NDArray[np.int64]:
    """Blocks of documents cut into so many pieces; all but the last are full, so only that one is rounded up."""
    return _ceil(num_tokens + NUM_SPECIAL * pieces + shape.shift * (pieces - 1), shape.block_size)


def _ceil(numbers: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return -(-numbers // size)
