"""A rank's part of a row answers what the row's layout answers, for the places the rank owns."""

import pytest
import torch

from bigbird.attention import ContextShard, DocumentLayout, PatternSpec
from bigbird.errors import ShapeError

LAYOUT = DocumentLayout((3, 5, 4), 4)  # | a a a . | b b b b | b . . . | c c c c |


def test_two_ranks_own_two_blocks_each():
    first, second = (ContextShard(LAYOUT, rank, 2) for rank in range(2))
    assert (first.blocks, second.blocks) == (range(2), range(2, 4))
    assert (first.owned, second.owned) == (slice(0, 8), slice(8, 16))
    assert (first.tokens, second.tokens) == (slice(0, 7), slice(7, 12))
    assert (first.num_tokens, second.num_tokens) == (7, 5)
    assert first.positions().tolist() == [0, 1, 2, 0, 0, 1, 2, 3]
    assert second.positions().tolist() == [4, 0, 0, 0, 0, 1, 2, 3]  # b goes on where the other rank stops
    assert second.is_real().tolist() == [True, False, False, False, True, True, True, True]
    assert second.places().tolist() == [0, 4, 5, 6, 7]
    assert second.unpack(torch.arange(8)).tolist() == [0, 4, 5, 6, 7]
    assert second.lengths == LAYOUT.lengths and second.block_size == 4


def test_keys_are_those_of_the_whole_row():
    assert torch.equal(ContextShard(LAYOUT, 1, 2).key_mask(), LAYOUT.is_real()[None])


def test_a_rank_may_own_nothing():
    shards = [ContextShard(DocumentLayout((20,), 32), rank, 3) for rank in range(3)]
    assert [shard.total_length for shard in shards] == [0, 0, 32]
    assert [shard.num_tokens for shard in shards] == [0, 0, 20]
    assert shards[0].places().tolist() == [] and shards[0].positions().tolist() == []


def test_plans_are_kept_for_all_that_ask_alike():
    spec = PatternSpec(block_size=4)
    plan, group = ContextShard(LAYOUT, 1, 2).pattern(spec, num_heads=2, layer=1)
    assert group is None and plan.query_blocks == range(2, 4)
    assert ContextShard(LAYOUT, 1, 2).pattern(spec, num_heads=2, layer=1).plan is plan
    assert ContextShard(LAYOUT, 0, 2).pattern(spec, num_heads=2, layer=1).plan is not plan


def test_a_rank_that_is_none_is_refused():
    with pytest.raises(ShapeError, match="rank must be from 0 to num_ranks - 1, got rank 2 of 2"):
        ContextShard(LAYOUT, 2, 2)
