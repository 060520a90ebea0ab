"""The command line. Every heavy import stands inside the command that needs it, so that --help answers at once."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, TextIO, TypeVar, cast

import typer
from rich.console import Console
from rich.logging import RichHandler
from typer.core import TyperGroup

from bigbird.errors import BigBirdError, InputError, RunStopped

if TYPE_CHECKING:
    from bigbird.checkpoint import LoadedModel
    from bigbird.data.genome import Genome
    from bigbird.data.packing import TokenRow
    from bigbird.data.records import Record
    from bigbird.predictor import Predictor
    from bigbird.run import RunConfig
    from bigbird.tasks import Prediction

Item = TypeVar("Item")
Measurement = Literal["attention", "layer", "encoder", "step"]

_SECONDS_TO_SPEAK = 2.0

_UsageError: Any = typer.BadParameter.__bases__[0]  # Typer brings its own click or uses the installed one


class _Commands(TyperGroup):
    """All commands; they end as promised, where Typer by itself draws boxes and swallows Ctrl-C and a closed pipe."""

    def main(self, *arguments: Any, **options: Any) -> None:
        """Read the command line, run the chosen command and leave with its exit code."""
        with _as_promised():
            code = super().main(*arguments, **options | {"standalone_mode": False})
        raise SystemExit(code)

    def invoke(self, ctx: Any) -> None:
        """Run the chosen command."""
        with _as_promised():
            super().invoke(ctx)


@contextmanager
def _as_promised() -> Iterator[None]:
    """A user's mistake becomes one line and exit code 2, never a traceback; a closed pipe is no mistake."""
    try:
        yield
        sys.stdout.flush()  # a closed pipe shows here at the latest, not when Python takes its leave
    except _UsageError as error:
        _say_usage(error)
        raise SystemExit(2) from None
    except RunStopped as stop:
        if _speaks():
            _say(f"bigbird: {stop}")
        raise SystemExit(stop.exit_code) from None
    except BigBirdError as error:
        _let_the_first_speak()
        _say(f"bigbird: {error}")
        raise SystemExit(2 if isinstance(error, InputError | ImportError) else 1) from None
    except BrokenPipeError:  # the reader of our output has had enough, as `head` does
        _leave_quietly()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # how Rich, which writes the help, takes a closed pipe
            _leave_quietly()
        raise
    except OSError as error:
        _let_the_first_speak()
        _say(f"bigbird: {error.filename or 'file'}: {error.strerror or error}")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        _say("bigbird: stopped")
        raise SystemExit(130) from None


def _say_usage(error: Any) -> None:
    """One line for what Typer finds wrong, and where to look; nothing when it has shown the help instead."""
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    if message:
        stop = "" if message[-1] in ".?" else "."
        where = f"{stop} See: {error.ctx.command_path} --help" if error.ctx else ""
        _say(f"bigbird: {message[0].lower()}{message[1:]}{where}")


def _leave_quietly() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        _silence(stream)
    raise SystemExit(0) from None


