"""The order of the highest scores is the same everywhere, ties included."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.model.ranking import highest

SCORES = st.lists(st.sampled_from([0.0, -1.0, 1.0, -torch.inf, 2.5]), min_size=1, max_size=40)


@given(scores=SCORES, count=st.integers(1, 50))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_highest_come_first_and_equal_ones_by_their_place(scores, count):
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    expected = [place for place in order if scores[place] > -torch.inf][:count]
    values, places = highest(torch.tensor(scores), count)
    assert places.tolist() == expected
    assert values.tolist() == [scores[place] for place in expected]
