"""Runs of 32 bases as whole numbers, the same for both strands: how much of a sequence occurs among others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

LETTERS_PER_WORD = 32  # two bits each: a word is one 64-bit number, exactly

_BASES_AT_ONCE = 4_000_000
_UNKNOWN = 4
CODES = np.full(256, _UNKNOWN, np.uint8)
CODES[np.frombuffer(b"ACGT", np.uint8)] = range(4)

Words = NDArray[np.uint64]


def words_of(sequences: Sequence[str]) -> tuple[Words, NDArray[np.int64]]:
    """All words without N, and for each the number of the sequence it stands in.

    A word is the lesser of its number and that of its reverse complement.
    """
    codes = np.concatenate([_codes(sequence) for sequence in sequences] or [np.zeros(0, np.uint8)])
    owners = np.repeat(np.arange(len(sequences)), [len(sequence) + 1 for sequence in sequences])
    num_words = len(codes) - LETTERS_PER_WORD + 1
    if num_words < 1:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    forward = (codes & 3).astype(np.uint64)
    backward = 3 - forward  # A and T, C and G
    is_unknown = codes == _UNKNOWN
    length = 1
    while length < LETTERS_PER_WORD:  # words twice as long, each out of two
        bits = np.uint64(2 * length)
        forward = (forward[:-length] << bits) | forward[length:]
        backward = backward[:-length] | (backward[length:] << bits)
        is_unknown = is_unknown[:-length] | is_unknown[length:]
        length *= 2
    is_known = ~is_unknown
    return np.minimum(forward, backward)[is_known], owners[:num_words][is_known]


def _codes(sequence: str) -> NDArray[np.uint8]:
    """The sequence and an unknown letter, so that no word reaches from one sequence into the next."""
    return CODES[np.frombuffer(sequence.encode() + b"N", np.uint8)]


def shared_words(sequences: Sequence[str], others: Sequence[str]) -> NDArray[np.float64]:
    """Of each sequence, the share of its words that occur anywhere in the others; 0 for one without words."""
    common = _common(sequences, others)
    shares = []
    for some in _batches(sequences):
        words, owners = words_of(some)
        totals = np.bincount(owners, minlength=len(some))
        shared = np.bincount(owners[_among(words, common)], minlength=len(some))
        shares.append(shared / np.maximum(totals, 1))
    return np.concatenate(shares or [np.zeros(0)])


def _common(sequences: Sequence[str], others: Sequence[str]) -> Words:
    """The distinct words that occur in both, ascending."""
    words = np.concatenate([words_of(some)[0] for some in _batches(sequences)] or [np.zeros(0, np.uint64)])
    words = _distinct(words)
    is_shared = np.zeros(len(words), bool)
    for some in _batches(others):
        theirs = _distinct(words_of(some)[0])
        places = np.searchsorted(words, theirs)  # in ascending order, which is many times faster than in any
        inside = places < len(words)
        places, theirs = places[inside], theirs[inside]
        is_shared[places[words[places] == theirs]] = True
    return words[is_shared]


def _distinct(words: Words) -> Words:
    """Ascending, each once; sorts the array it is given."""
    words.sort()
    return words[np.append(True, words[1:] != words[:-1])] if len(words) else words


def _among(words: Words, common: Words) -> NDArray[np.bool_]:
    if not len(common):
        return np.zeros(len(words), bool)
    places = np.searchsorted(common, words).clip(0, len(common) - 1)
    found: NDArray[np.bool_] = common[places] == words
    return found


def _batches(sequences: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    num_bases = 0
    for sequence in sequences:
        batch.append(sequence)
        num_bases += len(sequence)
        if num_bases >= _BASES_AT_ONCE:
            yield batch
            batch, num_bases = [], 0
    if batch:
        yield batch
