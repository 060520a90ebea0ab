"""A model folder: config.json, model.safetensors and the tokenizer's files. Written whole, read strictly."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from bigbird import config as configs
from bigbird.errors import CheckpointError
from bigbird.model.encoder import EncoderConfig
from bigbird.tasks import TASKS, Task
from bigbird.tokenizers import Tokenizer, load_tokenizer

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
MODEL_CARD = "README.md"
FORMAT = 1

_PACKAGED = Path(__file__).parent / "pretrained"
_TASK_NAMES: dict[type, str] = {task: name for name, task in TASKS.items()}


@dataclass(frozen=True)
class LoadedModel:
    """A model with everything needed to use it or to train it further.

    notes  free JSON values: how the model came about
    """

    model: nn.Module
    encoder: EncoderConfig
    task: Task
    tokenizer: Tokenizer
    notes: dict[str, Any]


def save_model(folder: Path, loaded: LoadedModel) -> None:
    """Write the model folder under a temporary name, then rename it; an older folder of that name is replaced."""
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    description = {
        "format": FORMAT,
        "bigbird_version": metadata.version("bigbird"),
        "task": {"name": _TASK_NAMES[type(loaded.task)], **configs.to_json(loaded.task)},
        "encoder": configs.to_json(loaded.encoder),
        "notes": loaded.notes,
    }
    (temporary / CONFIG_FILE).write_text(json.dumps(description, indent=2) + "\n")
    loaded.tokenizer.save(temporary)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in loaded.model.state_dict().items()}
    save_file(weights, temporary / WEIGHTS_FILE, metadata={"format": "pt"})
    # safetensors lets nobody but the owner read its files; whoever may read the config may read the weights
    (temporary / WEIGHTS_FILE).chmod((temporary / CONFIG_FILE).stat().st_mode)
    _replace_folder(temporary, folder)


def load_model(name_or_folder: str | Path, *, device: torch.device | str = "cpu") -> LoadedModel:
    """Read a model folder, or a model that comes with the package by its name (see `packaged_models`)."""
    folder = find_model(name_or_folder)
    description = _read_config(folder / CONFIG_FILE)
    task_values = dict(description["task"])
    kind = TASKS.get(task_values.pop("name", None))
    if kind is None:
        raise CheckpointError(f"{folder / CONFIG_FILE}: task.name must be one of {', '.join(TASKS)}")
    source = str(folder / CONFIG_FILE)
    task: Task = configs.from_json(kind, task_values, source=source)
    encoder = configs.from_json(EncoderConfig, description["encoder"], source=source)
    tokenizer = load_tokenizer(folder)
    if tokenizer.vocab_size != encoder.vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer knows {tokenizer.vocab_size} tokens, the model {encoder.vocab_size}; "
            f"they do not belong together"
        )
    model = _load_weights(folder / WEIGHTS_FILE, task, encoder)
    return LoadedModel(model.to(device).eval(), encoder, task, tokenizer, description.get("notes", {}))


def find_model(name_or_folder: str | Path) -> Path:
    """The folder of a model: the path itself, or a packaged model of that name."""
    folder = Path(name_or_folder)
    if (folder / CONFIG_FILE).is_file():
        return folder
    if str(name_or_folder) in packaged_models():
        return _PACKAGED / str(name_or_folder)
    raise CheckpointError(
        f"{name_or_folder} is neither a model folder (one with {CONFIG_FILE}) nor one of the models that come with "
        f"bigbird: {', '.join(packaged_models()) or 'none'}"
    )


def packaged_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in _PACKAGED.glob(f"*/{CONFIG_FILE}"))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    allowed = {"format", "bigbird_version", "task", "encoder", "notes"}
    if not isinstance(description, dict) or not {"format", "task", "encoder"} <= set(description) <= allowed:
        raise CheckpointError(f"{path} must hold the objects format, task and encoder, and nothing unknown")
    if description["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {description['format']!r}, this bigbird reads {FORMAT}. Install a newer bigbird."
        )
    return description


def _load_weights(path: Path, task: Task, encoder: EncoderConfig) -> nn.Module:
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if encoder.num_layers > len(weights):
        raise CheckpointError(f"{path} has {len(weights)} tensors, too few for {encoder.num_layers} layers")
    with torch.device("meta"):
        model = task.build_model(encoder)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if given != expected:
        raise CheckpointError(f"{path} does not fit its {CONFIG_FILE}: {_first_difference(given, expected)}")
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: the tensor {name} holds NaN or infinity; the file is damaged")
    model.load_state_dict(weights, assign=True)
    return model


def _first_difference(given: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]) -> str:
    for name in sorted({*given, *expected}):
        if given.get(name) != expected.get(name):
            return f"{name} is {list(given[name]) if name in given else 'missing'}, " + (
                f"expected {list(expected[name])}" if name in expected else "which is unknown"
            )
    raise AssertionError


def _replace_folder(temporary: Path, folder: Path) -> None:
    if folder.exists():
        old = folder.with_name(f".{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old)
    else:
        temporary.rename(folder)
