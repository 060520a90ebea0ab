"""Commands that make models: train, prepare, report."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigbird.cli.arguments import Settings
from bigbird.cli.entry import app, say, speaks
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.run import RunConfig


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe, or the run.json of an earlier run to repeat.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run: model, metrics.jsonl, saved states.", readable=False)
    ] = None,
    settings: Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest sound state in --out.")] = False,
    resume_from: Annotated[
        int | None, typer.Option("--resume-from", help="Go on from the state of this step instead.", metavar="STEP")
    ] = None,
    auto_resume: Annotated[
        bool, typer.Option("--auto-resume", help="Go on if --out holds a saved state, begin if not: for restarts.")
    ] = False,
    processes: Annotated[
        int, typer.Option(min=1, help="Train with this many processes on this machine, one per GPU where it has any.")
    ] = 1,
    show: Annotated[bool, typer.Option("--show", help="Print the run's settings and stop.")] = False,
) -> None:
    """Train a model, from nothing or from another model. `bigbird info` lists the recipes.

    Several machines: torchrun … -m bigbird train …, see docs/scale.md.
    """
    import json

    from bigbird import config as configs
    from bigbird.data.files import check_new_folder
    from bigbird.machine import keep_freed_memory
    from bigbird.run import train as carry_out

    run = configs.overridden(_run_config(recipe), settings or [])
    if show:
        print(json.dumps(configs.to_json(run), indent=2))  # noqa: T201
        return
    if out is None:
        raise InputError("say where the run shall be written, with --out FOLDER (or look at it with --show)")
    check_new_folder(out)
    if processes > 1:
        flags = {"--resume": resume, "--auto-resume": auto_resume}
        chosen = [*(flag for flag, is_set in flags.items() if is_set), *_as_options("--set", settings or [])]
        chosen += [] if resume_from is None else ["--resume-from", str(resume_from)]
        raise SystemExit(_launched(processes, ["train", recipe, "--out", str(out), *chosen], run))
    keep_freed_memory()
    carry_out(run, out, resume=resume, resume_from=resume_from, auto_resume=auto_resume)
    if speaks():
        say(f"the best model is in {out / 'model'}; {_next_step(run, out / 'model')}")


@app.command()
def prepare(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Files or folders: .txt .md .rst .jsonl .parquet .fa (also .gz).", readable=False),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the corpus; the same again finishes it.", readable=False)],
    tokenizer: Annotated[
        str,
        typer.Option(
            help="A model folder or name; or one to make: text-bpe:16000, dna-bpe:4096 (trained on the corpus), "
            "single-base."
        ),
    ],
    text_field: Annotated[
        str, typer.Option(help="Field of .jsonl and .parquet that holds the text, such as text or chapters.text.")
    ] = "text",
    name_field: Annotated[str, typer.Option(help="Field that names a document. Default: its file and line.")] = "",
    held_out: Annotated[
        float | None,
        typer.Option(help="Share of the documents not to train on. Default: 0.05, or 0 with --hold-out."),
    ] = None,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(help="A document, contig or region (chr22:1-20,000,000) not to train on. May be given again."),
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option(help="Of genomes, read only this contig or region. May be given again.")
    ] = None,
    walks: Annotated[int, typer.Option(help="Times a genome is cut into documents, elsewhere each time.")] = 1,
    workers: Annotated[int | None, typer.Option(help="Processes that make tokens. Default: one per CPU.")] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
) -> None:
    """Turn texts or genomes into tokens once, in a folder that pretraining reads.

    Interrupted at any moment, it goes on when the same command is given again.
    """
    from bigbird.data.prepare_config import PrepareConfig
    from bigbird.data.preparing import prepare as carry_out
    from bigbird.data.shard_making import usable_cpus

    config = PrepareConfig(
        sources=tuple(sources),
        tokenizer=_folder_of(tokenizer),
        text_field=text_field,
        name_field=name_field,
        held_out=held_out,
        hold_out=tuple(hold_out or ()),
        regions=tuple(region or ()),
        walks=walks,
        seed=seed,
    )
    manifest = carry_out(config, out, workers=usable_cpus() if workers is None else workers)
    say(
        f"{out} holds {manifest.num_documents:,} documents ({manifest.num_held_out:,} held out) of "
        f"{manifest.num_letters:,} letters in {manifest.num_tokens:,} tokens"
    )


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(help="Folder of a run; several are compared on one page.", readable=False)
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the page. Default: the run's own, of several that of the first.", readable=False),
    ] = None,
) -> None:
    """Draw a run's curves and sum it up on a page, from its folder alone, while it runs or afterwards."""
    from bigbird.data.files import check_new_folder
    from bigbird.training.run_record import read_run
    from bigbird.training.run_report import PAGE_FILE, write_report
    from bigbird.training.run_summary import headline, summary

    records = [read_run(folder) for folder in runs]
    folder = out or runs[0]
    check_new_folder(folder)
    for remark in write_report(records, folder):
        say(remark)
    for record in records:
        print(headline(summary(record)))  # noqa: T201
    say(f"the report is {folder / PAGE_FILE}")


