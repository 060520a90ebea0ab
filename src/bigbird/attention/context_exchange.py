"""Tiles between ranks: out by a plan's transfers and home again, in one collective call each way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from bigbird.attention.context_plan import Transfer

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup  # PyTorch without `distributed` has none


def group_size(group: ProcessGroup | None) -> int:
    """Processes of the group; 1 where none have been connected."""
    is_connected = dist.is_available() and dist.is_initialized()
    return dist.get_world_size(group) if is_connected else 1


def send(parts: Sequence[tuple[Tensor, Transfer]], group: ProcessGroup | None) -> list[Tensor]:
    """Own tiles to the ranks that need them: [own tiles, ...] each -> those that arrive, source after source.

    Every rank of the group calls this at the same point; a number of tensors travels in one message per pair of ranks.
    """
    leaving = [tiles.index_select(0, transfer.sent) for tiles, transfer in parts]
    counts = [(transfer.sent_counts, transfer.received_counts) for _, transfer in parts]
    return _swap(leaving, counts, group)


def send_home(parts: Sequence[tuple[Tensor, Transfer]], group: ProcessGroup | None) -> list[Tensor]:
    """What became of tiles that arrived, [local tiles, ...] each -> at their owners, in the order of `sent`."""
    leaving = [tiles.index_select(0, transfer.places) for tiles, transfer in parts]
    counts = [(transfer.received_counts, transfer.sent_counts) for _, transfer in parts]
    return _swap(leaving, counts, group)


def summed(own: Tensor, arrived: Tensor, transfer: Transfer) -> Tensor:
    """Own tiles plus what `send_home` brought, rank after rank: the order of additions never varies."""
    total = own.to(torch.promote_types(own.dtype, torch.float32), copy=True)
    for part in returns(transfer):
        total[transfer.sent[part]] += arrived[part]  # a rank returns no tile twice
    return total.to(own.dtype)


def returns(transfer: Transfer) -> list[slice]:
    """Which of the tiles that came home came from each rank."""
    return [slice(*ends) for ends in pairwise(accumulate(transfer.sent_counts, initial=0))]


def _swap(
    parts: Sequence[Tensor], counts: Sequence[tuple[tuple[int, ...], tuple[int, ...]]], group: ProcessGroup | None
) -> list[Tensor]:
    """parts: [tiles, ...], destination after destination; counts: of tiles to and from each rank, for each part."""
    num_ranks, widths = len(counts[0][0]), [_width(part) for part in parts]
    if num_ranks == 1:
        return [part[:0] for part in parts]
    split = [part.split(sent) for part, (sent, _) in zip(parts, counts, strict=True)]
    message = torch.cat([piece.flatten().view(torch.uint8) for pieces in zip(*split, strict=True) for piece in pieces])
    out_sizes = [sum(w * s[r] for w, (s, _) in zip(widths, counts, strict=True)) for r in range(num_ranks)]
    in_sizes = [sum(w * g[r] for w, (_, g) in zip(widths, counts, strict=True)) for r in range(num_ranks)]
    arrived = message.new_empty(sum(in_sizes))
    dist.all_to_all_single(arrived, message, in_sizes, out_sizes, group=group)
    return _unpacked(arrived, parts, [got for _, got in counts], widths)


def _width(part: Tensor) -> int:
    """Bytes of one tile."""
    return part.element_size() * math.prod(part.shape[1:])


def _unpacked(
    arrived: Tensor, parts: Sequence[Tensor], counts: Sequence[tuple[int, ...]], widths: Sequence[int]
) -> list[Tensor]:
    """The message, source after source and part after part within, as one tensor per part."""
    num_ranks = len(counts[0])
    sizes = [width * got[rank] for rank in range(num_ranks) for width, got in zip(widths, counts, strict=True)]
    pieces = arrived.split(sizes)
    return [
        torch.cat(pieces[number :: len(parts)]).view(part.dtype).view(-1, *part.shape[1:])
        for number, part in enumerate(parts)
    ]
