"""Chromatin profiles beside baselines: which labels every 200 bases of a chromosome have that no model has seen.

    python benchmarks/genomics/chromatin.py ridge --genome sacCer3.fa.gz --peaks peaks.bed.gz --train chrI chrII … \
        --validate chrXII --labels 169 --context 1000 --out benchmarks/results/chromatin_yeast.json

One call measures one cell (model, context, seed) and adds it to the results file, so that cells can be run apart:

  ridge        ridge regression per label on the counts of 5-mers of both strands in `context` bases around a bin; the
               penalty is chosen on the last training region, then all are used
  composition  logistic regression per label on shares of bases, CpG and TpA in 10 parts of the context. (Gradient
               boosting, as for promoters, would take hours for this many labels)
  cnn          a convolution over 15 bases, pooled by 10, four dilated residual convolutions, pooled into bins
  bigbird      the recipe genomics.chromatin
  bert         the same encoder with full attention
  untrained    the recipe's encoder with its random weights under a head that is trained
  released     the model of --model, read in its own windows, whatever `context` says

The labels are the N with most peaks in training and validation regions together. cnn, bigbird, bert and untrained
read windows of `context` bases around one bin (context 1000) or of which about the middle three quarters are predicted
(larger), on both strands. bigbird and bert take the weights of the first or the last step, whichever rank better on
the validation regions, cnn and untrained those of the last. Figures are means over labels with at least 10 bins; all
bins of the validation regions count but those of N alone; intervals are of 32 chunks of these regions drawn again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import chromatin_baselines as baselines
import chromatin_networks as networks
import numpy as np
from numpy.typing import NDArray

from bigbird.bench.about import about
from bigbird.data.files import json_text, written_whole
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval, parse_region
from bigbird.genomics.chromatin import Peaks, labelled, read_peaks
from bigbird.tasks.bins import BinTruth, bin_truth
from bigbird.tasks.metrics import headline
from bigbird.tasks.ranking import MIN_POSITIVES, estimates, ranking

BIN_BP = 200


class Regions(NamedTuple):
    """What is learned from and what is predicted."""

    genome: Genome
    peaks: Peaks
    train: list[Interval]
    validate: list[Interval]

    def truth(self, regions: list[Interval]) -> BinTruth:
        """Of all bins of some regions."""
        parts = []
        for region in regions:
            whole = dataclasses.replace(region, end=region.start + -(-region.length // BIN_BP) * BIN_BP)
            record = labelled(whole, self.genome, self.peaks, bin_bp=BIN_BP)
            parts.append(bin_truth(record, self.peaks.labels, bin_bp=BIN_BP))
        return BinTruth(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


Cell = Callable[[Regions, argparse.Namespace], NDArray[np.floating]]
CELLS: dict[str, Cell] = {
    "ridge": baselines.ridge,
    "composition": baselines.composition,
    "cnn": networks.cnn,
    "bigbird": networks.bigbird,
    "bert": networks.bert,
    "untrained": networks.untrained,
    "released": networks.released,
}


def opened(options: argparse.Namespace) -> Regions:
    """The data of a call: the labels with most peaks alone."""
    genome = Genome.open(*options.genome)
    train, validate = (
        [parse_region(text, genome.contigs) for text in texts] for texts in (options.train, options.validate)
    )
    peaks = Peaks(read_peaks(options.peaks, genome.contigs))
    counts = peaks.counts_in([*train, *validate])
    frequent = sorted(peaks.labels, key=lambda label: (-counts[label], label))[: options.labels]
    return Regions(genome, peaks.only(frequent), train, validate)


def measured(regions: Regions, options: argparse.Namespace) -> dict[str, object]:
    """One cell's figures."""
    started = time.perf_counter()
    scores = CELLS[options.cell](regions, options)
    seconds = time.perf_counter() - started
    truth = regions.truth(regions.validate)
    assert len(scores) == len(truth.targets), (scores.shape, truth.targets.shape)
    ranked = ranking(truth.targets[truth.is_known], scores[truth.is_known])
    shown = headline(estimates(regions.peaks.labels, ranked))
    return {
        "about": about(),
        "options": {name: _shown(value) for name, value in vars(options).items() if name not in ("out", "work")},
        "num_bins": int(truth.is_known.sum()),
        "num_labels": len(regions.peaks.labels),
        "seconds": round(seconds),
        "num_labels_in_means": int((ranked.num_positives >= MIN_POSITIVES).sum()),
        "scores": {name: [round(value, 4) for value in score] for name, score in shown.items()},
    }


def _shown(value: object) -> str:
    """An option in words; of files the names alone."""
    values = value if isinstance(value, list) else [value]
    return ", ".join(Path(str(item)).name for item in values)


def main() -> None:
    """Measure one cell and add it to the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cell", choices=CELLS)
    parser.add_argument("--genome", nargs="+", required=True)
    parser.add_argument("--peaks", nargs="+", type=Path, required=True)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--validate", nargs="+", required=True)
    parser.add_argument("--labels", type=int, default=169)
    parser.add_argument("--context", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--bases-per-step", type=int, default=128_000)
    parser.add_argument("--model", default="yeast-chromatin", help="for the cell released")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="folder for the runs of networks")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    result = measured(opened(options), options)
    is_seeded = options.cell in ("cnn", "bigbird", "bert", "untrained")
    name = f"{options.cell}, {options.context:,} bases" + (f", seed {options.seed}" if is_seeded else "")
    if options.cell == "released":
        name = f"released, {options.model}"
    cells = json.loads(options.out.read_text())["cells"] if options.out.exists() else {}
    with written_whole(options.out) as path:
        path.write_text(json_text({"what": __doc__, "cells": cells | {name: result}}))
    print(name, json.dumps(result["scores"]))


if __name__ == "__main__":
    main()
