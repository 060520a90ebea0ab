"""A run: what to learn from, from which start, how. The one place that knows all parts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast, get_args

import torch
from rich.console import Console
from torch import nn

from bigbird import config as configs
from bigbird.checkpoint import LoadedModel, load_notes
from bigbird.data.files import check_new_folder, written_whole
from bigbird.data.held_out import check_block_size, check_tokenizer
from bigbird.data.records import Record
from bigbird.data.segment_pairs import PairedRows, PairedSource
from bigbird.data.sources import DataConfig, Datasets, FixedRecords, RecordSource
from bigbird.errors import CheckpointError, ConfigError, DataError
from bigbird.interop.starting import read_start
from bigbird.model.encoder import EncoderConfig
from bigbird.tasks import AnyTask, Classification, MaskedLM, TokenClassification
from bigbird.tokenizers import DnaTokenizer, KmerTokenizer, Tokenizer
from bigbird.training import room
from bigbird.training.distributed import Ranks, joined
from bigbird.training.engine import check_engine
from bigbird.training.memory_model import MemoryModel
from bigbird.training.reporting import METRICS_FILE, Reporter
from bigbird.training.run_lock import run_lock
from bigbird.training.settings import TrainingConfig
from bigbird.training.silence import Silence
from bigbird.training.state_store import has_state
from bigbird.training.step import seeded
from bigbird.training.tensorboard import check_tensorboard
from bigbird.training.trainer import MODEL_FOLDER, STATE_FOLDER, Trainer

RUN_FILE = "run.json"
MAY_CHANGE = (
    *("training.num_steps", "training.patience", "training.evaluate_every", "training.save_every"),
    *("training.keep_states", "training.max_skipped"),
    # where and how, never what
    *("training.sharding", "training.context_parallel", "training.checkpoint_activations", "training.compile"),
    "training.tensorboard",
)
MAX_VOCAB_SIZE = 2**24  # masked language modelling holds ids in float32
CORPUS_NOTE = "corpus_sha256"  # among a model's notes: of the manifest of the corpus it learned from

TokenizerKind = Literal["bpe", "single-base", "kmers", "corpus"]


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """Begin with random weights and a tokenizer trained on the run's own data.

    tokenizer        "bpe", "single-base" or "kmers"; "corpus" is the one a prepared corpus was made with
    vocab_size       of tokenizer bpe
    bases_per_token  of tokenizer kmers
    encoder          its vocab_size and bases_per_token are set to the tokenizer's
    """

    tokenizer: TokenizerKind = "bpe"
    vocab_size: int = 4096
    bases_per_token: int = 16
    encoder: EncoderConfig

    def __post_init__(self) -> None:
        if self.tokenizer not in get_args(TokenizerKind):
            raise ConfigError(
                f"start.tokenizer must be one of {', '.join(get_args(TokenizerKind))}, got {self.tokenizer!r}"
            )
        if not 1 <= self.vocab_size <= MAX_VOCAB_SIZE:
            raise ConfigError(f"start.vocab_size must be from 1 to {MAX_VOCAB_SIZE}, got {self.vocab_size}")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a run depends on; saved beside its results and enough to repeat it.

    recipe  the name under which the recipe that made it is known
    start   `Scratch`, or a model whose tokenizer and encoder are taken over: its name or folder, also one in the Hub's
            layout (see `read_start`)
    """

    recipe: str = field(
        metadata=configs.fixed("Give `bigbird train` the other recipe's name, or a run.json made with it.")
    )
    start: Scratch | str
    task: AnyTask
    data: DataConfig
    training: TrainingConfig = field(default_factory=TrainingConfig)


def train(
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    resume_from: int | None = None,
    auto_resume: bool = False,
    console: Console | None = None,
) -> LoadedModel:
    """Carry out a run in `folder`; returns the best model, which also lies in `folder`/model.

    When the environment says that this process is one of several (`torchrun`), all of them call this alike.

    resume       go on from the newest sound state
    resume_from  the step whose state to go on from instead; None is the newest
    auto_resume  go on if there is a state, else begin: what a run that is restarted by itself must do
    """
    with joined() as ranks, ExitStack() as held:
        check_engine(config.training, ranks)
        if config.training.tensorboard:
            check_tensorboard()
        ranks.on_first(lambda: held.enter_context(_locked(folder)))
        is_resumed = ranks.on_first(lambda: _check_folder(config, folder, resume=resume, auto_resume=auto_resume))
        datasets = _datasets(config)
        if is_resumed and datasets.sha256:
            _check_same_corpus(folder, datasets)
        loaded = _starting_point(config, datasets, ranks.device)
        trainer = Trainer(
            loaded,
            config.training,
            source=datasets.train,
            validation=datasets.validation,
            folder=folder,
            ranks=ranks,
        )
        ranks.on_first(lambda: _tell_need(loaded, config.training, datasets, ranks, console))
        if ranks.count > 1:
            trainer.batches.check_alike()
        if is_resumed:
            trainer.resume(resume_from)
        else:
            trainer.begin()
        ranks.on_first(lambda: _write_config(config, folder))
        _check_shared(folder, ranks)
        letter = "base" if isinstance(loaded.tokenizer, DnaTokenizer | KmerTokenizer) else "character"
        with _reporter(config, folder, trainer.progress.step, console, ranks, letter=letter) as reporter:
            return trainer.run(reporter)


