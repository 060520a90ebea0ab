"""What is explained: a stretch of DNA in the window that the model reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigbird.checkpoint import LoadedModel
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.bin_profiles import place_of
from bigbird.genomics.label_names import check_labels
from bigbird.genomics.readout import check_readable, probabilities_along
from bigbird.predictor import Predictor
from bigbird.tasks import BinClassification, Classification, Task
from bigbird.tasks.windows import most_bases
from bigbird.tokenizers import clean_dna


@dataclass(frozen=True, kw_only=True)
class Target:
    """A stretch in its window.

        sequence  . . . . . a a a a a a . . . .       a: what is explained, bases [first, last) of the sequence

    name      of files and headings
    window    where the sequence lies, on its strand; of a sequence without a place None, or its place with N around it
    beyond    the base behind the sequence's end, N when unknown: what a deletion draws in
    remarks   what was filled in or read otherwise
    """

    name: str
    sequence: str
    first: int
    last: int
    window: Interval | None = None
    beyond: str = "N"
    remarks: tuple[str, ...] = ()

    @property
    def region(self) -> str:
        """The bases that are explained."""
        return self.sequence[self.first : self.last]

    def positions(self) -> NDArray[np.int64]:
        """Where each base of the sequence lies, counted from 0: on its contig, or in the sequence."""
        numbers = np.arange(len(self.sequence))
        if self.window is None:
            return numbers
        return self.window.end - 1 - numbers if self.window.strand == "-" else self.window.start + numbers


def window_for(loaded: LoadedModel, region_bp: int, window_bp: int | None, *, name: str = "") -> int:
    """Bases the model shall read: those asked for, else those of its scans, else the region's own.

    A label of a whole sequence belongs to the sequence, so such a model reads the region alone unless told otherwise.
    """
    task = loaded.task
    unit, context = (task.bin_bp, task.context_bp) if isinstance(task, BinClassification) else (1, 0)
    most = most_bases(task.max_length, loaded.tokenizer) // unit * unit
    scans = loaded.notes.get("scan", {}).get("window_bp")
    usual = scans or (region_bp if isinstance(task, Classification) else min(most, 8_000))
    needed = region_bp + 2 * context
    chosen = -(-(window_bp or max(usual, needed)) // unit) * unit
    if not needed <= chosen <= most:
        raise ConfigError(
            f"{name or 'region'}: a window of {chosen:,} bases for a region of {region_bp:,} cannot be read: it must "
            f"hold {needed:,} bases, and this model reads {most:,} at once. Give a shorter region or another --window."
        )
    return int(chosen)


def target_on_genome(genome: Genome, region: Interval, window_bp: int, *, bin_bp: int | None = None) -> Target:
    """A region in the middle of a window; near a contig's end the window moves inside, as in a scan.

    bin_bp  of a model of bins: they begin at the region's start on the contig, as in predictions of it, and the window
            stays where it is, filled with N, so that the region never falls into the context, which has no answer
    """
    before = (window_bp - region.length) // 2
    if bin_bp is None:
        start = max(0, min(region.start - before, genome.contigs[region.contig] - window_bp))
    else:
        start = region.start - before // bin_bp * bin_bp
    window = replace(region, start=start, end=start + window_bp)
    sequence, num_padded, num_ambiguous = genome.window(window)
    is_reversed = region.strand == "-"
    first = window.end - region.end if is_reversed else region.start - window.start
    next_base = replace(window, start=window.start - 1, end=window.start)
    if not is_reversed:
        next_base = replace(window, start=window.end, end=window.end + 1)
    remarks = []
    if num_padded:
        remarks.append(f"the window reaches {num_padded:,} bases over the ends of {region.contig}; these are N")
    if num_ambiguous:
        remarks.append(f"{num_ambiguous:,} ambiguity codes were read as N")
    return Target(
        name=region.name or str(region),
        sequence=sequence,
        first=first,
        last=first + region.length,
        window=window,
        beyond=genome.window(next_base).sequence,
        remarks=tuple(remarks),
    )


def target_of_record(record: Record, window_bp: int | None = None, *, bin_bp: int = 1) -> Target:
    """A sequence without a place: all of it is explained; in the middle of a window of N if one is asked for."""
    if not record.sequence:
        raise DataError(f"record {record.name!r} has an empty sequence; leave it out")
    sequence, num_ambiguous = clean_dna(record.sequence, source=f"record {record.name!r}")
    remarks = (f"{num_ambiguous:,} ambiguity codes were read as N",) if num_ambiguous else ()
    if window_bp is None:
        return Target(name=record.name, sequence=sequence, first=0, last=len(sequence), remarks=remarks)
    place = place_of(replace(record, sequence=sequence), None)
    target = target_on_genome(place.genome, place.interval, window_bp, bin_bp=bin_bp)
    return replace(target, name=record.name, remarks=(*target.remarks, *remarks))


@dataclass(frozen=True)
class Question:
    """Which score is explained: that of a label, read at a base of the target's sequence.

    probability  what the model says there
    """

    label: str
    column: int
    place: int
    probability: float


def check_label(task: Task, label: str | None) -> None:
    """Raise unless the model has labels, and the one that is asked for."""
    check_readable(task, "explaining")
    check_labels([] if label is None else [label], task.labels)


def question_about(predictor: Predictor, target: Target, *, label: str | None = None, at: str = "summit") -> Question:
    """The label asked for, else the one with the highest score in the region; read at its summit there.

    at  "summit" the middle of the best stretch in the region, "middle" the region's middle, or a position on the contig
        (in the sequence, for one without a place) counted from 1
    """
    task = predictor.loaded.task
    check_label(task, label)
    (prediction,) = predictor.predict([Record(sequence=target.sequence)])
    scores = probabilities_along(task, prediction, len(target.sequence))[target.first : target.last]
    column = int(_highest(scores).argmax()) if label is None else task.labels.index(label)
    if at == "summit" and np.isnan(scores[:, column]).all():
        raise ConfigError(
            f"{target.name} has no score to explain: all of it lies at an end of what is read, where this model reads "
            f"without an answer. Give a longer window around it, or another place."
        )
    place = _place(target, scores[:, column], at)
    value = float(probabilities_along(task, prediction, len(target.sequence))[place, column])
    return Question(task.labels[column], column, place, value)


def _highest(scores: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Along the first axis; where there is no answer (NaN) nothing is high."""
    highest: NDArray[np.floating[Any]] = np.nan_to_num(scores, nan=-1.0).max(0)
    return highest


def _place(target: Target, scores: NDArray[np.floating[Any]], at: str) -> int:
    if at == "middle":
        return (target.first + target.last) // 2
    if at == "summit":
        best = np.flatnonzero(scores == _highest(scores))
        run = best[: int(np.argmax(np.append(np.diff(best) > 1, True))) + 1]  # the first stretch that is as high
        return target.first + int(run[len(run) // 2])
    text, positions = at.replace(",", ""), target.positions() + 1
    wanted = int(text) if text.isdecimal() else 0
    found = np.flatnonzero(positions == wanted) if wanted else np.array([])
    if len(found) != 1:
        raise ConfigError(
            f"the place to read must be summit, middle or a position from {max(1, positions.min()):,} to "
            f"{positions.max():,} (the window of {target.name}), got {at!r}"
        )
    return int(found[0])
