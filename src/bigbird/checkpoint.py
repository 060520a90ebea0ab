"""A model folder: config.json, model.safetensors and the tokenizer's files. Written whole, read strictly."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from bigbird import config as configs
from bigbird.data.files import sync
from bigbird.errors import CheckpointError, ConfigError
from bigbird.model.encoder import EncoderConfig
from bigbird.stored_weights import STORED_TYPES, restored, stored
from bigbird.tasks import TASKS, Task
from bigbird.tokenizers import Tokenizer, load_tokenizer
from bigbird.tokenizers.base import TOKENIZER_FILE

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
MODEL_CARD = "README.md"
FORMAT = 1
WEIGHT_TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)

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


def save_model(
    folder: Path,
    loaded: LoadedModel,
    *,
    weights: Mapping[str, torch.Tensor] | None = None,
    stored_as: str | None = None,
) -> None:
    """Write the model folder under a temporary name, then rename it; an older folder of that name is replaced.

    weights    to write instead of the model's own, which may be spread over processes
    stored_as  "float16" or "bfloat16": a file of half the size; "int8": of about a quarter, see
               `bigbird.stored_weights`. Read back as float32. Without it weights keep their type, in the file and in
               the model read from it
    """
    if stored_as is not None and stored_as not in STORED_TYPES:
        raise ConfigError(f"stored_as must be one of {', '.join(STORED_TYPES)}, or None, got {stored_as!r}")
    temporary, _ = _places_beside(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _write_model(temporary, loaded, loaded.model.state_dict() if weights is None else weights, stored_as)
        _replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def finish_saving(folder: Path) -> None:
    """Tidy up where `save_model` was killed: an older model it had moved out of the way is put back."""
    temporary, old = _places_beside(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)


def _write_model(folder: Path, loaded: LoadedModel, weights: Mapping[str, torch.Tensor], stored_as: str | None) -> None:
    if stored_as is not None:
        weights = stored(weights, stored_as)
        read_back = restored(weights, folder / WEIGHTS_FILE) if stored_as == "int8" else weights
        _check_numbers(folder / WEIGHTS_FILE, read_back)  # what float16 cannot hold has become infinity
    description = {
        "format": FORMAT,
        "bigbird_version": metadata.version("bigbird"),
        **({} if stored_as is None else {"stored_as": stored_as}),
        "task": {"name": _TASK_NAMES[type(loaded.task)], **configs.to_json(loaded.task)},
        "encoder": configs.to_json(loaded.encoder),
        "notes": loaded.notes,
    }
    (folder / CONFIG_FILE).write_text(json.dumps(description, indent=2) + "\n")
    loaded.tokenizer.save(folder)
    write_weights(folder, weights)


def load_model(name_or_folder: str | Path, *, device: torch.device | str = "cpu") -> LoadedModel:
    """Read a model folder, or a model that comes with the package by its name (see `packaged_models`)."""
    chosen = _usable(device)
    folder = find_model(name_or_folder)
    source = folder / CONFIG_FILE
    description = _read_config(source)
    task, encoder = _described(description, source)
    tokenizer = _read_tokenizer(folder)
    if tokenizer.vocab_size != encoder.vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer knows {tokenizer.vocab_size} tokens, the model {encoder.vocab_size}; "
            f"they do not belong together"
        )
    model = _load_weights(folder / WEIGHTS_FILE, task, encoder, stored_as=description.get("stored_as"))
    if "stored_as" in description:
        model = model.float()
    return LoadedModel(model.to(chosen).eval(), encoder, task, tokenizer, description.get("notes", {}))


def load_notes(folder: Path) -> dict[str, Any]:
    """The notes of a model folder, without its weights."""
    notes: dict[str, Any] = _read_config(folder / CONFIG_FILE).get("notes", {})
    return notes


def find_model(name_or_folder: str | Path) -> Path:
    """The folder of a model: the path itself, or a packaged model of that name."""
    if not str(name_or_folder):
        raise CheckpointError(
            f"the model's name is empty; give a model folder or one of the models that come with bigbird: "
            f"{', '.join(packaged_models()) or 'none'}"
        )
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


def write_weights(folder: Path, weights: Mapping[str, torch.Tensor], file_name: str = WEIGHTS_FILE) -> None:
    """Write model.safetensors, or a file of another name, beside the config.json that is there."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    try:
        save_file(plain, folder / file_name, metadata={"format": "pt"})
    except SafetensorError as error:  # how safetensors tells of a full disk
        raise CheckpointError(f"{folder / file_name} cannot be written: {error}") from None
    # safetensors lets nobody but the owner read its files; whoever may read the config may read the weights
    (folder / file_name).chmod((folder / CONFIG_FILE).stat().st_mode)


