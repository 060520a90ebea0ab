"""The folder of a run: whether it may be begun or gone on with there, and the settings kept in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from bigbird.checkpoint import load_notes
from bigbird.data.files import check_new_folder, written_whole
from bigbird.data.sources import Datasets
from bigbird.errors import CheckpointError, ConfigError
from bigbird.training.distributed import Ranks
from bigbird.training.reporting import METRICS_FILE
from bigbird.training.run_lock import run_lock
from bigbird.training.state_store import has_state
from bigbird.training.trainer import MODEL_FOLDER, STATE_FOLDER

Settings = Mapping[str, object]  # a run's configuration as JSON

RUN_FILE = "run.json"
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
    return run_lock(folder)


def check_folder(settings: Settings, folder: Path, *, resume: bool, auto_resume: bool) -> bool:
    """True when the run goes on with what `folder` holds; raises when it may not be written into."""
    is_begun = has_state(folder / STATE_FOLDER) or _has_steps(folder / METRICS_FILE)
    if resume or (auto_resume and is_begun):
        _check_same_run(settings, folder)
        return is_begun
    # A run that died before its first state may have left a model; one that restarts itself writes over it.
    if not auto_resume and (is_begun or (folder / MODEL_FOLDER).exists()):
        raise ConfigError(f"{folder} holds a run already; resume it with --resume, or choose another folder")
    return False


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


def _check_same_run(settings: Settings, folder: Path) -> None:
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
