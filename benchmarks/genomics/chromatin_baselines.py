"""Baselines without a network: k-mers and composition around every bin."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.genomics.kmer_ridge import best_penalty, fit_ridge, kmer_counts

if TYPE_CHECKING:
    from chromatin import Regions

BIN_BP = 200
PARTS = 10
CODES = np.full(256, 4, np.int64)
CODES[np.frombuffer(b"ACGT", np.uint8)] = range(4)

Features = NDArray[np.float32]


def ridge(regions: Regions, options: argparse.Namespace) -> NDArray[np.float32]:
    """Scores of the validation bins, [bins, labels]."""
    known = [regions.truth([region]) for region in regions.train]
    features = [kmers(regions.genome, region, options.context) for region in regions.train]
    features = [some[one.is_known] for some, one in zip(features, known, strict=True)]
    truth = [one.targets[one.is_known] for one in known]
    penalty = best_penalty(features, truth)
    print("penalty", penalty)
    fitted = fit_ridge(np.concatenate(features), np.concatenate(truth), penalty=penalty)
    return fitted.scores(_together(regions, regions.validate, kmers, options.context))


def composition(regions: Regions, options: argparse.Namespace) -> NDArray[np.float32]:
    """Scores of the validation bins, [bins, labels]."""
    truth = regions.truth(regions.train)
    x = _together(regions, regions.train, shares, options.context)[truth.is_known]
    mean, spread = x.mean(0), x.std(0) + 1e-6
    y = torch.from_numpy(truth.targets[truth.is_known].astype(np.float32))
    inputs = torch.from_numpy((x - mean) / spread)
    weights = torch.zeros(x.shape[1], y.shape[1], requires_grad=True)
    bias = torch.full((y.shape[1],), -4.0, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(inputs @ weights + bias, y)
        loss = loss + 1e-5 * weights.square().sum() / y.shape[1]
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    tested = (_together(regions, regions.validate, shares, options.context) - mean) / spread
    scores: NDArray[np.float32] = (torch.from_numpy(tested) @ weights + bias).detach().numpy()
    return scores


def _together(
    regions: Regions, some: list[Interval], features: Callable[[Genome, Interval, int], Features], context: int
) -> Features:
    return np.concatenate([features(regions.genome, region, context) for region in some])


def codes(genome: Genome, region: Interval, context: int) -> NDArray[np.int64]:
    """Base codes 0 to 4 of every bin of a region with its context: [bins, context], a view."""
    margin = (context - BIN_BP) // 2
    num_bins = -(-region.length // BIN_BP)
    whole = Interval(region.contig, region.start - margin, region.start + num_bins * BIN_BP + margin)
    letters = CODES[np.frombuffer(genome.window(whole).sequence.encode(), np.uint8)]
    return np.lib.stride_tricks.sliding_window_view(letters, context)[::BIN_BP]


def kmers(genome: Genome, region: Interval, context: int) -> Features:
    """Counts of 5-mers, one and its reverse complement together: [bins, 512]."""
    letters = np.frombuffer(b"ACGTN", np.uint8)
    return kmer_counts(letters[row].tobytes().decode() for row in codes(genome, region, context))


def shares(genome: Genome, region: Interval, context: int) -> Features:
    """Shares of A, C, G, T, CpG and TpA in 10 parts of the context: [bins, 60]."""
    seen = codes(genome, region, context)
    following = np.pad(seen[:, 1:], ((0, 0), (0, 1)), constant_values=4)
    flags = [seen == base for base in range(4)]
    flags += [(seen == 1) & (following == 2), (seen == 3) & (following == 0)]
    parts = [flag.reshape(len(seen), PARTS, -1).mean(2, dtype=np.float32) for flag in flags]
    return np.concatenate(parts, axis=1)