def empty_model(build: Callable[[], nn.Module]) -> nn.Module:
    """The model with the shapes of its weights alone: it takes no memory, whatever its size."""
    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, TypeError, ValueError) as error:  # sizes that no tensor, shares that no dropout can have
        if isinstance(error, ConfigError):  # a setting the model's own parts refuse
            raise
        raise ConfigError(str(error).partition("\n")[0]) from error


def _usable(device: torch.device | str) -> torch.device:
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    count = torch.accelerator.device_count() if accelerator else 0
    allowed = ["cpu"] if accelerator is None else ["cpu", *(f"{accelerator.type}:{index}" for index in range(count))]
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        chosen = None
    if chosen is None or f"{chosen.type}:{chosen.index or 0}" not in ("cpu:0", *allowed):
        raise ConfigError(
            f"device {str(device)!r} cannot be used here; this machine has {', '.join(allowed)}. A GPU needs its "
            f"driver and a build of PyTorch for it."
        )
    return chosen


def _read_config(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    allowed = {"format", "bigbird_version", "task", "encoder", "notes", "stored_as"}
    if not isinstance(description, dict) or not {"format", "task", "encoder"} <= set(description) <= allowed:
        raise CheckpointError(f"{path} must hold the objects format, task and encoder, and nothing unknown")
    stored = description.get("stored_as", "float16")
    if not isinstance(stored, str) or stored not in STORED_TYPES:
        raise CheckpointError(f"{path}: stored_as must be one of {', '.join(STORED_TYPES)}, got {stored!r}")
    if description["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {description['format']!r}, this bigbird reads {FORMAT}. Install a newer bigbird."
        )
    for name in ("task", "encoder", "notes"):
        if not isinstance(description.get(name, {}), dict):
            raise CheckpointError(f"{path}: {name} must hold named values, got {description[name]!r}")
    return description


def _described(description: dict[str, Any], path: Path) -> tuple[Task, EncoderConfig]:
    """The task and the encoder of a config.json; what is wrong with them is the folder's fault, no setting's."""
    values = dict(description["task"])
    name = values.pop("name", None)
    if not isinstance(name, str) or name not in TASKS:
        raise CheckpointError(f"{path}: task.name must be one of {', '.join(TASKS)}, got {name!r}")
    try:
        task: Task = configs.from_json(TASKS[name], values, source=str(path))
        return task, configs.from_json(EncoderConfig, description["encoder"], source=str(path))
    except ConfigError as error:
        raise CheckpointError(str(error)) from None


def _read_tokenizer(folder: Path) -> Tokenizer:
    try:
        return load_tokenizer(folder)
    except ConfigError as error:
        raise CheckpointError(f"{folder / TOKENIZER_FILE}: {error}") from None


def _load_weights(path: Path, task: Task, encoder: EncoderConfig, *, stored_as: str | None) -> nn.Module:
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if encoder.num_layers > len(weights):
        raise CheckpointError(f"{path} has {len(weights)} tensors, too few for {encoder.num_layers} layers")
    if stored_as == "int8":
        weights = restored(weights, path)
    try:
        model = empty_model(lambda: task.build_model(encoder))
    except ConfigError as error:
        raise CheckpointError(f"{path.with_name(CONFIG_FILE)} describes no possible model: {error}") from None
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if given != expected:
        raise CheckpointError(f"{path} does not fit its {CONFIG_FILE}: {_first_difference(given, expected)}")
    _check_numbers(path, weights)
    model.load_state_dict(weights, assign=True)
    return model


def _check_numbers(path: Path, weights: dict[str, torch.Tensor]) -> None:
    ((usual, _),) = Counter(tensor.dtype for tensor in weights.values()).most_common(1)
    for name, tensor in weights.items():
        if tensor.dtype not in WEIGHT_TYPES:
            allowed = ", ".join(map(_spelled, WEIGHT_TYPES))
            raise CheckpointError(f"{path}: the tensor {name} is {_spelled(tensor.dtype)}; weights must be {allowed}")
        if tensor.dtype != usual:
            raise CheckpointError(
                f"{path}: the tensor {name} is {_spelled(tensor.dtype)}, others are {_spelled(usual)}; all must be of "
                f"one type. Save the model again in one of them."
            )
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{path}: the tensor {name} holds NaN or infinity; the file is damaged")


def _spelled(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _first_difference(given: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]) -> str:
    for name in sorted({*given, *expected}):
        if given.get(name) != expected.get(name):
            return f"{name} is {list(given[name]) if name in given else 'missing'}, " + (
                f"expected {list(expected[name])}" if name in expected else "which is unknown"
            )
    raise AssertionError


def _places_beside(folder: Path) -> tuple[Path, Path]:
    """Where a folder is written before it takes its name, and where the one before goes meanwhile."""
    return folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")


def _replace_folder(temporary: Path, folder: Path) -> None:
    for path in (*temporary.iterdir(), temporary):
        sync(path)
    if folder.exists():
        _, old = _places_beside(folder)
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old)
    else:
        temporary.rename(folder)
