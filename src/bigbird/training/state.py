"""What a run needs to go on as if it had never stopped: weights, optimizer, counters. Written whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bigbird.errors import CheckpointError

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


def save_state(folder: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write `folder`/step-N under a temporary name, rename it, then drop older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{progress.step:09d}"
    temporary = folder / f".{final.name}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    save_file({name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}, temporary / _WEIGHTS_FILE)
    save_file(_optimizer_tensors(model, optimizer), temporary / _OPTIMIZER_FILE)
    (temporary / _STATE_FILE).write_text(json.dumps(asdict(progress)) + "\n")
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    for older in _saved(folder)[:-1]:
        shutil.rmtree(older)


def load_state(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Put the newest saved state into `model` and `optimizer`."""
    saved = _saved(folder)
    if not saved:
        raise CheckpointError(f"{folder} holds no saved state to resume from; start without --resume")
    try:
        progress = Progress(**json.loads((saved[-1] / _STATE_FILE).read_text()))
        model.load_state_dict(load_file(saved[-1] / _WEIGHTS_FILE))
        _put_optimizer_tensors(load_file(saved[-1] / _OPTIMIZER_FILE), model, optimizer)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{saved[-1]} is damaged: {error}. Remove it to resume from an earlier state.") from error
    return progress


def has_state(folder: Path) -> bool:
    """True when there is a saved state to resume from."""
    return bool(_saved(folder))


def _saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": torch.as_tensor(value).detach().cpu()
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
    }


def _put_optimizer_tensors(tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    parameters = dict(model.named_parameters())
    for entry, tensor in tensors.items():
        name, _, key = entry.rpartition("/")
        parameter = parameters[name]
        on_device = tensor if key == "step" else tensor.to(parameter.device)
        optimizer.state[parameter][key] = on_device
