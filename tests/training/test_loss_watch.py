import math

import pytest

from bigbird.data.sources import FixedRecords
from bigbird.training.loss_watch import is_usable, what_was_read
from helpers import motif_records


@pytest.mark.parametrize(
    ("loss", "norm", "expected"),
    [(1.0, 2.0, True), (math.nan, 2.0, False), (1.0, math.inf, False), (-math.inf, 0.0, False), (0.0, 0.0, True)],
)
def test_a_step_is_usable_when_loss_and_gradient_are_finite(loss, norm, expected):
    assert is_usable(loss, norm) is expected


def test_the_records_of_a_step_are_told_by_place_and_name():
    source = FixedRecords(motif_records(6))
    first = what_was_read(source, step=0, batch_size=6, seed=3)
    assert first.startswith("records at positions 0 to 5 of the shuffled data: record ")
    assert sorted(first.partition("data: ")[2].split(", ")) == [f"record {index}" for index in range(6)]
    assert what_was_read(source, step=1, batch_size=6, seed=3).startswith("records at positions 6 to 11 of the")
    assert what_was_read(source, step=1, batch_size=20, seed=3).endswith(" and 12 more")
