"""A run: what to learn from, from which start, how. The one place that knows all parts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from torch import nn

from bigbird import config as configs
from bigbird.checkpoint import LoadedModel, load_model
from bigbird.data.files import written_whole
from bigbird.data.sources import DataConfig, Datasets
from bigbird.errors import ConfigError
from bigbird.model.encoder import EncoderConfig
from bigbird.tasks import AnyTask, MaskedLM
from bigbird.tokenizers import DnaTokenizer, KmerTokenizer, Tokenizer
from bigbird.training.reporting import Reporter
from bigbird.training.state import has_state
from bigbird.training.trainer import MODEL_FOLDER, STATE_FOLDER, Trainer, TrainingConfig, seeded

RUN_FILE = "run.json"


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """Begin with random weights and a tokenizer trained on the run's own data.

    tokenizer        "bpe", "single-base" or "kmers"
    vocab_size       of tokenizer bpe
    bases_per_token  of tokenizer kmers
    encoder          its vocab_size and bases_per_token are set to the tokenizer's
    """

    tokenizer: Literal["bpe", "single-base", "kmers"] = "bpe"
    vocab_size: int = 4096
    bases_per_token: int = 16
    encoder: EncoderConfig


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything a run depends on; saved beside its results and enough to repeat it.

    recipe  the name under which the recipe that made it is known
    start   `Scratch`, or the name or folder of a model whose tokenizer and encoder are taken over
    """

    recipe: str
    start: Scratch | str
    task: AnyTask
    data: DataConfig
    training: TrainingConfig = field(default_factory=TrainingConfig)


def train(config: RunConfig, folder: Path, *, resume: bool = False, console: Console | None = None) -> LoadedModel:
    """Carry out a run in `folder`; returns the best model, which also lies in `folder`/model."""
    if not resume and (has_state(folder / STATE_FOLDER) or (folder / MODEL_FOLDER).exists()):
        raise ConfigError(f"{folder} holds a run already; resume it with --resume, or choose another folder")
    datasets = config.data.open()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = _starting_point(config, datasets, device)
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / RUN_FILE) as path:
        path.write_text(json.dumps(configs.to_json(config), indent=2) + "\n")
    trainer = Trainer(loaded, config.training, source=datasets.train, validation=datasets.validation, folder=folder)
    if resume:
        trainer.resume()
    with Reporter(
        folder, num_steps=config.training.num_steps, first_step=trainer.progress.step, console=console
    ) as reporter:
        return trainer.run(reporter)


def _starting_point(config: RunConfig, datasets: Datasets, device: torch.device) -> LoadedModel:
    task = config.task
    if not task.labels and not isinstance(task, MaskedLM):
        task = replace(task, labels=datasets.labels)
    notes = {"recipe": config.recipe, "seed": config.training.seed}
    if isinstance(config.start, Scratch):
        tokenizer = _new_tokenizer(config.start, datasets)
        bases = tokenizer.bases_per_token if isinstance(tokenizer, KmerTokenizer) else 0
        encoder = replace(config.start.encoder, vocab_size=tokenizer.vocab_size, bases_per_token=bases)
        model = _new_model(task, encoder, config.training.seed)
        return LoadedModel(model.to(device), encoder, task, tokenizer, notes)
    base = load_model(config.start)
    model = _new_model(task, base.encoder, config.training.seed)
    is_same_head = (type(base.task), base.task.labels) == (type(task), task.labels)
    for name, tensor in base.model.state_dict().items():
        if is_same_head or name.startswith("encoder."):
            model.state_dict()[name].copy_(tensor)
    return LoadedModel(model.to(device), base.encoder, task, base.tokenizer, {**notes, "start": config.start})


def _new_tokenizer(start: Scratch, datasets: Datasets) -> Tokenizer:
    if start.tokenizer == "kmers":
        return KmerTokenizer(start.bases_per_token)
    if start.tokenizer == "single-base":
        return DnaTokenizer.single_base()
    return DnaTokenizer.train(datasets.corpus(), vocab_size=start.vocab_size)


def _new_model(task: AnyTask, encoder: EncoderConfig, seed: int) -> nn.Module:
    if task.max_length > encoder.max_length:
        raise ConfigError(
            f"task.max_length {task.max_length} is more than the model reads ({encoder.max_length}). "
            f"Set task.max_length={encoder.max_length}, or start.encoder.max_length for a new model."
        )
    with seeded(seed, device=torch.device("cpu")):
        return task.build_model(encoder)
