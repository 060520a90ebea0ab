import pytest
import torch

from bigbird.attention import BlockPattern, PatternSpec, pack_patterns
from bigbird.errors import ConfigError, ShapeError


def listed(pattern: BlockPattern, head: int, query_block: int) -> list[int]:
    return pattern.counts()[head, query_block].nonzero()[:, 0].tolist()


def test_paper_pattern_is_window_plus_globals_plus_distinct_random_blocks():
    spec = PatternSpec(window_blocks=3, global_blocks=2, random_blocks=3)
    counts = spec.build(num_blocks=40, num_heads=4, layer=2).counts()
    assert counts.max() == 1
    assert (counts[:, [0, 39]] == 1).all(), "global rows see every block"
    assert (counts[:, :, [0, 39]] == 1).all(), "global blocks are seen by every row"
    for row in range(2, 38):
        assert (counts[:, row, row - 1 : row + 2] == 1).all()
        assert (counts[:, row].sum(-1) == 8).all()
    assert (counts[:, [1, 38]].sum(-1) == 7).all(), "the window of the outermost rows overlaps a global block"


def test_random_blocks_reach_the_whole_document():
    counts = PatternSpec(window_blocks=0, global_blocks=0, random_blocks=2).build(num_blocks=64, num_heads=12).counts()
    assert (counts.sum(-1) == 2).all()
    seen_by_any = counts.sum((0, 1))
    assert (seen_by_any > 0).all()
    assert seen_by_any.max() <= 3 * seen_by_any.float().mean()


def test_heads_and_layers_and_seeds_draw_differently_and_the_same_key_draws_the_same():
    spec = PatternSpec(random_blocks=3)
    first = spec.build(num_blocks=64, num_heads=2, layer=0).counts()
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, spec.build(num_blocks=64, num_heads=2, layer=1).counts())
    assert not torch.equal(first, PatternSpec(seed=1).build(num_blocks=64, num_heads=2).counts())
    assert torch.equal(first, PatternSpec(random_blocks=3).build(num_blocks=64, num_heads=2).counts())


def test_the_paper_graph_never_changes_between_releases():
    # Saved models name only the spec; these lists were drawn when the format was fixed (2026-11-23).
    pattern = PatternSpec(window_blocks=1, global_blocks=1, random_blocks=2, seed=7).build(
        num_blocks=12, num_heads=2, layer=3
    )
    assert [listed(pattern, 1, row) for row in (1, 5, 11)] == EXPECTED_LISTS


EXPECTED_LISTS = [[0, 1, 8, 9], [0, 5, 6, 8], [0, 2, 7, 11]]


@pytest.mark.parametrize(
    ("window", "expected"), [(0, []), (1, [5]), (2, [4, 5]), (3, [4, 5, 6]), (4, [3, 4, 5, 6]), (5, [3, 4, 5, 6, 7])]
)
def test_an_even_window_reaches_one_block_further_to_the_left(window, expected):
    spec = PatternSpec(window_blocks=window, global_blocks=0, random_blocks=0)
    assert listed(spec.build(num_blocks=12, num_heads=1), 0, 5) == expected


@pytest.mark.parametrize(("global_blocks", "ends"), [(0, []), (1, [0]), (2, [0, 11]), (3, [0, 1, 11])])
def test_global_blocks_stand_at_both_ends(global_blocks, ends):
    spec = PatternSpec(window_blocks=0, global_blocks=global_blocks, random_blocks=0)
    pattern = spec.build(num_blocks=12, num_heads=1)
    assert listed(pattern, 0, 5) == ends
    assert all(listed(pattern, 0, row) == list(range(12)) for row in ends)


@pytest.mark.parametrize("graph", ["paper", "checkpoint"])
def test_global_blocks_at_the_start_are_its_first_blocks_alone(graph):
    spec = PatternSpec(graph=graph, random_blocks=1, global_at="start")
    assert spec.num_global_at_end == 0
    counts = spec.build(num_blocks=30, num_heads=2).counts() > 0
    assert counts[:, :2].all()  # they see all
    assert counts[:, :, :2].all()  # and are seen by all
    assert not counts[:, 2:].all(2).any()
    assert not counts[:, :, 2:].all(1).any()


def test_global_blocks_stand_at_both_ends_unless_asked_for():
    assert PatternSpec().global_at == "ends"
    assert PatternSpec(global_blocks=3).num_global_at_end == 1


@pytest.mark.parametrize("graph", ["paper", "checkpoint", "transformers-train", "transformers-eval"])
@pytest.mark.parametrize("num_blocks", [1, 2, 5, 8])
def test_a_document_with_too_few_blocks_sees_all_of_itself(graph, num_blocks):
    pattern = PatternSpec(graph=graph).build(num_blocks=num_blocks, num_heads=3)
    assert torch.equal(pattern.counts(), torch.ones(3, num_blocks, num_blocks, dtype=torch.int64))


def test_heads_that_see_the_same_share_one_set_of_lists():
    shared = PatternSpec(random_blocks=0).build(num_blocks=20, num_heads=12)
    assert shared.num_lists == 20
    assert shared.counts().shape == (12, 20, 20)
    assert PatternSpec(random_blocks=1).build(num_blocks=20, num_heads=12).num_lists == 240


