"""Drawn tokens: what is cut off, and how often each of the others comes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.model.generation_config import Sampling
from bigbird.model.sampling import choices, draw
from bigbird.randomness import uniform

PROBABILITIES = [0.05, 0.4, 0.1, 0.0, 0.3, 0.15]
SCORES = torch.tensor(PROBABILITIES).log()
HIGHEST_BELOW_ONE = float(np.nextafter(1.0, 0.0))


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), {1: 0.4, 4: 0.3, 5: 0.15, 2: 0.1, 0: 0.05}),
        (Sampling(top_k=2), {1: 4 / 7, 4: 3 / 7}),
        (Sampling(top_p=0.69), {1: 4 / 7, 4: 3 / 7}),
        (Sampling(top_p=0.71), {1: 0.4 / 0.85, 4: 0.3 / 0.85, 5: 0.15 / 0.85}),
        (Sampling(top_p=1e-9), {1: 1.0}),
        (Sampling(top_k=2, top_p=0.5), {1: 1.0}),  # 0.4 of all, but 4 / 7 of the two that are left
        (Sampling(temperature=0.5, top_k=2), {1: 16 / 25, 4: 9 / 25}),  # odds to the power of two
        (Sampling(temperature=1e-9), {1: 1.0}),
        (Sampling(top_k=100), {1: 0.4, 4: 0.3, 5: 0.15, 2: 0.1, 0: 0.05}),
    ],
)
def test_temperature_then_the_likeliest_k_then_the_set_that_reaches_p(sampling, expected):
    token_ids, probabilities = choices(SCORES, sampling)
    kept = {token: share for token, share in zip(token_ids.tolist(), probabilities, strict=True) if share > 1e-12}
    assert list(kept) == list(expected)
    assert list(kept.values()) == pytest.approx(list(expected.values()), abs=1e-6)


def test_of_equally_likely_tokens_the_lower_ids_are_kept():
    assert choices(torch.zeros(5), Sampling(top_k=2))[0].tolist() == [0, 1]
    assert choices(torch.zeros(5), Sampling(top_p=0.5))[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=2.0, top_k=4), Sampling(top_p=0.8)], ids=str)
def test_tokens_come_as_often_as_the_filtered_distribution_says(sampling):
    num_draws = 4000
    drawn = [draw(SCORES, sampling, number) for number in uniform(3, 0, 0, np.arange(num_draws))]
    token_ids, probabilities = choices(SCORES, sampling)
    counts = np.bincount(drawn, minlength=len(PROBABILITIES))
    expected = probabilities * num_draws
    chi_square = ((counts[token_ids] - expected) ** 2 / expected).sum()
    assert counts.sum() == counts[token_ids].sum()
    assert chi_square < 18.5  # the 0.1 % point with 4 degrees of freedom (NIST handbook 1.3.6.7.4), as many at most


def test_a_number_on_the_border_of_two_tokens_falls_on_the_second():
    flat = torch.zeros(4)
    assert [draw(flat, Sampling(), number) for number in (0.0, 0.25, 0.5, 0.75, HIGHEST_BELOW_ONE)] == [0, 1, 2, 3, 3]


@given(
    scores=st.lists(st.floats(-50, 50, width=32) | st.just(-torch.inf), min_size=1, max_size=30),
    temperature=st.floats(0.01, 10),
    top_p=st.floats(0.01, 1),
    number=st.sampled_from([0.0, 0.5, HIGHEST_BELOW_ONE]),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_forbidden_token_is_never_drawn(scores, temperature, top_p, number):
    permitted = [place for place, score in enumerate(scores) if score > -torch.inf]
    if permitted:
        token = draw(torch.tensor(scores), Sampling(temperature=temperature, top_p=top_p), number)
        assert token in permitted
