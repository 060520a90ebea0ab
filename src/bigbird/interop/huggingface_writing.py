"""A folder in Hugging Face's layout out of a model of ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from bigbird.checkpoint import CONFIG_FILE, write_weights
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface_files as files
from bigbird.interop.huggingface_config import HubConfig, from_hub, to_hub
from bigbird.interop.huggingface_kinds import Kind, kind_of
from bigbird.interop.huggingface_names import BASE, POOLER, to_theirs
from bigbird.interop.huggingface_reading import canonical
from bigbird.model.encoder import Encoder


def save(model: nn.Module, folder: str | Path, *, like: str | Path | None = None) -> None:
    """Write config.json and model.safetensors, as transformers reads them, into a new folder.

    like  a folder in that layout from which to take what our model has no place for: special tokens, names of labels,
          the pooler of an encoder that does not use it. So a model read from it and written comes out as it was.
    """
    kind, target = kind_of(type(model)), Path(folder).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{target} exists already; give a new folder")
    values, weights = _kept(like, kind, model)
    weights.update(to_theirs(model.state_dict(), kind.pairs(_config(model).num_layers)))
    dtype = _one_type(weights)
    values |= {"torch_dtype" if "torch_dtype" in values else "dtype": dtype, "architectures": [kind.architecture]}
    if kind.module is Encoder:
        weights = {name.removeprefix(BASE): tensor for name, tensor in weights.items()}
    _write(target, values, weights)


def _config(model: nn.Module) -> Any:
    return (model if isinstance(model, Encoder) else cast(Any, model).encoder).config


def _kept(like: str | Path | None, kind: Kind, model: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The values of config.json, and of `like` the tensors that ours has no place for."""
    config = _config(model)
    # Where ours has no say: no dropout on attention, as ours has none.
    kept: dict[str, Any] = {"attention_probs_dropout_prob": 0.0}
    unused: dict[str, Tensor] = {}
    hub = HubConfig()
    if like is not None:
        place = files.find_folder(like)
        kept = files.read_json(place / CONFIG_FILE)
        hub = from_hub(kept, source=str(place / CONFIG_FILE))
        unused = _unused_pooler(place, config.hidden_size) if kind.keeps_unused_pooler else {}
    dtype = next(model.parameters()).dtype
    values = kept | to_hub(config, like=kept) | kind.settings(model, hub)
    return values, {name: tensor.to(dtype) for name, tensor in unused.items()}


def _unused_pooler(place: Path, hidden_size: int) -> dict[str, Tensor]:
    stored = {name: tensor for name, tensor in canonical(files.stored_tensors(place), place).items() if name in POOLER}
    for name, tensor in stored.items():
        if tensor.shape not in ((hidden_size, hidden_size), (hidden_size,)) or tensor.dtype not in files.TYPES:
            raise CheckpointError(
                f"{place}: {name} is {tensor.dtype} {list(tensor.shape)}; `like` must be a model of hidden_size "
                f"{hidden_size}, as the one to be written"
            )
    return dict(zip(stored, files.read_tensors(stored.values()), strict=True))


def _one_type(weights: Mapping[str, Tensor]) -> str:
    types = {str(tensor.dtype).removeprefix("torch.") for tensor in weights.values()}
    if len(types) > 1:
        raise ConfigError(
            f"the model's weights are {', '.join(sorted(types))}; bring them into one type, model.float()"
        )
    return types.pop()


def _write(target: Path, values: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Under a temporary name, then renamed."""
    temporary = target.with_name(f".{target.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    (temporary / CONFIG_FILE).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    write_weights(temporary, weights)
    temporary.replace(target)
