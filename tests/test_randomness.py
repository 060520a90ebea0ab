import numpy as np

from bigbird import randomness


def test_the_same_key_gives_the_same_number_and_another_key_another():
    assert randomness.random_bits(1, 2, 3) == randomness.random_bits(1, 2, 3)
    keys = [(1, 2, 3), (3, 2, 1), (1, 2), (1, 2, 4), (1, 23), (-1, 2, 3), ()]
    assert len({int(randomness.random_bits(*key)) for key in keys}) == len(keys)


def test_numbers_never_change_between_releases():
    # Saved models and runs depend on them. Drawn 2026-11-23, when the format was fixed.
    assert int(randomness.random_bits(1, 2, 3)) == EXPECTED_BITS
    assert randomness.integers(0, 1000, 5, np.arange(4)).tolist() == EXPECTED_INTEGERS
    assert randomness.permutation(6, 7).tolist() == EXPECTED_PERMUTATION


EXPECTED_BITS = 9666406879569478978
EXPECTED_INTEGERS = [704, 733, 724, 481]
EXPECTED_PERMUTATION = [1, 3, 2, 5, 4, 0]


def test_arrays_in_a_key_broadcast():
    table = randomness.random_bits(4, np.arange(3)[:, None], np.arange(5))
    assert table.shape == (3, 5)
    assert table[2, 4] == randomness.random_bits(4, 2, 4)


def test_uniform_numbers_are_uniform():
    values = randomness.uniform(0, np.arange(200_000))
    assert 0 <= values.min() <= values.max() < 1
    counts = np.histogram(values, bins=20, range=(0, 1))[0]
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 50  # chi-square, 19 degrees of freedom: p about 1e-4
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.01


def test_whole_numbers_cover_their_range_evenly():
    values = randomness.integers(3, 10, 1, np.arange(70_000))
    assert np.bincount(values, minlength=10)[3:].min() > 9_500
    assert values.min() == 3
    assert values.max() == 9


def test_a_permutation_holds_every_number_once():
    order = randomness.permutation(1000, 5)
    assert sorted(order) == list(range(1000))
    assert (order != np.arange(1000)).mean() > 0.98
