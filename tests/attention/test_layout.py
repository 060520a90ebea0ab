from dataclasses import replace

import pytest
import torch

from bigbird.attention import ContextShard, DocumentLayout, PatternSpec
from bigbird.errors import ConfigError, ShapeError


def test_documents_start_on_block_boundaries():
    layout = DocumentLayout((3, 5, 4), block_size=4)
    assert layout.starts == (0, 4, 12)
    assert layout.total_length == 16
    assert layout.places().tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 12, 13, 14, 15]
    assert layout.positions().tolist() == [0, 1, 2, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 1, 2, 3]
    assert layout.is_real().nonzero()[:, 0].tolist() == layout.places().tolist()


def test_packing_and_unpacking_is_the_identity():
    layout = DocumentLayout((3, 5, 4), block_size=4)
    tokens = torch.arange(12.0)[:, None]
    packed = layout.pack(tokens, fill=-1)
    assert packed[~layout.is_real()].unique().tolist() == [-1]
    assert torch.equal(layout.unpack(packed), tokens)


def test_a_mask_gives_the_layout_wherever_the_padding_stands():
    mask = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 1]]).bool()
    assert DocumentLayout.from_mask(mask, block_size=2).lengths == (2, 3, 2)


@pytest.mark.parametrize("block_size", [1, 3, 16, 64])
def test_a_row_never_has_fewer_than_16_places(block_size):
    layout = DocumentLayout((2,), block_size=block_size)
    assert layout.total_length >= 16
    pattern = layout.pattern(PatternSpec(block_size=block_size), num_heads=2, layer=0)
    assert pattern.num_query_blocks * block_size == layout.total_length


def test_each_document_keeps_its_own_pattern():
    spec = PatternSpec(block_size=4)
    packed = DocumentLayout((61, 90), block_size=4).pattern(spec, num_heads=2, layer=3).counts()
    alone = spec.build(num_blocks=23, num_heads=2, layer=3).counts()
    assert torch.equal(packed[:, 16:, 16:], alone)
    assert packed[:, :16, 16:].sum() == packed[:, 16:, :16].sum() == 0


def test_patterns_are_kept_for_the_latest_layouts_alone():
    spec = PatternSpec(block_size=4)
    layouts = [DocumentLayout((40 + number, 90), block_size=4) for number in range(6)]
    kept = [layout.pattern(spec, num_heads=2, layer=layer) for layout in layouts for layer in (0, 1)]
    assert layouts[-1].pattern(spec, num_heads=2, layer=1) is kept[-1]
    assert layouts[0].pattern(spec, num_heads=2, layer=0) is not kept[0]


@pytest.mark.parametrize("lengths", [(), (3, 0)])
def test_an_empty_document_is_refused(lengths):
    with pytest.raises(ShapeError, match=r"every document needs at least one token, got lengths \["):
        DocumentLayout(lengths, block_size=4)


def test_a_row_is_filled_up_to_a_multiple_of_blocks_and_its_documents_stay_where_they_are():
    layout, filled = DocumentLayout((61, 90), block_size=4), DocumentLayout((61, 90), block_size=4, block_multiple=8)
    assert (layout.total_length // 4, filled.total_length // 4, filled.num_empty_blocks) == (39, 40, 1)
    assert torch.equal(layout.places(), filled.places())
    spec = PatternSpec(block_size=4)
    pattern, longer = (one.pattern(spec, num_heads=2, layer=1).counts() for one in (layout, filled))
    assert torch.equal(longer[:, :39, :39], pattern)
    assert longer.sum() == pattern.sum()
    assert DocumentLayout((8,), block_size=4, block_multiple=3).total_length == 24  # 16 places at least


def test_each_document_may_have_its_own_number_of_global_blocks():
    spec = PatternSpec(block_size=4, global_at="start")
    layout = DocumentLayout((90, 90, 120), block_size=4, global_blocks=(0, 5, 9))
    packed = layout.pattern(spec, num_heads=2, layer=3).counts()
    place = 0
    for num_blocks, num_global in ((23, 0), (23, 5), (30, 9)):
        own = PatternSpec(block_size=4, global_at="start", global_blocks=num_global)
        part = slice(place, place + num_blocks)
        assert torch.equal(packed[:, part, part], own.build(num_blocks=num_blocks, num_heads=2, layer=3).counts())
        place += num_blocks


def test_a_document_full_of_global_blocks_sees_all_of_itself():
    layout = DocumentLayout((90,), block_size=4, global_blocks=(23,))
    assert layout.pattern(PatternSpec(block_size=4, global_at="start"), num_heads=1, layer=0).counts().min() == 1


def test_patterns_of_layouts_that_differ_in_global_blocks_alone_are_kept_apart():
    spec = PatternSpec(block_size=4, global_at="start")
    layouts = [DocumentLayout((90,), block_size=4, global_blocks=given) for given in (None, (1,), (2,), (3,), (1,))]
    none, one, two, three, again = (layout.pattern(spec, num_heads=2, layer=0) for layout in layouts)
    assert torch.equal(none.counts(), two.counts())
    assert again is one and not torch.equal(one.counts(), three.counts())


def test_what_is_made_of_a_layout_keeps_its_global_blocks():
    spec = PatternSpec(block_size=4, global_at="start")
    layout = DocumentLayout((90, 61), block_size=4, global_blocks=(5, 1))
    filled = replace(layout, block_multiple=16)
    pattern, longer = (one.pattern(spec, num_heads=2, layer=1).counts() for one in (layout, filled))
    assert filled.num_empty_blocks and torch.equal(longer[:, :39, :39], pattern)
    parts = [ContextShard(layout, rank, 2).pattern(spec, num_heads=2, layer=1).plan.local for rank in range(2)]
    assert sum(int(part.key_counts.sum()) for part in parts) == pattern.sum()


@pytest.mark.parametrize("given", [(1,), (1, -1), (1, 2, 3)])
def test_global_blocks_that_are_no_number_for_each_document_are_refused(given):
    with pytest.raises(ShapeError, match=r"global_blocks must be a number from 0 for each of the 2 documents, got \["):
        DocumentLayout((3, 5), block_size=4, global_blocks=given)


@pytest.mark.parametrize("graph", ["paper", "checkpoint", "transformers-train", "transformers-eval"])
def test_global_blocks_need_a_pattern_that_has_them_at_the_start(graph):
    layout = DocumentLayout((90,), block_size=4, global_blocks=(2,))
    with pytest.raises(ConfigError, match=r"graph '.*'\) stand at both ends\. Set the pattern's global_at to 'start'"):
        layout.pattern(PatternSpec(block_size=4, graph=graph), num_heads=2, layer=0)
