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
from bigbird.checkpoint import LoadedModel, empty_model, load_model
from bigbird.data.files import check_new_folder, written_whole
from bigbird.data.records import Record
from bigbird.data.sources import DataConfig, Datasets, FixedRecords, RecordSource
from bigbird.errors import CheckpointError, ConfigError, DataError
from bigbird.machine import check_memory
from bigbird.model.encoder import EncoderConfig
from bigbird.tasks import AnyTask, Classification, MaskedLM, TokenClassification
from bigbird.tokenizers import DnaTokenizer, KmerTokenizer, Tokenizer
from bigbird.training.distributed import Ranks, joined
from bigbird.training.engine import check_engine
from bigbird.training.reporting import METRICS_FILE, Reporter
from bigbird.training.run_lock import run_lock
from bigbird.training.settings import TrainingConfig
from bigbird.training.silence import Silence
from bigbird.training.state_store import has_state
from bigbird.training.step import seeded
from bigbird.training.trainer import MODEL_FOLDER, STATE_FOLDER, Trainer

RUN_FILE = "run.json"
MAY_CHANGE = (
    *("training.num_steps", "training.patience", "training.evaluate_every", "training.save_every"),
    *("training.keep_states", "training.max_skipped"),
    # where and how, never what
    *("training.sharding", "training.context_parallel", "training.checkpoint_activations", "training.compile"),
)
MAX_VOCAB_SIZE = 2**24  # masked language modelling holds ids in float32
BYTES_PER_PARAMETER = 16  # in training: the weight, its gradient and AdamW's two averages, all float32

TokenizerKind = Literal["bpe", "single-base", "kmers"]


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """Begin with random weights and a tokenizer trained on the run's own data.

    tokenizer        "bpe", "single-base" or "kmers"
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
    start   `Scratch`, or the name or folder of a model whose tokenizer and encoder are taken over
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
        ranks.on_first(lambda: held.enter_context(_locked(folder)))
        is_resumed = ranks.on_first(lambda: _check_folder(config, folder, resume=resume, auto_resume=auto_resume))
        datasets = config.data.open()
        loaded = _starting_point(config, datasets, ranks.device)
        trainer = Trainer(
            loaded,
            config.training,
            source=datasets.train,
            validation=datasets.validation,
            folder=folder,
            ranks=ranks,
        )
        if ranks.count > 1:
            trainer.batches.check_alike()
        if is_resumed:
            trainer.resume(resume_from)
        else:
            trainer.begin()
        ranks.on_first(lambda: _write_config(config, folder))
        _check_shared(folder, ranks)
        with _reporter(config, folder, trainer.progress.step, console, ranks) as reporter:
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


def _reporter(config: RunConfig, folder: Path, step: int, console: Console | None, ranks: Ranks) -> Reporter:
    if not ranks.is_first:
        return cast("Reporter", Silence())
    return Reporter(folder, num_steps=config.training.num_steps, first_step=step, console=console)


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


def _differences(before: object, now: object, name: str = "") -> Iterator[tuple[str, object, object]]:
    """Settings whose values differ; those that only one side knows belong to another version of bigbird."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before:
            if key in now:
                yield from _differences(before[key], now[key], f"{name}.{key}" if name else key)
    elif before != now:
        yield name, before, now


def _starting_point(config: RunConfig, datasets: Datasets, device: torch.device) -> LoadedModel:
    task = config.task if isinstance(config.task, MaskedLM) else _with_labels(config.task, datasets)
    notes = {"recipe": config.recipe, "seed": config.training.seed}
    if isinstance(config.start, Scratch):
        tokenizer = _new_tokenizer(config.start, datasets)
        bases = tokenizer.bases_per_token if isinstance(tokenizer, KmerTokenizer) else 0
        encoder = replace(config.start.encoder, vocab_size=tokenizer.vocab_size, bases_per_token=bases)
        _check_records(datasets.train, task, tokenizer)
        model = _new_model(task, encoder, config.training.seed, device)
        return LoadedModel(model, encoder, task, tokenizer, notes)
    base = load_model(config.start)
    _check_records(datasets.train, task, base.tokenizer)
    model = _new_model(task, base.encoder, config.training.seed, device)
    is_same_head = (type(base.task), base.task.labels) == (type(task), task.labels)
    for name, tensor in base.model.state_dict().items():
        if is_same_head or name.startswith("encoder."):
            model.state_dict()[name].copy_(tensor)
    return LoadedModel(model, base.encoder, task, base.tokenizer, {**notes, "start": config.start})


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
    _check_room(task, encoder, device)
    with seeded(seed, device=torch.device("cpu")):
        return task.build_model(encoder).to(device)


def _check_room(task: AnyTask, encoder: EncoderConfig, device: torch.device) -> None:
    """Raise, before anything is built, when the model cannot be trained on this machine."""
    described = (
        f"hidden_size {encoder.hidden_size:,}, inner_size {encoder.inner_size:,}, num_layers {encoder.num_layers:,}, "
        f"vocab_size {encoder.vocab_size:,}, max_length {encoder.max_length:,}"
    )
    try:
        num_parameters = _num_parameters(task, encoder)
    except ConfigError as error:
        raise ConfigError(f"no model can be that large ({described}): {error}. Give smaller sizes.") from None
    check_memory(
        BYTES_PER_PARAMETER * num_parameters,
        f"training a model of {num_parameters:,} parameters ({described})",
        device=str(device),
        cure="Give smaller sizes, for example --set start.encoder.hidden_size=256.",
    )


def _num_parameters(task: AnyTask, encoder: EncoderConfig) -> int:
    """Layers are alike: the second tells what each further one adds."""
    one, two = (_num_parameters_with(task, replace(encoder, num_layers=num_layers)) for num_layers in (1, 2))
    return one + (encoder.num_layers - 1) * (two - one)


def _num_parameters_with(task: AnyTask, encoder: EncoderConfig) -> int:
    return sum(parameter.numel() for parameter in empty_model(lambda: task.build_model(encoder)).parameters())
