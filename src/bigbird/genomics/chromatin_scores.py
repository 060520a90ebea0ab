"""How good a model of bins is on peaks: figures of every label, their means, and the table of them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import TextIO

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.data.records import Record
from bigbird.errors import DataError
from bigbird.genomics.bin_profiles import Reading
from bigbird.genomics.chromatin import Peaks, labelled, read_peaks
from bigbird.genomics.tiles import tiled
from bigbird.tasks import Estimate
from bigbird.tasks.bins import some_of

_FIGURES = ("auroc", "average_precision")


def peak_records(
    paths: Sequence[Path], genome: Genome, regions: Sequence[Interval], labels: Sequence[str], reading: Reading
) -> tuple[list[Record], list[str]]:
    """Records that cover the regions for a model with these labels, and what of the peaks is left out, in words."""
    peaks = Peaks(read_peaks(paths, genome.contigs))
    known = [label for label in labels if label in peaks.labels]
    if not known:
        raise DataError(
            f"none of the peaks' labels is one of the model's: the peaks have {some_of(peaks.labels)}, the model "
            f"{some_of(labels)}. Rename them, or give peaks of the same targets"
        )
    notes = []
    if len(known) < len(labels):
        missing = [label for label in labels if label not in peaks.labels]
        notes.append(
            f"{len(missing)} of the model's {len(labels)} labels have no peaks and no figures: {some_of(missing)}"
        )
    others = [label for label in peaks.labels if label not in labels]
    if others:
        notes.append(f"{len(others)} labels of the peaks are unknown to the model and left out: {some_of(others)}")
    mine = peaks.only(known)
    tiles = tiled(genome, regions, **reading._asdict())
    return [labelled(t.window, genome, mine, bin_bp=reading.bin_bp, counted=t.counted) for t in tiles], notes


def write_label_table(file: TextIO, labels: Sequence[str], scores: Mapping[str, Estimate]) -> None:
    """One line per label: prevalence, AUROC and average precision with their 95 % intervals; a "." for none."""
    columns = [f"{name}{part}" for name in _FIGURES for part in ("", "_low", "_high")]
    table = csv.writer(file, delimiter="\t", lineterminator="\n")
    table.writerow(["label", "prevalence", *columns])
    for label in labels:
        figures = [value for name in _FIGURES for value in scores[f"{name}/{label}"]]
        table.writerow([label, *map(_shown, (scores[f"prevalence/{label}"].value, *figures))])


def _shown(value: float) -> str:
    return "." if isnan(value) else f"{value:.5f}"
