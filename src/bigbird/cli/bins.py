"""What evaluate and predict do with a model that answers in bins."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bigbird.cli.arguments import opened_genome, watched
from bigbird.cli.entry import say
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.data.records import Record
    from bigbird.genomics.bin_profiles import Profile
    from bigbird.genomics.window_sets import Part, StoredSet
    from bigbird.predictor import Predictor

_PEAKS = (".bed", ".narrowpeak", ".broadpeak")


def answers_in_bins(predictor: Predictor) -> bool:
    """Whether this is such a model."""
    from bigbird.tasks import BinClassification

    return isinstance(predictor.loaded.task, BinClassification)


def holds_peaks(data: Path) -> bool:
    """Whether a file's name says that it holds peaks."""
    from bigbird.data.files import ending_of

    return ending_of(data) in _PEAKS


def records_of_peaks(
    predictor: Predictor, data: Path, genome: list[Path] | None, region: Sequence[str] | None
) -> list[Record]:
    """Records over the regions, or all of the genome, with the peaks in them."""
    from bigbird.data.intervals import Interval, in_genome_order, parse_region
    from bigbird.genomics.bin_profiles import reading_of
    from bigbird.genomics.chromatin_scores import peak_records

    opened = opened_genome(genome)
    if opened is None:
        raise InputError(f"{data} holds places, not sequences; give the genome they lie on with --genome FASTA")
    contigs = opened.contigs
    regions = in_genome_order((parse_region(text, contigs) for text in region or []), contigs)
    regions = regions or [Interval(contig, 0, length) for contig, length in contigs.items()]
    records, notes = peak_records([data], opened, regions, predictor.loaded.task.labels, reading_of(predictor.loaded))
    for note in notes:
        say(note)
    return records


def on_chromatin_set(
    predictor: Predictor, stored: StoredSet, part: Part, genome: list[Path] | None, file: Path | None, *, model: str
) -> None:
    """Print a model's figures on a window set beside its baseline's, and write those of every label."""
    from bigbird.cli.scores import write_scores
    from bigbird.genomics.chromatin_set_scores import chromatin_figures

    found = chromatin_figures(predictor, stored, part, opened_genome(genome), model=model)
    for line in found.lines:
        print(line)  # noqa: T201
    if file is not None:
        labels = [name.partition("/")[2] for name in found.scores if name.startswith("prevalence/")]
        write_scores(file, found.scores, labels, {"model": model, "data": str(stored.folder), **found.as_json})


def predict_bins(predictor: Predictor, records: Sequence[Record], genome: list[Path] | None, file: Path | None) -> None:
    """Write a line per bin of every record, with the surroundings that the genome has."""
    from bigbird.data.files import written_whole
    from bigbird.genomics.bin_profiles import place_of, profiles, reading_of

    opened, reading = opened_genome(genome), reading_of(predictor.loaded)
    places = (place_of(record, opened) for record in records)
    answers = watched(profiles(predictor, places, reading), len(records), "records")
    with ExitStack() as stack:
        table = sys.stdout if file is None else stack.enter_context(stack.enter_context(written_whole(file)).open("w"))
        print("name", "contig", "start", "end", *predictor.loaded.task.labels, sep="\t", file=table)
        for line in _lines(answers, reading.bin_bp):
            print(*line, sep="\t", file=table)
    if file is not None:
        say(f"the bins of {len(records)} records are in {file}")


def _lines(answers: Iterable[Profile], bin_bp: int) -> Iterable[list[object]]:
    for (_, interval, name), probabilities in answers:
        for number, row in enumerate(probabilities):
            start = interval.start + number * bin_bp
            place = [interval.contig, start, min(start + bin_bp, interval.end)]
            yield [name, *place, *(f"{value:.6f}" for value in row)]
