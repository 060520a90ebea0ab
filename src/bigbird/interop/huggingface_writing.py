"""A folder in Hugging Face's layout out of a model of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bigbird import machine
from bigbird.checkpoint import CONFIG_FILE, write_weights
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface_files as files
from bigbird.interop.huggingface_config import FAMILIES, family_of, from_hub
from bigbird.interop.huggingface_files import StoredTensor
from bigbird.interop.huggingface_kinds import Family, Kind
from bigbird.interop.huggingface_names import to_theirs
from bigbird.interop.huggingface_reading import canonical
from bigbird.interop.huggingface_settings import HubConfig
from bigbird.interop.new_folder import check_new, new_folder
from bigbird.model.encoder import Encoder, EncoderConfig, encoder_of

MAX_SHARD_BYTES = 50 * 10**9  # of a file of weights; transformers' default


@dataclass(frozen=True)
class _Like:
    """A folder to take from what our model has no place for; all empty where none is given."""

    family: Family
    place: Path
    values: dict[str, Any]
    hub: HubConfig
    stored: dict[str, StoredTensor]


def save(
    model: nn.Module, folder: str | Path, *, like: str | Path | None = None, max_shard_bytes: int = MAX_SHARD_BYTES
) -> None:
    """Write config.json and model.safetensors, as transformers reads them, into a new folder.

    like             a folder in that layout from which to take what our model has no place for: special tokens, names
                     of labels, the pooler of an encoder that does not use it, a decoder. So a model read from it and
                     written comes out as it was. The encoder of a BigBirdPegasus is a part, which cannot be written
                     without.
    max_shard_bytes  weights that take more are written as several files and an index; a tensor that takes more by
                     itself has a file of its own. The default is transformers'.
    """
    if max_shard_bytes < 1:
        raise ConfigError(f"max_shard_bytes must be at least 1, got {max_shard_bytes}")
    target = Path(folder).absolute()
    check_new(target)
    given = _like(like)
    kind = _kind_of(given.family, type(model))
    if like is None:
        _check_whole(model)
    config = _config(model)
    values = given.values | given.family.to_hub(config, given.values) | kind.settings(model, given.hub)
    if config.pattern.graph == "checkpoint":
        values.pop("bigbird_graph", None)  # of a `like` that was trained with another
    own = to_theirs(model.state_dict(), kind.pairs(given.family.names, config))
    dtype = one_type(own)
    values["torch_dtype" if "torch_dtype" in values else "dtype"] = str(dtype).removeprefix("torch.")
    if not kind.is_part:
        values["architectures"] = [kind.architecture]
    weights = _spelled(_carried(given, kind, values, own, dtype) | own, given, kind)
    with new_folder(target) as temporary:
        write_files(temporary, values, weights, max_shard_bytes)


def _like(folder: str | Path | None) -> _Like:
    if folder is None:
        # Where ours has no say: no dropout on attention, as ours has none.
        family, values = FAMILIES[0], {"attention_probs_dropout_prob": 0.0}
        return _Like(family, Path(), dict[str, Any](values), family.config(), {})
    place = files.find_folder(folder)
    values, source = files.read_json(place / CONFIG_FILE), str(place / CONFIG_FILE)
    hub, family = from_hub(values, source=source), family_of(values, source=source)
    return _Like(family, place, values, hub, canonical(files.stored_tensors(place), place, family.names))


def _kind_of(family: Family, module: type[nn.Module]) -> Kind:
    kind = family.kind_of(module)
    if kind is None:
        allowed = ", ".join(kind.module.__name__ for kind in family.kinds)
        raise ConfigError(f"transformers has no {family.label} like {module.__name__}; it can have {allowed}")
    return kind


def _check_whole(model: nn.Module) -> None:
    """Refuse an encoder that transformers has only as a part of something larger."""
    for family in FAMILIES:
        kind = family.kind_of(type(model))
        if kind is None or not kind.is_part:
            continue
        try:
            family.to_hub(_config(model), {})
        except ConfigError:
            continue
        raise ConfigError(
            f"transformers has such an encoder only as a part of its {kind.architecture}. Give like=, a folder of "
            f"model_type {family.model_type!r}, from which the decoder is taken; bigbird.save_model needs none."
        )


def _config(model: nn.Module) -> EncoderConfig:
    encoder = encoder_of(model)
    return encoder.config


def _carried(
    like: _Like, kind: Kind, values: Mapping[str, Any], own: Mapping[str, Tensor], dtype: torch.dtype
) -> dict[str, Tensor]:
    """The tensors of `like` that ours has no place for; copies of a tensor of ours are of the new one."""
    names = [name for name in like.stored if kind.carries(name)]
    if not names:
        return {}
    _check_depends(like, values)
    for name in names:
        if like.stored[name].dtype not in files.TYPES:
            raise CheckpointError(
                f"{like.place}: {name} is {like.stored[name].dtype}; all must be {', '.join(files.TYPES)}"
            )
    copies = {name: like.family.names.tied[name] for name in names if name in like.family.names.tied}
    wanted = [like.stored[name] for name in [*names, *dict.fromkeys(copies.values())]]
    machine.check_memory(
        sum(tensor.num_bytes for tensor in wanted), f"reading {like.place}", cure="Take a machine with more memory."
    )
    read = dict(zip([*names, *dict.fromkeys(copies.values())], files.read_tensors(wanted), strict=True))
    kept = {name: own[copies[name]].clone() if _is_copy(read, name, copies) else read[name] for name in names}
    is_other_type = any(files.TYPES.get(like.stored[name].dtype) != dtype for name in own.keys() & like.stored.keys())
    return {name: tensor.to(dtype) for name, tensor in kept.items()} if is_other_type else kept


def _is_copy(read: Mapping[str, Tensor], name: str, copies: Mapping[str, str]) -> bool:
    return name in copies and torch.equal(read[name], read[copies[name]])


def _check_depends(like: _Like, values: Mapping[str, Any]) -> None:
    for name in like.family.depends:
        if getattr(like.hub, name) != values[name]:
            raise ConfigError(
                f"{like.place} has {name} {getattr(like.hub, name)!r}, the model {values[name]!r}; `like` must be as "
                f"the model, for what is taken from it depends on that"
            )


def one_type(weights: Mapping[str, Tensor]) -> torch.dtype:
    """The number type of all of them."""
    types = {tensor.dtype for tensor in weights.values()}
    if len(types) > 1:
        spelled = ", ".join(sorted(str(one).removeprefix("torch.") for one in types))
        raise ConfigError(f"the model's weights are {spelled}; bring them into one type, model.float()")
    return types.pop()


def _spelled(weights: Mapping[str, Tensor], like: _Like, kind: Kind) -> dict[str, Tensor]:
    """Under the names of the class that is written; a part takes those of `like`."""
    base = like.family.names.base
    if kind.is_part:
        known = {name: tensor.name for name, tensor in like.stored.items()}
        is_bare = not any(name.startswith(base) for name in known.values())
        return {known.get(name, name.removeprefix(base) if is_bare else name): weights[name] for name in weights}
    return {name.removeprefix(base) if kind.module is Encoder else name: weights[name] for name in weights}


def write_files(
    folder: Path, settings: Mapping[str, Any], weights: Mapping[str, Tensor], max_shard_bytes: int = MAX_SHARD_BYTES
) -> None:
    """Write config.json, and the weights as model.safetensors or as several files and their index."""
    write_json(folder / CONFIG_FILE, settings)
    shards = _shards(weights, max_shard_bytes)
    if len(shards) == 1:
        write_weights(folder, weights)
        return
    files_of: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file_name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_weights(folder, shard, file_name)
        files_of |= dict.fromkeys(shard, file_name)
    total = sum(tensor.nbytes for tensor in weights.values())
    write_json(folder / files.INDEX_FILE, {"metadata": {"total_size": total}, "weight_map": files_of})


def _shards(weights: Mapping[str, Tensor], max_bytes: int) -> list[dict[str, Tensor]]:
    """The tensors in their order, as many together as fit."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in weights.items():
        if shards[-1] and size + tensor.nbytes > max_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    return shards


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """As transformers writes it, its names sorted."""
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
