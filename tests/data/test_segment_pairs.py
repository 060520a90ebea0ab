"""Pairs of segments: deterministic, half of them real, no longer than the pieces they come from."""

import numpy as np
import pytest

from bigbird.data.packing import TokenPiece, TokenRow
from bigbird.data.segment_pairs import PairedRows, PairedSource
from bigbird.errors import DataError


def piece(document, length, start=0, draw=None):
    ids = (1000 * document + np.arange(start, start + length)).astype(np.int32)  # an id tells document and place
    return TokenPiece(ids, document, start, document if draw is None else draw, f"document {document}")


class Rows:
    """Rows of three pieces; in another epoch the draws differ."""

    def __init__(self, num_rows=40, lengths=(30, 5, 100)):
        self.num_rows, self.lengths = num_rows, lengths

    def __len__(self):
        return self.num_rows

    def record(self, index, *, epoch):
        pieces = [
            piece(3 * index + part, length, start=7, draw=1000 * epoch + 3 * index + part)
            for part, length in enumerate(self.lengths)
        ]
        return TokenRow(tuple(pieces))


def same(one, other):
    return all(
        a.follows == b.follows
        and np.array_equal(a.first.token_ids, b.first.token_ids)
        and np.array_equal(a.second.token_ids, b.second.token_ids)
        for a, b in zip(one.pairs, other.pairs, strict=True)
    )


def test_a_row_and_an_epoch_always_give_the_same_pairs():
    source = PairedSource(Rows())
    assert len(source) == 40
    assert source.record(1, epoch=0).name == "document 3 + document 4 + document 5"
    there = [source.record(index, epoch=1) for index in range(40)]
    back = [source.record(index, epoch=1) for index in reversed(range(40))][::-1]
    assert all(same(one, other) for one, other in zip(there, back, strict=True))
    assert not all(same(one, source.record(index, epoch=2)) for index, one in enumerate(there))


def test_half_follow_and_the_others_are_of_another_document():
    rows = Rows(num_rows=200)
    pairs = [pair for index in range(200) for pair in PairedSource(rows).record(index, epoch=0).pairs]
    assert np.mean([pair.follows for pair in pairs]) == pytest.approx(0.5, abs=0.06)
    for pair in pairs:
        first, second = pair.first, pair.second
        for part in (first, second):  # each knows where it stands in its document, on which its masks depend
            assert part.token_ids[0] == 1000 * part.document + part.start
            assert (np.diff(part.token_ids) == 1).all()
            assert len(part.token_ids)
        assert (first.document == second.document) == pair.follows
        if pair.follows:
            assert second.start == first.start + len(first.token_ids)
            assert (first.draw, first.name) == (second.draw, second.name)


def test_a_pair_with_its_third_special_token_is_no_longer_than_its_piece():
    for index in range(40):
        row = PairedSource(Rows()).record(index, epoch=0)
        for pair, length in zip(row.pairs, (30, 5, 100), strict=True):
            used = len(pair.first.token_ids) + len(pair.second.token_ids)
            assert used == length - 1 if pair.follows else used < length


@pytest.mark.parametrize("length", [4, 5, 6, 7])
def test_short_pieces_are_cut_too(length):
    row = PairedSource(Rows(lengths=(length, length, length))).record(0, epoch=0)
    assert all(len(pair.first.token_ids) >= 1 and len(pair.second.token_ids) >= 1 for pair in row.pairs)


def test_a_piece_too_short_for_two_stays_whole():
    (pair, *_) = PairedSource(Rows(lengths=(3, 9, 9))).record(0, epoch=0).pairs
    assert pair.second is None
    assert len(pair.first.token_ids) == 3


def test_the_other_document_may_lie_in_the_same_row():
    for epoch in range(20):
        for pair in PairedSource(Rows(num_rows=1)).record(0, epoch=epoch).pairs:
            assert (pair.first.document == pair.second.document) == pair.follows


def test_held_out_rows_are_paired_alike():
    rows = [Rows().record(index, epoch=-1) for index in range(5)]
    paired = PairedRows(rows)
    assert len(paired) == 5
    assert same(paired[-1], paired[4])
    assert all(same(one, other) for one, other in zip(paired[1:4:2], (paired[1], paired[3]), strict=True))
    with pytest.raises(IndexError):
        paired[5]


def test_another_document_is_found_however_rare_it_is():
    # Else a run would end in the middle, on the first pair for which a hundred draws miss.
    rows = [TokenRow((piece(7, 20, start=20 * place, draw=place),)) for place in range(2000)]
    rows[1234] = TokenRow((piece(8, 20),))
    pairs = [pair for row in PairedRows(rows)[:8] for pair in row.pairs]
    assert {pair.second.document for pair in pairs if not pair.follows} == {8}


def test_one_document_gives_no_pairs():
    rows = [TokenRow((piece(7, 20, start=20 * place),)) for place in range(8)]
    with pytest.raises(DataError, match=r"none of 8 rows holds another document than 'document 7'.*more documents"):
        list(PairedRows(rows))