def _launched(num_processes: int, arguments: list[str], run: RunConfig) -> int:
    """Carry out a run in several processes, once its settings fit their number; the exit code."""
    from bigbird.machine import check_memory
    from bigbird.training.context import check_task
    from bigbird.training.distributed import Ranks
    from bigbird.training.engine import check_engine
    from bigbird.training.launching import launch
    from bigbird.training.memory_model import resident_bytes

    if "RANK" in os.environ:
        raise InputError("--processes starts the processes of a run, and torchrun has done so already; leave it out")
    check_engine(run.training, Ranks(count=num_processes))
    check_task(run.task, run.training.context_parallel)
    check_memory(
        num_processes * resident_bytes(),  # each loads what this one has loaded
        f"the program in {num_processes:,} processes",
        cure="Start fewer.",
    )
    return launch(num_processes, arguments)


def _as_options(name: str, values: Iterable[str]) -> list[str]:
    return [part for value in values for part in (name, value)]


def _run_config(recipe: str) -> RunConfig:
    """A recipe's run, or the one a run.json describes."""
    import json

    from bigbird import config as configs
    from bigbird.recipes import recipe as recipe_named

    if not recipe.endswith(".json"):
        return recipe_named(recipe)
    try:
        values = json.loads(Path(recipe).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{recipe} is no run.json of an earlier run: {error}") from None
    if not isinstance(values, dict) or not isinstance(values.get("recipe"), str):
        raise InputError(f"{recipe} is no run.json of an earlier run: it names no recipe")
    return configs.changed(recipe_named(values["recipe"]), values, source=recipe)


def _folder_of(name: str) -> str:
    """The folder of a model that comes with the package; any other text as it is."""
    from bigbird.checkpoint import find_model, packaged_models

    return str(find_model(name)) if name in packaged_models() and not Path(name).exists() else name


def _next_step(run: RunConfig, model: Path) -> str:
    """What to do with the model of a run."""
    from bigbird.data.choice_data import ChoiceData
    from bigbird.data.gap_data import GapData
    from bigbird.data.long_short_data import LongShortData
    from bigbird.data.multi_hop_files import MultiHopData
    from bigbird.data.prepared import PreparedData
    from bigbird.data.question_files import QuestionData
    from bigbird.data.summary_data import SummaryData

    if isinstance(run.data, ChoiceData | LongShortData | MultiHopData | QuestionData):
        return f"score it with: bigbird evaluate {model} {run.data.validation}"
    if isinstance(run.data, SummaryData):
        return f"use it with: bigbird summarize FILE --model {model}"
    if isinstance(run.data, GapData):
        return f"go on from it with: bigbird train summarization.small --set start={model}"
    if isinstance(run.data, PreparedData):
        return f"score it with: bigbird evaluate {model} {run.data.corpus}"
    return f"use it with: bigbird predict {model} FILE"
