"""The baseline of chromatin profiles: ridge regression per label on the 5-mers around a bin.

Counts of 5-mers of both strands tell no order and no distance; what they reach, a model must beat to have learned more
than which words a protein likes. All labels are solved at once, so hundreds take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.genomics.kmer_words import CODES
from bigbird.tasks import metrics

NAME = "5-mers of both strands (ridge regression)"
LENGTH = 5
PENALTIES = (1e3, 1e4, 1e5, 3e5, 1e6)

Floats = NDArray[np.float32]


class Ridge(NamedTuple):
    """A fitted baseline; scores are features standardized as in training, times weights."""

    mean: Floats
    spread: Floats
    weights: Floats

    def scores(self, features: Floats) -> Floats:
        """[rows, labels]."""
        standardized = (features - self.mean) / self.spread
        return (standardized @ self.weights).astype(np.float32)


def kmer_counts(sequences: Iterable[str]) -> Floats:
    """Counts of 5-mers, one and its reverse complement together; those with N do not count: [sequences, 512]."""
    kinds = np.arange(4**LENGTH)
    powers = 4 ** np.arange(LENGTH - 1, -1, -1)
    digits = kinds[:, None] // powers % 4
    number = np.unique(np.minimum(kinds, (3 - digits[:, ::-1]) @ powers), return_inverse=True)[1]
    size = int(number.max()) + 1
    return np.stack([np.bincount(number[_kmers_of(text)], minlength=size) for text in sequences]).astype(np.float32)


def _kmers_of(sequence: str) -> NDArray[np.int64]:
    codes = CODES[np.frombuffer(sequence.encode(), np.uint8)].astype(np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(codes, LENGTH)
    known = windows[(windows < 4).all(1)]
    kinds: NDArray[np.int64] = known @ 4 ** np.arange(LENGTH - 1, -1, -1)
    return kinds


def fit_ridge(features: Floats, truth: NDArray[np.bool_], *, penalty: float) -> Ridge:
    """features: [rows, features], truth: [rows, labels]."""
    mean, spread = features.mean(0), features.std(0) + np.float32(1e-6)
    x, y = (features - mean) / spread, truth.astype(np.float32)
    square = x.T @ x + np.float32(penalty) * np.eye(x.shape[1], dtype=np.float32)
    return Ridge(mean, spread, np.linalg.solve(square, x.T @ (y - y.mean(0))))


def best_penalty(features: Sequence[Floats], truth: Sequence[NDArray[np.bool_]], least: int = 10) -> float:
    """The one that ranks the last part best when the others are learned from, by mean average precision.

    least  positives a label needs there to count
    """
    x, y = np.concatenate(features[:-1]), np.concatenate(truth[:-1])
    usual = np.flatnonzero(truth[-1].sum(0) >= least)

    def precision(penalty: float) -> float:
        scores = fit_ridge(x, y, penalty=penalty).scores(features[-1]).astype(np.float64)
        found = [metrics.average_precision(truth[-1][:, label], scores[:, label]) for label in usual]
        return float(np.mean(found)) if found else 0.0

    return max(PENALTIES, key=precision)
