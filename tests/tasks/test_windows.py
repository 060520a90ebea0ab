from itertools import pairwise

import numpy as np
import pytest

from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.tasks.windows import check_window, token_windows
from helpers import SINGLE_BASE, dna


def windows(length, **arguments):
    record = Record(sequence=dna(length, 1))
    return record, list(token_windows(record, SINGLE_BASE, **{"strands": "given", **arguments}))


@pytest.mark.parametrize("length", [1, 5, 8, 9, 30, 31, 100])
def test_windows_cover_the_record_and_neighbours_share_the_overlap(length):
    record, found = windows(length, max_length=10, overlap=3)
    covered = [(int(window.starts[1]), int(window.ends[-2])) for window in found]
    assert covered[0][0] == 0
    assert covered[-1][1] == length
    assert all(later[0] == earlier[1] - 3 for earlier, later in pairwise(covered))
    for window in found:
        assert len(window.token_ids) <= 10
        assert SINGLE_BASE.decode(window.token_ids) == record.sequence[window.starts[1] : window.ends[-2]]
        assert window.token_ids[0] == SINGLE_BASE.special_id("[CLS]")
        assert window.token_ids[-1] == SINGLE_BASE.special_id("[SEP]")


def test_the_other_strand_points_at_the_same_bases():
    record, found = windows(25, max_length=12, overlap=2, strands="both")
    backward = [window for window in found if window.is_reversed]
    assert len(backward) == len(found) // 2
    complement = str.maketrans("ACGT", "TGCA")
    for window in backward:
        for token, start, end in zip(window.token_ids[1:-1], window.starts[1:-1], window.ends[1:-1], strict=True):
            assert SINGLE_BASE.decode([token]) == record.sequence[start:end].translate(complement)
        assert (np.diff(window.starts[1:-1]) < 0).all()


@pytest.mark.parametrize(("max_length", "overlap"), [(2, 0), (10, 8), (10, -1)])
def test_windows_that_would_not_go_forward_are_refused(max_length, overlap):
    with pytest.raises(ConfigError, match=f"got max_length {max_length} and overlap {overlap}"):
        check_window(max_length, overlap)


def test_letters_follow_the_one_rule_and_strangers_are_named():
    lower, upper = (Record(sequence=text, name="seven") for text in ("acgtunr" * 3, "ACGTTNN" * 3))
    one, other = (
        list(token_windows(record, SINGLE_BASE, max_length=10, overlap=3, strands="both")) for record in (lower, upper)
    )
    assert all((a.token_ids == b.token_ids).all() for a, b in zip(one, other, strict=True))
    for sequence, message in (
        ("ACGé", r"record 'seven': 'é' at position 4 is not a DNA"),
        ("", r"'seven' has an empty"),
    ):
        with pytest.raises(DataError, match=message):
            list(
                token_windows(
                    Record(sequence=sequence, name="seven"), SINGLE_BASE, max_length=10, overlap=3, strands="both"
                )
            )