def _locked(folder: Path) -> AbstractContextManager[None]:
    check_new_folder(folder)
    return run_lock(folder)


def _check_folder(config: RunConfig, folder: Path, *, resume: bool, auto_resume: bool) -> bool:
    """True when the run goes on with what `folder` holds; raises when it may not be written into."""
    is_begun = has_state(folder / STATE_FOLDER) or _has_steps(folder / METRICS_FILE)
    if resume or (auto_resume and is_begun):
        _check_same_run(config, folder)
        return is_begun
    # A run that died before its first state may have left a model; one that restarts itself writes over it.
    if not auto_resume and (is_begun or (folder / MODEL_FOLDER).exists()):
        raise ConfigError(f"{folder} holds a run already; resume it with --resume, or choose another folder")
    return False


def _write_config(config: RunConfig, folder: Path) -> None:
    with written_whole(folder / RUN_FILE) as path:
        path.write_text(json.dumps(configs.to_json(config), indent=2) + "\n")


def _check_shared(folder: Path, ranks: Ranks) -> None:
    """Raise unless every process sees the folder that process 0 writes."""
    if not ranks.all_of((folder / RUN_FILE).exists()):
        raise ConfigError(
            f"not every process of the run sees {folder / RUN_FILE}; with several machines --out must be a folder on a "
            f"disk they share"
        )


def _reporter(
    config: RunConfig, folder: Path, step: int, console: Console | None, ranks: Ranks, *, letter: str
) -> Reporter:
    if not ranks.is_first:
        return cast("Reporter", Silence())
    return Reporter(
        folder,
        num_steps=config.training.num_steps,
        first_step=step,
        console=console,
        letter=letter,
        tensorboard=config.training.tensorboard,
    )


def _tell_need(
    loaded: LoadedModel, config: TrainingConfig, datasets: Datasets, ranks: Ranks, console: Console | None
) -> None:
    """Print how much memory the run needs; raise ConfigError when it surely cannot be had."""
    model = MemoryModel(loaded, config, datasets.train, num_validation=len(datasets.validation), ranks=ranks)
    for line in room.told(model, room.available_on(ranks.device)):
        (console or Console(stderr=True)).print(line, highlight=False, markup=False, soft_wrap=True)


def _has_steps(metrics: Path) -> bool:
    """Whether a run has got beyond its first evaluation; one killed before its first state has nothing to lose."""
    return metrics.exists() and b'"event": "step"' in metrics.read_bytes()


def _check_same_run(config: RunConfig, folder: Path) -> None:
    """Raise unless `folder` holds a run that `config` goes on with."""
    path = folder / RUN_FILE
    try:
        saved = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{folder} holds no run to resume (no {RUN_FILE}); start without --resume") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read, so nothing tells what to resume: {error}") from None
    if not isinstance(saved, dict):
        raise CheckpointError(f"{path} holds {saved!r} instead of a run's settings, so nothing tells what to resume")
    for name, before, now in _differences(saved, configs.to_json(config)):
        if name not in MAY_CHANGE:
            raise ConfigError(
                f"{folder} was begun with {name} {before!r}, now it is {now!r}. A run is resumed with its own "
                f"settings, those in {path}; only {', '.join(MAY_CHANGE)} may differ. Or begin a new run in another "
                f"folder."
            )


def _check_same_corpus(folder: Path, datasets: Datasets) -> None:
    """Raise unless the corpus is, byte by byte, the one that the run in `folder` began with."""
    if not (folder / MODEL_FOLDER).exists():
        return  # stopped before it kept a model: nothing was learned yet
    began = str(load_notes(folder / MODEL_FOLDER).get(CORPUS_NOTE, ""))
    if began != datasets.sha256:
        raise CheckpointError(
            f"{folder} was begun with the corpus whose manifest has the SHA-256 {began[:12] or '(none)'}, now it is "
            f"{datasets.sha256[:12]}. The order of its rows would be another, so it is resumed on no other "
            f"corpus; give the first one, or begin a new run in another folder."
        )


