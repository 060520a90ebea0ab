"""Rows of an epoch: every token once, as full as blocks allow, as many rows whatever the order."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.attention import DocumentLayout
from bigbird.data.corpus_plan import _with_rows, plan_epoch, rows_per_epoch
from bigbird.data.packing import RowShape
from bigbird.errors import ConfigError

SHAPES = st.builds(
    lambda blocks, size, whole: RowShape(row_length=blocks * size, block_size=size, whole_words=whole),
    st.integers(1, 9),
    st.sampled_from([8, 9, 16, 64]),
    st.booleans(),
)
LENGTHS = st.lists(st.one_of(st.integers(1, 80), st.integers(1, 5000)), min_size=1, max_size=40)


def rows_of(plan):
    """The pieces (document, start, end) of each row."""
    pieces = list(zip(plan.documents.tolist(), plan.starts.tolist(), plan.ends.tolist(), strict=True))
    bounds = plan.row_starts.tolist()
    return [pieces[first:end] for first, end in pairwise(bounds)]


@settings(deadline=None, max_examples=200)
@given(LENGTHS, SHAPES, st.integers(0, 2**63 - 1), st.one_of(st.none(), st.integers(0, 1000)))
def test_every_token_is_in_one_row_and_every_row_fits(lengths, shape, seed, epoch):
    rows = rows_of(plan_epoch(np.array(lengths), shape, seed=seed, epoch=epoch))
    places = sorted(piece for row in rows for piece in row)
    for document, length in enumerate(lengths):
        mine = [(start, end) for number, start, end in places if number == document]
        assert [start for start, _ in mine] == [0, *(end for _, end in mine[:-1])]
        assert mine[-1][1] == length
    for row in rows:
        # a cut may move back by up to `shift`: the piece behind it grows, the one before it must not vanish
        grown = [end - start + (shape.shift if start else 0) for _, start, end in row]
        layout = DocumentLayout(tuple(length + 2 for length in grown), shape.block_size)
        assert sum(layout.block_counts) <= shape.num_blocks
        assert all(end - start > (shape.shift if end < lengths[number] else 0) for number, start, end in row)


@settings(deadline=None, max_examples=200)
@given(LENGTHS, SHAPES, st.integers(0, 2**63 - 1))
def test_every_epoch_has_the_same_number_of_rows(lengths, shape, seed):
    lengths = np.array(lengths)
    for epoch in (None, 0, 1, 2, 3):
        assert plan_epoch(lengths, shape, seed=seed, epoch=epoch).num_rows == rows_per_epoch(lengths, shape)


def test_the_picture_in_the_docstring():
    shape = RowShape(row_length=32, block_size=8)
    plan = plan_epoch(np.array([9, 5, 36]), shape, seed=0, epoch=None)  # b, c, a
    assert rows_of(plan) == [[(0, 0, 9), (1, 0, 5), (2, 0, 6)], [(2, 6, 36)]]
    assert plan.wasted(shape) == pytest.approx(6 / 64)


def test_a_row_is_parted_only_where_both_parts_keep_something_when_the_cut_moves_back():
    shape = RowShape(row_length=16, block_size=16, whole_words=True)
    plan = plan_epoch(np.array([4, 40]), shape, seed=0, epoch=None)
    more = _with_rows(plan, plan.num_rows + 1, shape)
    assert rows_of(plan)[:2] == [[(0, 0, 4)], [(1, 0, 14)]]
    assert rows_of(more)[:3] == [[(0, 0, 4)], [(1, 0, 7)], [(1, 7, 14)]]


def test_another_epoch_and_another_seed_cut_elsewhere():
    lengths, shape = np.arange(100, 140), RowShape(row_length=256, block_size=16)
    plans = [plan_epoch(lengths, shape, seed=seed, epoch=epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert len({tuple(rows_of(plan)[0]) for plan in plans}) == 3
    assert rows_of(plans[0]) == rows_of(plan_epoch(lengths, shape, seed=0, epoch=0))


@pytest.mark.parametrize("whole_words", [False, True])
def test_documents_of_papers_waste_less_than_two_in_a_hundred_places(whole_words):
    lengths = np.random.RandomState(0).randint(1000, 9000, 3000)
    shape = RowShape(row_length=4096, block_size=64, whole_words=whole_words)
    assert plan_epoch(lengths, shape, seed=0, epoch=0).wasted(shape) < 0.02


def test_memory_grows_with_pieces_not_with_tokens():
    shape = RowShape(row_length=4096, block_size=64)
    plan = plan_epoch(np.array([40_000_000]), shape, seed=0, epoch=0)
    assert sum(part.nbytes for part in plan) < 40 * plan.num_rows


@pytest.mark.parametrize(
    ("row_length", "block_size", "text"),
    [
        (100, 64, "data.row_length must be a multiple of the model's block size 64, got 100"),
        (0, 64, "data.row_length must be a multiple of the model's block size 64, got 0"),
        (64, 4, "data.block_size must be at least 8, got 4"),
    ],
)
def test_shapes_that_cannot_be_are_refused(row_length, block_size, text):
    with pytest.raises(ConfigError, match=text):
        RowShape(row_length=row_length, block_size=block_size)
