"""A run: what to learn from, from which start, how. The one place that knows all parts."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from rich.console import Console

from bigbird import config as configs
from bigbird.checkpoint import LoadedModel
from bigbird.data.segment_pairs import PairedRows, PairedSource
from bigbird.data.sources import DataConfig, Datasets
from bigbird.errors import ConfigError
from bigbird.run_folder import (
    CORPUS_NOTE,
    Resuming,
    check_folder,
    check_same_corpus,
    check_shared,
    locked,
    write_settings,
)
from bigbird.run_start import Scratch, starting_point
from bigbird.tasks import AnyTask, MaskedLM
from bigbird.tokenizers import DnaTokenizer, KmerTokenizer
from bigbird.training import room
from bigbird.training.context import check_task
from bigbird.training.distributed import Ranks, joined, processes_here
from bigbird.training.engine import check_engine
from bigbird.training.memory_model import MemoryModel
from bigbird.training.reporting import Reporter
from bigbird.training.settings import TrainingConfig
from bigbird.training.silence import Silence
from bigbird.training.tensorboard import check_tensorboard
from bigbird.training.trainer import Trainer


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
    resume_from  the step whose state to go on from instead; None is the newest. Not with auto_resume, which would go
                 back to it whenever it starts again
    auto_resume  go on if there is a state, else begin: what a run that is restarted by itself must do
    """
    resuming = Resuming(is_asked=resume, step=resume_from, is_automatic=auto_resume)
    with joined() as ranks, ExitStack() as held:
        _check(config, ranks)
        settings = configs.to_json(config)
        ranks.on_first(lambda: held.enter_context(locked(folder)))
        is_resumed = ranks.on_first(lambda: check_folder(settings, folder, resuming))
        datasets = _datasets(config)
        if is_resumed and datasets.sha256:
            check_same_corpus(folder, datasets)
        loaded = starting_point(config.start, config.task, datasets, seed=config.training.seed, device=ranks.device)
        loaded = replace(loaded, notes=_notes(config, datasets) | loaded.notes)
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
        ranks.on_first(lambda: write_settings(settings, folder))
        check_shared(folder, ranks)
        letter = "base" if isinstance(loaded.tokenizer, DnaTokenizer | KmerTokenizer) else "character"
        with _reporter(config, folder, trainer.progress.step, console, ranks, letter=letter) as reporter:
            return trainer.run(reporter)


def _check(config: RunConfig, ranks: Ranks) -> None:
    """Raise unless the settings fit this machine, the run's processes and one another."""
    check_engine(config.training, ranks)
    check_task(config.task, config.training.context_parallel)
    if config.training.tensorboard:
        check_tensorboard()


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
    num_processes = processes_here() if ranks.device.type == "cpu" else 1  # each has a GPU of its own
    for line in room.told(model, room.available_on(ranks.device), num_processes=num_processes):
        (console or Console(stderr=True)).print(line, highlight=False, markup=False, soft_wrap=True)


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


def _notes(config: RunConfig, datasets: Datasets) -> dict[str, object]:
    """What the model's folder tells of where it comes from."""
    notes: dict[str, object] = {"recipe": config.recipe, "seed": config.training.seed, **datasets.notes}
    return notes | ({CORPUS_NOTE: datasets.sha256} if datasets.sha256 else {})