def _silence(stream: TextIO) -> None:
    """Let what is still to be written go nowhere, or Python complains of it when it takes its leave."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="BigBird: sparse-attention transformers for long documents and genomes.",
)

# readable=False: that a path can be read is checked where it is read, and told in one line as all mistakes are.
Model = Annotated[str, typer.Argument(help="A model folder, or the name of a model that comes with bigbird.")]
GenomeFiles = Annotated[
    list[Path] | None,
    typer.Option("--genome", help="FASTA file(s) that places refer to. May be given several times.", readable=False),
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change a setting: name.name=value. May be given several times.")
]


def main() -> None:
    """Run the command line."""
    console = Console(stderr=True)
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_time=False, show_path=False, markup=False)],
    )
    app()


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
    if _speaks():
        _say(f"the best model is in {out / 'model'}; {_next_step(run, out / 'model')}")


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
    _say(
        f"{out} holds {manifest.num_documents:,} documents ({manifest.num_held_out:,} held out) of "
        f"{manifest.num_letters:,} letters in {manifest.num_tokens:,} tokens"
    )


@app.command()
def evaluate(
    model: Model,
    data: Annotated[
        Path,
        typer.Argument(help="Labelled records: .csv, .tsv or .jsonl. Or the folder of a corpus.", readable=False),
    ],
    *,
    genome: GenomeFiles = None,
    row_length: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens per row of a corpus. Default: as many as the model's task reads at once."),
    ] = None,
    out: Annotated[str | None, typer.Option(help="Also write the figures to this JSON file.", metavar="<path>")] = None,
) -> None:
    """Score a model on labelled records, with 95 % intervals.

    A masked language model may be given a corpus made by `bigbird prepare`: then the documents it holds out count.
    """
    from bigbird.data.files import json_text, written_whole
    from bigbird.predictor import Predictor

    file = _new_file(out, data)
    predictor = Predictor.load(model)
    records: Sequence[Any]
    if data.is_dir():
        if genome:
            raise InputError("--genome is for records that name places; a corpus has its letters already")
        predictor, records = _held_out(predictor, data, row_length, model)
    elif row_length is not None:
        raise InputError(f"--row-length is for a corpus made by bigbird prepare, and {data} is no folder")
    else:
        records = _records(predictor, model, data, genome)
    answers = list(_watched(predictor.predict(records), len(records), "records"))
    scores = predictor.loaded.task.score(answers, records)
    for name, score in scores.items():
        print(f"{name}\t{score}")  # noqa: T201
    if file is not None:
        figures = {name: dict(score._asdict()) for name, score in scores.items()}
        with written_whole(file) as path:
            path.write_text(json_text({"model": model, "data": str(data), "scores": figures}))


@app.command()
def predict(
    model: Model,
    data: Annotated[
        Path, typer.Argument(help="Records: .fa, .bed (with --genome), .csv, .tsv or .jsonl.", readable=False)
    ],
    *,
    genome: GenomeFiles = None,
    out: Annotated[
        str | None, typer.Option(help="Write the table here instead of to the screen.", metavar="<path>")
    ] = None,
) -> None:
    """Predict labels of sequences; writes a table separated by tabs."""
    from bigbird.data.files import written_whole
    from bigbird.predictor import Predictor

    file = _new_file(out, data)
    predictor = Predictor.load(model)
    records = _records(predictor, model, data, genome)
    answers = _watched(predictor.predict(records), len(records), "records")
    if file is None:
        _write_table(sys.stdout, predictor.loaded, records, answers)
        return
    with written_whole(file) as path, path.open("w") as table:
        _write_table(table, predictor.loaded, records, answers)
    _say(f"{len(records)} predictions are in {file}")


@app.command()
def scan(
    model: Model,
    *,
    genome: GenomeFiles = None,
    region: Annotated[
        list[str] | None,
        typer.Option(help="contig or contig:start-end; may be given several times. All contigs if not."),
    ] = None,
    annotation: Annotated[
        Path | None, typer.Option(help="GTF or GFF3 to compare the calls with.", readable=False)
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Score from which a stretch is called.")] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for calls.bed, scores.bedgraph, pictures and report.html.", readable=False)
    ] = Path("scan"),
    settings: Settings = None,
) -> None:
    """Run a model along a genome and call what it finds, for a genome browser and for people."""
    from bigbird import config as configs
    from bigbird.data.files import check_new_folder
    from bigbird.data.intervals import Interval, in_genome_order, parse_region, read_annotation
    from bigbird.genomics.report import in_words, write_scan
    from bigbird.genomics.scan import ScanConfig
    from bigbird.genomics.scan import scan as carry_out
    from bigbird.predictor import Predictor

    check_new_folder(out)
    opened = _genome(genome)
    if opened is None:
        raise InputError("scan needs the genome to run along, with --genome FASTA")
    predictor = Predictor.load(model)
    config = configs.changed(ScanConfig(), predictor.loaded.notes.get("scan", {}), source=f"model {model}")
    config = configs.overridden(
        config, [*(settings or []), *([f"threshold={threshold}"] if threshold is not None else [])]
    )
    contigs = opened.contigs
    regions = in_genome_order((parse_region(text, contigs) for text in region or []), contigs)
    regions = regions or [Interval(contig, 0, length) for contig, length in contigs.items()]
    features = read_annotation(annotation, contigs) if annotation else []
    tracks = [
        carry_out(predictor, opened, place, config, watch=partial(_watched, what=place.contig)) for place in regions
    ]
    result = write_scan(out, tracks, config, features, model=model)
    for note in result.notes:
        _say(note)
    if result.agreement is not None:
        _say(in_words(result.agreement))
    _say(f"{len(result.found)} calls are in {out / 'calls.bed'}; open {out / 'report.html'}")


@app.command()
def convert(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder in the Hub's layout (config.json, model.safetensors), or a model of the Hub, OWNER/NAME or "
            "OWNER/NAME@REVISION, which is downloaded. Types: bert, roberta, xlm-roberta, camembert, big_bird, "
            "pegasus, bigbird_pegasus. Or the prefix of a TensorFlow checkpoint, FOLDER/model.ckpt-0."
        ),
    ],
    target: Annotated[
        Path, typer.Argument(help="A new folder; or a new FILE.onnx, for any batch and length.", readable=False)
    ],
    *,
    max_length: Annotated[
        int | None,
        typer.Option(help="Tokens that a document may have. Default: 4096, of a BigBird as many as it has."),
    ] = None,
    block_size: Annotated[int | None, typer.Option(help="Tokens per block. Default: 64, of a BigBird its own.")] = None,
    random_blocks: Annotated[
        int | None,
        typer.Option(help="Random key blocks per query block. Default: 3, of a BigBird its own."),
    ] = None,
    from_bin: Annotated[
        bool,
        typer.Option(
            "--from-bin", help="Read an old pytorch_model.bin, a pickle, in a process that can do nothing else."
        ),
    ] = False,
    num_heads: Annotated[
        int | None,
        typer.Option(help="Attention heads of a TensorFlow checkpoint, which does not tell them. Default: 12."),
    ] = None,
) -> None:
    """Make a BigBird for long documents out of a published model, its weights kept.

    Says what is kept, what is left out and how to load the result, which transformers reads too.
    """
    from bigbird.interop.converting import Request
    from bigbird.interop.converting import convert as carry_out
    from bigbird.interop.warm_start import Goal

    goal = Goal(max_length=max_length, block_size=block_size, random_blocks=random_blocks)
    carry_out(Request(source=source, target=target, goal=goal, from_bin=from_bin, num_heads=num_heads), _say)


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
        _say(remark)
    for record in records:
        print(headline(summary(record)))  # noqa: T201
    _say(f"the report is {folder / PAGE_FILE}")


@app.command()
def info(
    model: Annotated[str | None, typer.Argument(help="A model folder or the name of a packaged model.")] = None,
) -> None:
    """Say what this installation can do, or what a model is."""
    from bigbird.info import about_installation, about_model

    for line in about_model(model) if model is not None else about_installation():
        print(line)  # noqa: T201


@app.command()
def bench(
    what: Annotated[
        Measurement,
        typer.Argument(help="Attention alone, a base-size encoder layer, the whole encoder, or a training step."),
    ],
    *,
    out: Annotated[
        str | None, typer.Option(help="Write the figures here (JSON), and a picture beside it.", metavar="<path>")
    ] = None,
    settings: Settings = None,
    show: Annotated[bool, typer.Option("--show", help="Print the settings and stop.")] = False,
) -> None:
    """Measure speed and memory beside PyTorch's dense attention, FlexAttention and Hugging Face's BigBird.

    Everybody is checked first; nothing is timed while ours is wrong.
    """
    import json

    from bigbird import config as configs
    from bigbird.bench import attention, model, report
    from bigbird.machine import keep_freed_memory

    default = attention.AttentionBench() if what == "attention" else model.ModelBench()
    config = configs.overridden(default, settings or [])
    if show:
        print(json.dumps(configs.to_json(config), indent=2))  # noqa: T201
        return
    file = _new_file(out)
    if file is not None:
        report.check_place(file)
    if what == "step":  # as `bigbird train` does; it holds for everybody who is timed
        keep_freed_memory()
    measured = (
        attention.run(config, say=_say)
        if isinstance(config, attention.AttentionBench)
        else model.run(cast("model.Part", what), config, say=_say)
    )
    if file is not None:
        report.write(file, what, configs.to_json(config), measured, say=_say)


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


def _speaks() -> bool:
    """False in all but one process of a run that has several."""
    return os.environ.get("RANK", "0") == "0"


def _let_the_first_speak() -> None:
    """Wait, in another process than the first, to say what is wrong.

    Mistakes are mostly found by all at once; the first says it and leaves, and whoever started them ends the others.
    """
    if not _speaks():
        time.sleep(_SECONDS_TO_SPEAK)


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


def _new_file(out: str | None, *inputs: Path) -> Path | None:
    """The file that --out names, checked before any work is done. A path in words: `Path` forgets a "/" at the end."""
    from bigbird.data.files import check_new_file

    if out is None:
        return None
    if not out or out.endswith(("/", os.sep)):
        raise InputError(f"--out {out!r} names {'a folder' if out else 'nothing'}; name a file, new or to be replaced")
    check_new_file(Path(out), *inputs)
    return Path(out)


def _held_out(
    predictor: Predictor, corpus: Path, row_length: int | None, model: str
) -> tuple[Predictor, Sequence[TokenRow]]:
    """The held-out rows of a corpus, and the predictor that reads rows of that length."""
    from dataclasses import replace

    from bigbird.data.held_out import held_out_for
    from bigbird.predictor import Predictor
    from bigbird.tasks import MaskedLM

    loaded = predictor.loaded
    if not isinstance(loaded.task, MaskedLM):
        raise InputError(f"{model} is no masked language model, so a corpus cannot tell how good it is; give a table")
    block_size = loaded.encoder.pattern.block_size
    length = row_length or loaded.task.max_length // block_size * block_size
    if length > loaded.encoder.max_length:
        raise InputError(f"--row-length {length} is more than the {loaded.encoder.max_length} tokens {model} reads")
    if length % block_size:
        raise InputError(
            f"--row-length must be a multiple of the {block_size} tokens of a block of {model}, got {length}"
        )
    rows = held_out_for(corpus, loaded.tokenizer, row_length=length, block_size=block_size, source=f"model {model}")
    return Predictor(replace(loaded, task=replace(loaded.task, max_length=length))), rows


def _records(predictor: Predictor, model: str, data: Path, genome: list[Path] | None) -> list[Record]:
    """DNA records, for a model that reads DNA."""
    from bigbird.data.records import read_records
    from bigbird.tokenizers import TextTokenizer

    if isinstance(predictor.loaded.tokenizer, TextTokenizer):
        raise InputError(
            f"{model} reads text, and records are DNA. To score it: bigbird prepare TEXTS --out corpus --tokenizer "
            f"{model}, then bigbird evaluate {model} corpus"
        )
    return read_records(data, genome=_genome(genome))


def _next_step(run: RunConfig, model: Path) -> str:
    """What to do with the model of a run."""
    from bigbird.data.prepared import PreparedData

    if isinstance(run.data, PreparedData):
        return f"score it with: bigbird evaluate {model} {run.data.corpus}"
    return f"use it with: bigbird predict {model} FILE"


def _genome(paths: list[Path] | None) -> Genome | None:
    from bigbird.data.genome import Genome

    return Genome.open(*paths) if paths else None


def _watched(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """The items, with a progress bar when someone is looking."""
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(items, description=what, total=total, console=console, disable=not console.is_terminal)


def _write_table(file: TextIO, loaded: LoadedModel, records: Sequence[Record], answers: Iterable[Prediction]) -> None:
    """One line per record; columns depend on what the model answers."""
    from bigbird.tasks import Classification, MaskedLM

    columns: list[str]
    cells: Callable[[Record, Prediction], list[str]]
    labels = loaded.task.labels
    if isinstance(loaded.task, Classification):
        columns, cells = ["label", *labels], _whole_cells
    elif isinstance(loaded.task, MaskedLM):
        columns, cells = ["bits per letter", "hidden letters"], _masked_cells
    else:
        columns, cells = [f"{label} {part}" for label in labels for part in ("score", "place")], _token_cells
    print("name", *columns, sep="\t", file=file)
    for record, answer in zip(records, answers, strict=True):
        print(record.name, *cells(record, answer), sep="\t", file=file)


def _whole_cells(_: Record, answer: Prediction) -> list[str]:
    return [";".join(answer.labels), *(f"{value:.6f}" for value in answer.probabilities)]


def _masked_cells(_: Record, answer: Prediction) -> list[str]:
    from math import log

    bits = answer.nats / log(2) / answer.num_letters if answer.num_letters else float("nan")
    return [f"{bits:.4f}", str(answer.num_letters)]


def _token_cells(record: Record, answer: Prediction) -> list[str]:
    best = answer.probabilities.argmax(0)
    pairs = [(f"{answer.probabilities[place, column]:.6f}", _place(record, place)) for column, place in enumerate(best)]
    return [cell for pair in pairs for cell in pair]


def _place(record: Record, index: int) -> str:
    """Where a base of a record lies, counted from 1: on its genome if it has one."""
    interval = record.interval
    if interval is None:
        return str(index + 1)
    place = interval.end - 1 - index if interval.strand == "-" else interval.start + index
    return f"{interval.contig}:{place + 1}"


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201
    except BrokenPipeError:  # nobody listens; that is no reason to stop, nor to end otherwise
        _silence(sys.stderr)