def _differences(before: object, now: object, name: str = "") -> Iterator[tuple[str, object, object]]:
    """Settings whose values differ; those that only one side knows belong to another version of bigbird."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before:
            if key in now:
                yield from _differences(before[key], now[key], f"{name}.{key}" if name else key)
    elif before != now:
        yield name, before, now


def _datasets(config: RunConfig) -> Datasets:
    datasets = config.data.open()
    if not (isinstance(config.task, MaskedLM) and config.task.next_segment):
        return datasets
    if datasets.tokenizer is None:
        raise ConfigError(
            "task.next_segment needs documents that were cut into rows, those of a prepared corpus; take a recipe that "
            "reads one, such as text.pretrain, or set task.next_segment=false"
        )
    return datasets._replace(train=PairedSource(datasets.train), validation=PairedRows(datasets.validation))


def _starting_point(config: RunConfig, datasets: Datasets, device: torch.device) -> LoadedModel:
    task = config.task if isinstance(config.task, MaskedLM) else _with_labels(config.task, datasets)
    notes = {"recipe": config.recipe, "seed": config.training.seed}
    if datasets.sha256:
        notes[CORPUS_NOTE] = datasets.sha256
    if isinstance(config.start, Scratch):
        tokenizer = _new_tokenizer(config.start, datasets)
        bases = tokenizer.bases_per_token if isinstance(tokenizer, KmerTokenizer) else 0
        encoder = replace(config.start.encoder, vocab_size=tokenizer.vocab_size, bases_per_token=bases)
        check_block_size(datasets, encoder.pattern.block_size)
        _check_records(datasets.train, task, tokenizer)
        model = _new_model(task, encoder, config.training.seed, device)
        return LoadedModel(model, encoder, task, tokenizer, notes)
    start = read_start(config.start, task)
    if datasets.tokenizer is not None:
        check_tokenizer(start.tokenizer, datasets.tokenizer, source=f"start {config.start}")
    check_block_size(datasets, start.encoder.pattern.block_size)
    _check_records(datasets.train, task, start.tokenizer)
    model = _new_model(task, start.encoder, config.training.seed, device)
    start.fill(model)
    return LoadedModel(model, start.encoder, task, start.tokenizer, {**notes, "start": config.start})


def _with_labels(task: Classification | TokenClassification, datasets: Datasets) -> AnyTask:
    """The task with the labels of the training records, unless it names its own."""
    column = "label" if isinstance(task, Classification) else "spans"
    labels: set[str] = set(datasets.labels)
    if isinstance(datasets.train, FixedRecords):
        records = datasets.train.records
        labels = {label for record in records for label in _labels_of(record, column)}
    if not labels:
        raise DataError(
            f"the training records carry no label, so there is nothing to learn; data.train must be a table "
            f"(.csv, .tsv, .jsonl) with the column {column!r}"
        )
    return task if task.labels else replace(task, labels=tuple(sorted(labels)))


def _labels_of(record: Record, column: str) -> Iterator[str]:
    yield from record.labels if column == "label" else (span.label for span in record.spans)


def _check_records(source: RecordSource, task: AnyTask, tokenizer: Tokenizer) -> None:
    """Encode a record of every kind there is, so that labels the task does not know are found before the first step."""
    if not isinstance(source, FixedRecords):
        return
    kinds: dict[object, Record] = {}
    for record in source.records:
        kinds.setdefault((record.labels, frozenset(span.label for span in record.spans)), record)
    for record in kinds.values():
        task.encode(record, tokenizer, purpose="train")


def _new_tokenizer(start: Scratch, datasets: Datasets) -> Tokenizer:
    if (start.tokenizer == "corpus") != (datasets.tokenizer is not None):
        raise ConfigError(
            "start.tokenizer is 'corpus', but only a prepared corpus has a tokenizer; choose bpe, single-base or kmers"
            if start.tokenizer == "corpus"
            else f"start.tokenizer is {start.tokenizer!r}, but the corpus is in tokens already; set "
            f"start.tokenizer=corpus to use those"
        )
    if datasets.tokenizer is not None:
        return datasets.tokenizer
    if start.tokenizer == "kmers":
        return KmerTokenizer(start.bases_per_token)
    if start.tokenizer == "single-base":
        return DnaTokenizer.single_base()
    return DnaTokenizer.train(datasets.corpus(), vocab_size=start.vocab_size)


def _new_model(task: AnyTask, encoder: EncoderConfig, seed: int, device: torch.device) -> nn.Module:
    if task.max_length > encoder.max_length:
        raise ConfigError(
            f"task.max_length {task.max_length} is more than the model reads ({encoder.max_length}). "
            f"Set task.max_length={encoder.max_length}, or start.encoder.max_length for a new model."
        )
    room.check_weights(task, encoder, device)
    with seeded(seed, device=torch.device("cpu")):
        return task.build_model(encoder).to(device)
