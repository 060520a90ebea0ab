"""The command that shows what speaks for a score: explain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bigbird.cli.arguments import GenomeFiles, Model, opened_genome, watched
from bigbird.cli.entry import app, say
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.genomics.explain_target import Target
    from bigbird.predictor import Predictor

Attributions = Literal["integrated-gradients", "gradient", "none"]


@app.command()
def explain(
    model: Model,
    data: Annotated[
        Path | None,
        typer.Argument(
            help="Sequences or places to explain: .fa, .bed (with --genome), .csv, .tsv or .jsonl. Or give --region.",
            readable=False,
        ),
    ] = None,
    *,
    genome: GenomeFiles = None,
    region: Annotated[
        list[str] | None, typer.Option(help="contig:start-end to explain; may be given several times.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Label to explain. Default: the one with the highest score in the region.")
    ] = None,
    at: Annotated[
        str, typer.Option(help="Where the score is read: summit (of the region), middle, or a position.")
    ] = "summit",
    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Bases the model reads, the region in their middle, N around a sequence without a place. "
            "Default: as in the model's scans.",
        ),
    ] = None,
    attribution: Annotated[
        Attributions, typer.Option(help="By gradients, what each base contributes.")
    ] = "integrated-gradients",
    deletions: Annotated[bool, typer.Option("--deletions", help="Also leave out every base.")] = False,
    out: Annotated[
        Path, typer.Option(help="Folder for tables, arrays, pictures and explain.html.", readable=False)
    ] = Path("explained"),
) -> None:
    """Show which bases a score rests on: every change of a base, attributions, and attention."""
    from bigbird.data.files import check_new_folder
    from bigbird.genomics.explain_report import PAGE_FILE, in_words, write_page
    from bigbird.genomics.explain_target import check_label
    from bigbird.genomics.explanation import ExplainConfig, write_explanation
    from bigbird.genomics.explanation import explain as carry_out
    from bigbird.predictor import Predictor

    check_new_folder(out)
    if (data is None) == (not region):
        raise InputError("explain needs either a file of sequences or places, or --region with --genome; give one")
    method = None if attribution == "none" else attribution
    config = ExplainConfig(label=label, at=at, deletions=deletions, method=method)
    predictor = Predictor.load(model)
    check_label(predictor.loaded.task, label)
    targets = list(_targets(predictor, data, genome, region or [], window))
    found, pictures = [], []
    for number, target in enumerate(targets, start=1):
        found.append(carry_out(predictor, target, config, watch=lambda some, total: watched(some, total, "changes")))
        stem = f"{number}." if len(targets) > 1 else ""
        pictures.append(write_explanation(out, stem, found[-1]))
        for line in (in_words(found[-1]), *found[-1].notes):
            say(line)
    write_page(out, found, pictures, config, model)
    say(f"open {out / PAGE_FILE}")


def _targets(
    predictor: Predictor, data: Path | None, genome: list[Path] | None, regions: list[str], window: int | None
) -> Iterator[Target]:
    from bigbird.data.intervals import parse_region
    from bigbird.data.records import read_records
    from bigbird.genomics.explain_target import target_of_record, target_on_genome, window_for
    from bigbird.tasks import BinClassification

    loaded, opened = predictor.loaded, opened_genome(genome)
    if regions and opened is None:
        raise InputError("--region is a place on a genome; give it with --genome FASTA")
    if data is not None:
        records = read_records(data, genome=opened)
        places = [record.interval for record in records]
    else:
        assert opened is not None
        records, places = [], [parse_region(text, opened.contigs) for text in regions]
    bin_bp = loaded.task.bin_bp if isinstance(loaded.task, BinClassification) else None
    for number, place in enumerate(places):
        if place is not None:
            assert opened is not None
            window_bp = window_for(loaded, place.length, window, name=place.name or str(place))
            yield target_on_genome(opened, place, window_bp, bin_bp=bin_bp)
            continue
        record = records[number]
        window_bp = window_for(loaded, len(record.sequence), window, name=record.name)
        is_alone = window is None and bin_bp is None
        yield target_of_record(record, None if is_alone else window_bp, bin_bp=bin_bp or 1)
