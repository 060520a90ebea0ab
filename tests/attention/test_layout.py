import pytest
import torch

from bigbird.attention import DocumentLayout, PatternSpec
from bigbird.errors import ShapeError


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
