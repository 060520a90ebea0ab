"""The command that makes probabilities hold what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bigbird.cli.arguments import GenomeFiles, Model, watched
from bigbird.cli.entry import app, say
from bigbird.cli.using import scored_records
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.checkpoint import LoadedModel


@app.command()
def calibrate(
    model: Model,
    data: Annotated[
        Path,
        typer.Argument(
            help="Labelled records not trained on, as for evaluate: .csv, .tsv, .jsonl, or peaks for a model of bins.",
            readable=False,
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the new model.", readable=False)],
    genome: GenomeFiles = None,
    region: Annotated[
        list[str] | None,
        typer.Option(help="Of peaks: contig or contig:start-end; may be given several times. All contigs if not."),
    ] = None,
) -> None:
    """Make a model's probabilities hold what they say, for models of any number of labels.

    Fits a scale and an offset for every label on records the model was not trained on, and writes a new model that
    applies them. The order within a label stays, and so do AUROC and average precision.
    """
    from dataclasses import replace

    from bigbird.checkpoint import save_model
    from bigbird.data.files import check_new_folder
    from bigbird.predictor import Predictor
    from bigbird.tasks.calibration import before_and_after, fitted, logits_of

    check_new_folder(out)
    predictor = Predictor.load(model)
    loaded = predictor.loaded
    task: Any = _independent(loaded, model)
    records = scored_records(predictor, model, data, genome, region)
    bare = Predictor(replace(loaded, task=replace(task, calibration=())))
    answers = list(watched(bare.predict(records), len(records), "records"))
    truth, probabilities = task.compared(answers, records)
    logits = logits_of(probabilities)
    before, after = before_and_after(truth, logits, task.calibration)
    task = replace(task, calibration=fitted(truth, logits))
    notes = {**loaded.notes, "calibrated_on": str(data)}
    save_model(out, replace(loaded, task=task, notes=notes))
    for name, one, other in zip(before._fields, before, after, strict=True):
        print(f"{name}\t{one:.5f} -> {other:.5f}")  # noqa: T201
    say(f"fitted on {len(truth):,} places, each half judged by the other's fit; the calibrated model is in {out}")


def _independent(loaded: LoadedModel, model: str) -> object:
    from bigbird.tasks import BinClassification, Classification

    task = loaded.task
    is_many = isinstance(task, BinClassification) or (isinstance(task, Classification) and task.answer == "many")
    if not is_many:
        raise InputError(f"{model} cannot be calibrated: that is for models of any number of labels, each by itself")
    return task
