"""The folder of a run: whether it may be begun or gone on with there, and the settings kept in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bigbird.checkpoint import load_notes
from bigbird.data.files import check_new_folder, written_whole
from bigbird.data.folder_lock import folder_lock
from bigbird.data.sources import Datasets
from bigbird.errors import CheckpointError, ConfigError
from bigbird.training.distributed import Ranks
from bigbird.training.reporting import METRICS_FILE
from bigbird.training.run_record import MODEL_FOLDER, RUN_FILE
from bigbird.training.state_store import has_state
from bigbird.training.trainer import STATE_FOLDER

Settings = Mapping[str, object]  # a run's configuration as JSON

MAY_CHANGE = (
    *("training.num_steps", "training.patience", "training.evaluate_every", "training.save_every"),
    *("training.keep_states", "training.max_skipped"),
    # where and how, never what
    *("training.sharding", "training.context_parallel", "training.checkpoint_activations", "training.compile"),
    *("training.tensorboard", "data.corpus"),  # a corpus may move; `check_same_corpus` knows it by its contents
)
CORPUS_NOTE = "corpus_sha256"  # among a model's notes: of the manifest of the corpus it learned from


def locked(folder: Path) -> AbstractContextManager[None]:
    """Make the folder if need be and keep other runs out of it; raises when another is at work there."""
    check_new_folder(folder)
    return folder_lock(folder)


@dataclass(frozen=True, kw_only=True)
class Resuming:
    """How a run begins in a folder.

    is_asked      go on, and only that
    step          the step whose state to go on from; None is the newest
    is_automatic  go on if there is a state, else begin
    """

    is_asked: bool
    step: int | None
    is_automatic: bool

    def __post_init__(self) -> None:
        if self.step is not None and self.is_automatic:
            raise ConfigError(
                f"choose one of resume_from (--resume-from {self.step}) and auto_resume (--auto-resume): together a "
                f"run would go back to step {self.step} whenever it is started again"
            )


def check_folder(settings: Settings, folder: Path, resuming: Resuming) -> bool:
    """True when the run goes on with what `folder` holds; raises when it may not be written into."""
    is_begun = has_state(folder / STATE_FOLDER) or _has_steps(folder / METRICS_FILE)
    if resuming.is_asked or resuming.step is not None or (resuming.is_automatic and is_begun):
        _check_same_run(settings, folder)
    elif is_begun or (not resuming.is_automatic and (folder / MODEL_FOLDER).exists()):
        raise ConfigError(f"{folder} holds a run already; resume it with --resume, or choose another folder")
    if not is_begun and resuming.step is not None:
        raise CheckpointError(f"{folder} holds no state of step {resuming.step}, nor of any other; begin with --resume")
    if not is_begun:
        _check_model_of_no_step(folder)
    return is_begun


def write_settings(settings: Settings, folder: Path) -> None:
    """Write run.json."""
    with written_whole(folder / RUN_FILE) as path:
        path.write_text(json.dumps(settings, indent=2) + "\n")


def check_shared(folder: Path, ranks: Ranks) -> None:
    """Raise unless every process sees the folder that process 0 writes."""
    if not ranks.all_of((folder / RUN_FILE).exists()):
        raise ConfigError(
            f"not every process of the run sees {folder / RUN_FILE}; with several machines --out must be a folder on a "
            f"disk they share"
        )


def _has_steps(metrics: Path) -> bool:
    """Whether a run has got beyond its first evaluation; one killed before its first state has nothing to lose."""
    return metrics.exists() and b'"event": "step"' in metrics.read_bytes()


def _check_model_of_no_step(folder: Path) -> None:
    """Raise when a new run would write over a model, unless a run that died before its first state has left it."""
    model = folder / MODEL_FOLDER
    if model.exists() and not ((folder / RUN_FILE).exists() and load_notes(model).get("step") == 0):
        raise ConfigError(
            f"{folder} holds no state to go on from, but a model that a new run would write over: {model}. Move it, or "
            f"choose another folder"
        )


def _check_same_run(settings: Settings, folder: Path) -> None:
    """Raise unless `folder` holds a run that `config` goes on with."""
    path = folder / RUN_FILE
    try:
        saved = json.loads(path.read_text())
    except FileNotFoundError:
        if has_state(folder / STATE_FOLDER):
            raise CheckpointError(
                f"{folder} holds a run without its {RUN_FILE}, so nothing tells what to resume; put the file back, or "
                f"choose another folder"
            ) from None
        raise CheckpointError(f"{folder} holds no run to resume (no {RUN_FILE}); start without --resume") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read, so nothing tells what to resume: {error}") from None
    if not isinstance(saved, dict):
        raise CheckpointError(f"{path} holds {saved!r} instead of a run's settings, so nothing tells what to resume")
    for name, before, now in _differences(saved, settings):
        if name not in MAY_CHANGE:
            raise ConfigError(
                f"{folder} was begun with {name} {before!r}, now it is {now!r}. A run is resumed with its own "
                f"settings, those in {path}; only {', '.join(MAY_CHANGE)} may differ. Or begin a new run in another "
                f"folder."
            )


def check_same_corpus(folder: Path, datasets: Datasets) -> None:
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
