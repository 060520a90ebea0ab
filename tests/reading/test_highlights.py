"""Marks that overlap, as pieces that do not."""

from hypothesis import given
from hypothesis import strategies as st

from bigbird.data.sentences import Span
from bigbird.reading.highlights import pieces

SPANS = st.lists(st.tuples(st.integers(0, 29), st.integers(1, 10)).map(lambda one: Span(one[0], min(30, sum(one)))))


@given(SPANS, st.lists(st.integers(0, 30)))
def test_pieces_are_the_text_and_know_who_covers_them(spans, cuts):
    found = list(pieces(30, spans, cuts=cuts))
    assert [place for piece in found for place in range(piece.start, piece.end)] == list(range(30))
    for start, end, covered_by in found:
        assert start < end
        for place in range(start, end):
            covering = tuple(number for number, span in enumerate(spans) if span.start <= place < span.end)
            assert covering == covered_by
    assert {0, *cuts} - {30} <= {piece.start for piece in found}


def test_the_picture_of_the_docstring():
    found = list(pieces(10, [Span(2, 6), Span(4, 8)]))
    assert found == [(0, 2, ()), (2, 4, (0,)), (4, 6, (0, 1)), (6, 8, (1,)), (8, 10, ())]
