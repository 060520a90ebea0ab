"""What a run needs to go on as if it had never stopped: weights, optimizer, counters. Written whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from bigbird.errors import CheckpointError
from bigbird.training.engine_state import Tensors

_STATE_FILE, _WEIGHTS_FILE, _OPTIMIZER_FILE = "state.json", "weights.safetensors", "optimizer.safetensors"


@dataclass
class Progress:
    """Counters of a run. `best` is the watched metric's best value so far, `stale` evaluations since then."""

    step: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    skipped: int = 0
    num_tokens: int = 0


def save_state(folder: Path, progress: Progress, weights: Tensors, optimizer_tensors: Tensors) -> None:
    """Write `folder`/step-N under a temporary name, rename it, then drop older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{progress.step:09d}"
    temporary = folder / f".{final.name}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    save_file(weights, temporary / _WEIGHTS_FILE)
    save_file(optimizer_tensors, temporary / _OPTIMIZER_FILE)
    (temporary / _STATE_FILE).write_text(json.dumps(asdict(progress)) + "\n")
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    for older in _saved(folder)[:-1]:
        shutil.rmtree(older)


def load_state(folder: Path) -> tuple[Progress, Tensors, Tensors]:
    """The newest saved state: counters, weights, optimizer state."""
    saved = _saved(folder)
    if not saved:
        raise CheckpointError(f"{folder} holds no saved state to resume from; start without --resume")
    try:
        progress = Progress(**json.loads((saved[-1] / _STATE_FILE).read_text()))
        weights, optimizer_tensors = load_file(saved[-1] / _WEIGHTS_FILE), load_file(saved[-1] / _OPTIMIZER_FILE)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{saved[-1]} is damaged: {error}. Remove it to resume from an earlier state.") from error
    return progress, weights, optimizer_tensors


def has_state(folder: Path) -> bool:
    """True when there is a saved state to resume from."""
    return bool(_saved(folder))


def _saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))
