"""How long a run's rows are and whether they differ, read off its first steps."""

from __future__ import annotations

from typing import NamedTuple

from bigbird.attention import DocumentLayout
from bigbird.training.batches import Batches

_STEPS, _MOST_TOKENS = 8, 65_536  # more tokens are not read for it, but for a second step


class RowLengths(NamedTuple):
    """Of a run's micro-batches.

    longest    places
    is_varied  they differ by whole blocks: records are windows or texts of any length, not rows filled to the brim
    """

    longest: int
    is_varied: bool


def row_lengths(batches: Batches) -> RowLengths:
    """On this process' first steps, which are made as in the run."""
    places: list[int] = []
    blocks: set[int] = set()  # of the documents, without what rows are filled up with
    for step in range(min(_STEPS, batches.config.num_steps)):
        for layout in (batch.layout for batch in batches.of_step(step)):
            assert isinstance(layout, DocumentLayout)
            places.append(layout.total_length)
            blocks.add(sum(layout.block_counts))
        if step and sum(places) >= _MOST_TOKENS:
            break
    return RowLengths(max(places), len(blocks) > 1)
