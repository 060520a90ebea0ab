from itertools import pairwise

import numpy as np
import pytest

from bigbird.data.records import Record
from bigbird.errors import ConfigError
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
