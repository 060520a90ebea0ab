"""Made-up negatives: a promoter's letters replaced or in another order.

They are here because published figures rest on them. Counts of 5-mers tell the first and the last kind from promoters
almost without a fault, and the share of CpG along the window tells the second; so a figure on them says little about
promoters.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness

NUM_PARTS = 20  # a window is cut into parts of equal length, Oubounyt et al. 2019
NUM_CHANGED = 12  # so many of which are replaced, or change places

_LETTERS = np.frombuffer(b"ACGT", np.uint8)


def substituted(sequence: str, *key: int) -> str:
    """12 of 20 equal parts filled with independent, uniform random bases: DeePromoter's negatives, and the paper's."""
    letters = np.frombuffer(sequence.encode(), np.uint8).copy()
    edges = _edges(len(letters))
    for part in _changed(key):
        places = np.arange(edges[part], edges[part + 1])
        letters[places] = _LETTERS[randomness.integers(0, 4, *key, 1, places)]
    return letters.tobytes().decode()


def parts_permuted(sequence: str, *key: int) -> str:
    """12 of 20 equal parts change places among themselves: GENA-LM's negatives."""
    edges = _edges(len(sequence))
    parts = [sequence[start:end] for start, end in pairwise(edges)]
    changed = _changed(key)
    order = changed[randomness.permutation(NUM_CHANGED, *key, 2)]
    moved = dict(zip(changed.tolist(), order.tolist(), strict=True))
    return "".join(parts[moved.get(number, number)] for number in range(NUM_PARTS))


def _edges(length: int) -> list[int]:
    """Where the parts begin, and the end: 0, 15, … 300."""
    return [round(length * part / NUM_PARTS) for part in range(NUM_PARTS + 1)]


def _changed(key: tuple[int, ...]) -> NDArray[np.int64]:
    return np.sort(randomness.permutation(NUM_PARTS, *key, 0)[:NUM_CHANGED])


def dinucleotide_shuffled(sequence: str, *key: int) -> str:
    """The letters in random order with every count of two neighbours kept; first and last letter stay.

    Altschul & Erickson 1985: a random walk that uses each step from letter to letter exactly once. Every such order is
    equally likely.
    """
    letters = sorted(set(sequence))
    codes = np.searchsorted(letters, list(sequence))
    steps = [codes[1:][codes[:-1] == letter] for letter in range(len(letters))]  # where each letter is left for
    last = int(codes[-1]) if len(codes) else 0
    exits = _exits(steps, last, key)
    queues: list[list[int]] = []
    for letter, targets in enumerate(steps):
        chosen = exits.get(letter)
        rest = targets if chosen is None else np.delete(targets, chosen)
        mixed = rest[randomness.permutation(len(rest), *key, 4, letter)].tolist()
        queues.append(([] if chosen is None else [int(targets[chosen])]) + mixed)  # taken from the end, the exit last
    walk = codes[:1].tolist()
    for _ in range(len(codes) - 1):
        walk.append(queues[walk[-1]].pop())
    return "".join(letters[code] for code in walk)


def _exits(steps: list[NDArray[np.int64]], last: int, key: tuple[int, ...]) -> dict[int, int]:
    """For each letter but the last, which of its steps is used last; together they must lead to the last letter."""
    attempt = 0
    while True:
        exits = {
            letter: int(randomness.integers(0, len(targets), *key, 3, attempt, letter))
            for letter, targets in enumerate(steps)
            if len(targets) and letter != last
        }
        if all(_leads_to(last, letter, exits, steps) for letter in exits):
            return exits
        attempt += 1


def _leads_to(last: int, letter: int, exits: dict[int, int], steps: list[NDArray[np.int64]]) -> bool:
    for _ in range(len(steps)):
        if letter == last:
            return True
        letter = int(steps[letter][exits[letter]])
    return letter == last