def test_queries_and_keys_may_be_two_documents():
    counts = PatternSpec(random_blocks=1).build(num_blocks=10, num_key_blocks=40, num_heads=2).counts()
    assert counts.shape == (2, 10, 40)
    assert (counts[:, [0, 9]] == 1).all()
    assert (counts[:, 5, [0, 19, 20, 21, 39]] == 1).all(), "row 5 of 10 looks at block 20 of 40"


def test_causal_drops_what_comes_later_and_nothing_else():
    pattern = PatternSpec(random_blocks=2).build(num_blocks=20, num_heads=2)
    causal = pattern.causal()
    assert torch.equal(causal.counts(), pattern.counts().tril())
    assert (pattern.is_causal, causal.is_causal, causal.causal().is_causal) == (False, True, True)
    assert causal.to("meta").is_causal, "it stays so wherever the lists go"


def test_packed_causal_documents_are_causal():
    spec = PatternSpec(random_blocks=1)
    plain = [spec.build(num_blocks=count, num_heads=2) for count in (3, 12, 1)]
    packed = pack_patterns([pattern.causal() for pattern in plain])
    assert packed.is_causal
    assert torch.equal(packed.counts(), pack_patterns(plain).causal().counts())


def test_causal_patterns_and_others_are_not_packed_together():
    pattern = PatternSpec().build(num_blocks=2, num_heads=1)
    with pytest.raises(
        ShapeError, match=r"some are causal and some are not. .* with pattern.causal\(\), the empty ones"
    ):
        pack_patterns([pattern.causal(), pattern])


def test_between_two_documents_there_is_no_earlier_and_later():
    pattern = PatternSpec().build(num_blocks=9, num_key_blocks=20, num_heads=1)
    with pytest.raises(ShapeError, match=r"for self-attention, .* got 9 query blocks and 20 key blocks. Leave cross"):
        pattern.causal()


def test_a_table_survives_the_way_into_lists_and_back():
    table = torch.randint(0, 3, (2, 5, 7), generator=torch.Generator().manual_seed(0))
    assert torch.equal(BlockPattern.from_counts(table, block_size=4).counts(), table)


def test_the_transposed_lists_are_the_transposed_table():
    pattern = PatternSpec(graph="checkpoint").build(num_blocks=16, num_heads=3, layer=1)
    assert torch.equal(pattern.transposed.counts(), pattern.counts().transpose(1, 2))
    shared = PatternSpec(random_blocks=0).build(num_blocks=16, num_key_blocks=20, num_heads=3)
    assert torch.equal(shared.transposed.counts(), shared.counts().transpose(1, 2))


def test_packed_documents_see_themselves_alone():
    spec = PatternSpec(random_blocks=1)
    patterns = [spec.build(num_blocks=count, num_heads=2, layer=4) for count in (3, 12, 1, 9)]
    packed = pack_patterns(patterns).counts()
    assert packed.shape == (2, 25, 25)
    expected = torch.stack([torch.block_diag(*(pattern.counts()[head] for pattern in patterns)) for head in (0, 1)])
    assert torch.equal(packed, expected)


def test_packing_full_documents_keeps_the_lists_shared():
    full = [PatternSpec().build(num_blocks=count, num_heads=12) for count in (3, 5)]
    assert pack_patterns(full).num_lists == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block_size": 0}, r"block_size must be at least 1, got 0"),
        ({"window_blocks": -1}, r"window_blocks must be at least 0, got -1"),
        ({"seed": -3}, r"seed must be from 0 to 2147483647, got -3"),
        ({"seed": 2**31}, r"seed must be from 0 to 2147483647, got 2147483648"),
        ({"graph": "papper"}, r"graph must be one of paper, checkpoint, .*got 'papper'"),
        ({"global_at": "middle"}, r"global_at must be one of ends, start, got 'middle'"),
        (
            {"graph": "transformers-eval", "global_at": "start"},
            r"graph 'transformers-eval' has global blocks at both ends, .* Set global_at 'ends', or graph 'paper'",
        ),
    ],
)
def test_a_spec_refuses_what_makes_no_pattern(arguments, message):
    with pytest.raises(ConfigError, match=message):
        PatternSpec(**arguments)


def test_build_refuses_an_empty_document():
    with pytest.raises(ShapeError, match="num_blocks must be at least 1, got 0"):
        PatternSpec().build(num_blocks=0, num_heads=1)


def test_published_graphs_are_for_self_attention():
    with pytest.raises(ConfigError, match=r"graph 'checkpoint' is defined for self-attention, got 9 .* and 20"):
        PatternSpec(graph="checkpoint").build(num_blocks=9, num_key_blocks=20, num_heads=1)


def test_patterns_packed_together_must_agree():
    one, other = (
        PatternSpec(block_size=8).build(num_blocks=2, num_heads=1),
        PatternSpec().build(num_blocks=2, num_heads=1),
    )
    with pytest.raises(ShapeError, match="must agree: got block_size 8 with 1 heads and block_size 64"):
        pack_patterns([one, other])
    with pytest.raises(ShapeError, match="at least one pattern"):
        pack_patterns([])


@pytest.mark.parametrize(
    "table", [torch.ones(2, 2, dtype=torch.int64), torch.ones(1, 2, 2), -torch.ones(1, 2, 2).int()]
)
def test_from_counts_refuses_what_is_no_table(table):
    with pytest.raises(ShapeError, match="counts must be a non-empty integer tensor"):
        BlockPattern.from_counts(table, block_size=4)
