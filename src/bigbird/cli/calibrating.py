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
    from collections.abc import Iterator, Sequence

    from bigbird.checkpoint import LoadedModel
    from bigbird.data.sources import Item


@app.command()
def calibrate(
    model: Model,
    data: Annotated[
        Path,
        typer.Argument(
            help="Labelled records not trained on, as for evaluate: .csv, .tsv, .jsonl, or peaks for a model of bins, "
            "or questions for one that answers them.",
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
    """Make a model's probabilities hold what they say: models of any number of labels, and those that answer questions.

    Fits a scale and an offset for every label, or for "no answer", on records the model was not trained on, and writes
    a new model that applies them. The order within a label stays, and so do AUROC and average precision.
    """
    from dataclasses import replace

    from bigbird.checkpoint import save_model
    from bigbird.data.files import check_new_folder
    from bigbird.predictor import Predictor
    from bigbird.tasks import SpanQA
    from bigbird.tasks.calibration import before_and_after, fitted, logits_of

    check_new_folder(out)
    predictor = Predictor.load(model)
    loaded = predictor.loaded
    if isinstance(loaded.task, SpanQA):
        _calibrate_reader(loaded, scored_records(predictor, model, data, genome, region), data, out)
        return
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


def _calibrate_reader(loaded: LoadedModel, questions: Sequence[Item], data: Path, out: Path) -> None:
    """Fit a temperature and how likely "no answer" is."""
    from dataclasses import replace
    from typing import cast

    from bigbird.checkpoint import save_model
    from bigbird.data.questions import Question
    from bigbird.tasks import SpanQA
    from bigbird.tasks.span_calibration import calibrate as fitted_to

    task = cast("SpanQA", loaded.task)
    fit = fitted_to(
        cast("Iterator[Question]", watched(questions, len(questions), "questions")),
        model=loaded.model,
        task=task,
        tokenizer=loaded.tokenizer,
        block_size=loaded.encoder.pattern.block_size,
    )
    task = replace(task, temperature=fit.temperature, no_answer_offset=fit.no_answer_offset)
    save_model(out, replace(loaded, task=task, notes={**loaded.notes, "calibrated_on": str(data)}))
    print(f"nats per question\t{fit.nats_before:.5f} -> {fit.nats:.5f}")  # noqa: T201
    print(f"temperature\t{fit.temperature:.4f}\nno_answer_offset\t{fit.no_answer_offset:.4f}")  # noqa: T201
    say(f"fitted on {len(questions):,} questions, on which it flatters; the calibrated model is in {out}")


def _independent(loaded: LoadedModel, model: str) -> object:
    from bigbird.tasks import BinClassification, Classification

    task = loaded.task
    is_many = isinstance(task, BinClassification) or (isinstance(task, Classification) and task.answer == "many")
    if not is_many:
        raise InputError(
            f"{model} cannot be calibrated: that is for models of any number of labels, each by itself, and for those "
            f"that answer questions"
        )
    return task
