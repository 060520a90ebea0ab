"""What a model of bins says of any places: of a region, of intervals with their surroundings, of sequences alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.checkpoint import LoadedModel
from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.data.records import Record, on_genome
from bigbird.errors import ConfigError
from bigbird.genomics.tiles import Tile, tiled
from bigbird.predictor import Predictor
from bigbird.tasks import BinClassification, BinLabels
from bigbird.tasks.windows import most_bases

_USUAL_WINDOW_BP = 8_000


class Reading(NamedTuple):
    """How a model of bins reads a genome: windows, and their middle bases whose bins count."""

    window_bp: int
    step_bp: int
    bin_bp: int


class Place(NamedTuple):
    """Bases whose bins are asked for, from the interval's start on, on the genome that has their surroundings."""

    genome: Genome
    interval: Interval
    name: str


class Profile(NamedTuple):
    """Probabilities of a place's bins: float32 [bins, labels], NaN where a window held nothing but N."""

    place: Place
    probabilities: NDArray[np.float32]


def reading_of(loaded: LoadedModel) -> Reading:
    """Windows as long as those the model was trained with, where its notes tell; else of 8,000 bases, if it can."""
    task = loaded.task
    assert isinstance(task, BinClassification)
    most = most_bases(task.max_length, loaded.tokenizer)
    noted = loaded.notes.get("scan", {})
    window_bp = noted.get("window_bp", min(_USUAL_WINDOW_BP, most - most % task.bin_bp))
    overlap_bp = noted.get("overlap_bp", 2 * task.context_bp)
    if not 2 * task.context_bp <= overlap_bp < window_bp <= most or window_bp % task.bin_bp:
        raise ConfigError(
            f"the model's notes say that it reads windows of {window_bp} bases of which {overlap_bp} overlap; it can "
            f"read a multiple of {task.bin_bp} up to {most} and needs {2 * task.context_bp} of overlap or more. Mend "
            f"notes.scan in its config.json"
        )
    return Reading(window_bp, window_bp - overlap_bp, task.bin_bp)


def place_of(record: Record, genome: Genome | None) -> Place:
    """Where a record lies on its genome; a sequence alone is a genome of its own, with N around it."""
    if record.interval is not None and genome is not None:
        return Place(genome, replace(record.interval, strand="."), record.name)
    name, length = record.name or "sequence", len(record.sequence)
    return Place(Genome({name: _OneSequence(name, record.sequence)}), Interval(name, 0, length), name)


def profiles(predictor: Predictor, places: Iterable[Place], reading: Reading) -> Iterator[Profile]:
    """The profile of every place, in order; windows of several places are computed together."""
    under_way: deque[tuple[Place, list[Tile]]] = deque()

    def records() -> Iterator[Record]:
        for place in places:
            tiles = list(tiled(place.genome, [place.interval], **reading._asdict()))
            under_way.append((place, tiles))
            yield from (on_genome(tile.window, place.genome) for tile in tiles)

    answers: list[BinLabels] = []
    for answer in predictor.predict(records()):
        answers.append(answer)
        while under_way and len(answers) >= len(under_way[0][1]):
            place, tiles = under_way.popleft()
            yield _profile(place, tiles, answers[: len(tiles)], predictor, reading)
            del answers[: len(tiles)]
    for place, tiles in under_way:  # places of nothing but N
        yield _profile(place, tiles, [], predictor, reading)


def _profile(
    place: Place, tiles: Sequence[Tile], answers: Sequence[BinLabels], predictor: Predictor, reading: Reading
) -> Profile:
    num_bins = -(-place.interval.length // reading.bin_bp)
    found = np.full((num_bins, len(predictor.loaded.task.labels)), np.nan, np.float32)
    for tile, answer in zip(tiles, answers, strict=True):
        start, end = tile.counted
        first = (tile.window.start + start - place.interval.start) // reading.bin_bp
        rows = slice((start - answer.first) // reading.bin_bp, (end - answer.first) // reading.bin_bp)
        found[first : first + rows.stop - rows.start] = answer.probabilities[rows]
    return Profile(place, found)


class _OneSequence:
    """A sequence as a reader of a genome."""

    def __init__(self, name: str, sequence: str) -> None:
        self._sequence = sequence
        self.contigs: Mapping[str, int] = {name: len(sequence)}

    def fetch(self, contig: str, start: int, end: int) -> str:
        assert contig in self.contigs
        return self._sequence[start:end]
