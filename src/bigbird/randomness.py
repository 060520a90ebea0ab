"""Random numbers that depend on a key alone, never on where a generator happens to stand.

The key is any list of whole numbers or integer arrays, for example (seed, epoch, example, position); arrays
broadcast. The same key gives the same number on every machine, in every process and in any order of calls, so a
resumed run, another number of workers and a model loaded years later all see what the first run saw. NumPy's and
PyTorch's generators are neither read nor seeded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # constants of splitmix64 (Steele, Lea & Flood 2014)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def random_bits(*key: ArrayLike) -> NDArray[np.uint64]:
    """64 random bits per element of the broadcast key."""
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is the point
        for part in key:
            state = _mix(state + _GOLDEN + _mix(np.asarray(part, np.int64).astype(np.uint64)))
    return state


def uniform(*key: ArrayLike) -> NDArray[np.float64]:
    """Numbers in [0, 1), 53 random bits each."""
    return (random_bits(*key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def integers(low: ArrayLike, high: ArrayLike, *key: ArrayLike) -> NDArray[np.int64]:
    """Whole numbers in [low, high); `high` must be above `low` everywhere."""
    least = np.asarray(low, np.int64)
    choices = (np.asarray(high, np.int64) - least).astype(np.uint64)
    drawn: NDArray[np.int64] = least + (random_bits(*key) % choices).astype(np.int64)  # bias below choices / 2**64
    return drawn


def permutation(length: int, *key: ArrayLike) -> NDArray[np.int64]:
    """The numbers 0 … length - 1 in random order."""
    return np.argsort(random_bits(*key, np.arange(length)), kind="stable")


def derived_seed(*key: ArrayLike) -> int:
    """A seed below 2**63 for a library that insists on its own generator."""
    return int(random_bits(*key) >> np.uint64(1))


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))
