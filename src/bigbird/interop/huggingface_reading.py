"""A model out of a folder in Hugging Face's layout; names, types, shapes and size are checked before it is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from bigbird import machine
from bigbird.checkpoint import CONFIG_FILE, empty_model
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface_files as files
from bigbird.interop.huggingface_config import encoder_config, family_of, from_hub
from bigbird.interop.huggingface_files import StoredTensor
from bigbird.interop.huggingface_kinds import Family, Kind
from bigbird.interop.huggingface_names import Names, Pair, to_ours
from bigbird.interop.huggingface_settings import HubConfig, HubGraph
from bigbird.model.encoder import Encoder, EncoderConfig

Model = TypeVar("Model", bound=nn.Module)

_NAMED = 3  # faults of a kind that an error names


def load(folder: str | Path, graph: HubGraph, module: type[Model]) -> Model:
    """A model of that class of ours."""
    place = files.find_folder(folder)
    source = str(place / CONFIG_FILE)
    values = files.read_json(place / CONFIG_FILE)
    hub, family = from_hub(values, source=source), family_of(values, source=source)
    kind = _kind_of(family, module, source)
    if kind.tied and not hub.tie_word_embeddings:
        copy = kind.tied[0]
        raise CheckpointError(
            f"{source}: tie_word_embeddings is false; ours has one tensor for {copy} and {family.names.tied[copy]}"
        )
    config = encoder_config(hub, graph, source=source)
    stored = canonical(files.stored_tensors(place), place, family.names)
    if config.num_layers > len(stored):
        raise CheckpointError(f"{place} has {len(stored)} tensors, too few for {config.num_layers} layers")
    model = _empty(kind, hub, config, source)
    pairs = list(kind.pairs(family.names, config))
    _check_fit(place, stored, _expected(model, pairs), family, kind)
    originals = [name for pair in pairs for name in pair.theirs]
    copies = [name for name in kind.tied if name in stored]
    model.load_state_dict(to_ours(read_with_copies(place, stored, originals, copies, family.names), pairs), assign=True)
    assert isinstance(model, module)
    return model.eval()


def canonical(stored: Mapping[str, StoredTensor], place: Path, names: Names) -> dict[str, StoredTensor]:
    """Under the names that a model with a head has; a tied tensor that is stored as its copy alone under its own."""
    named: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        if names.with_base(name) in named:
            raise CheckpointError(
                f"{place} has the tensor {_some([name])} twice, with and without {names.base!r} before its name"
            )
        named[names.with_base(name)] = tensor
    for copy, original in names.tied.items():
        if copy in named and original not in named:
            named[original] = named.pop(copy)
    return named


def _kind_of(family: Family, module: type[nn.Module], source: str) -> Kind:
    kind = family.kind_of(module)
    if kind is None:
        loaders = ", ".join(kind.loader for kind in family.kinds)
        raise CheckpointError(
            f"{source}: no {module.__name__} comes out of a folder of model_type {family.model_type!r}; use {loaders}"
        )
    return kind


def _empty(kind: Kind, hub: HubConfig, config: EncoderConfig, source: str) -> nn.Module:
    """The model with the shapes of its weights alone."""
    try:
        return empty_model(lambda: kind.build(hub, config))
    except ConfigError as error:
        raise CheckpointError(f"{source} describes no possible model: {error}") from None


def _expected(model: nn.Module, pairs: list[Pair]) -> dict[str, tuple[int, ...]]:
    """Shapes of their tensors, by their names."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes.keys() == {pair.ours for pair in pairs}
    return {name: (shapes[ours][0] // len(theirs), *shapes[ours][1:]) for ours, theirs in pairs for name in theirs}


def _check_fit(
    place: Path, stored: Mapping[str, StoredTensor], expected: Mapping[str, tuple[int, ...]], family: Family, kind: Kind
) -> None:
    faults = misfits(
        {name: one for name, one in stored.items() if name in expected or not family.ignored(name)}, expected
    )
    if faults:
        raise CheckpointError(f"{place}: its tensors do not fit its config: {faults}.{_hint(family, kind, stored)}")
    types = {name: stored[name].dtype for name in expected}
    if len(set(types.values())) > 1 or not set(types.values()) <= files.TYPES.keys():
        raise CheckpointError(
            f"{place}: its tensors are {', '.join(sorted(set(types.values())))}; all must be one of "
            f"{', '.join(files.TYPES)}"
        )


def misfits(stored: Mapping[str, StoredTensor], expected: Mapping[str, tuple[int, ...]]) -> str:
    """How the tensors differ from the expected shapes, by name; empty if they fit."""
    unlike = [
        f"{name} is {list(stored[name].shape)}, expected {list(shape)}"
        for name, shape in expected.items()
        if name in stored and stored[name].shape != shape
    ]
    kinds = {
        "missing": sorted(expected.keys() - stored.keys()),
        "unknown": sorted(stored.keys() - expected.keys()),
        "of another shape": unlike,
    }
    return "; ".join(f"{len(names)} {what} ({_some(names)})" for what, names in kinds.items() if names)


def _hint(family: Family, kind: Kind, stored: Mapping[str, StoredTensor]) -> str:
    """What to call instead when the folder has another head."""
    found = family.kinds_with(set(stored))
    other = found[0] if found else family.kind_of(Encoder)
    if not kind.head or kind in found or other is None:
        return ""
    return f" It looks like a {other.architecture}: use {other.loader}."


def _some(names: list[str]) -> str:
    named = ", ".join(repr(name[:200])[1:-1] for name in names[:_NAMED])  # no line ends, nothing a terminal obeys
    return named if len(names) <= _NAMED else f"{named} and {len(names) - _NAMED} more"


def read_with_copies(
    place: Path, stored: Mapping[str, StoredTensor], originals: list[str], copies: list[str], names: Names
) -> dict[str, Tensor]:
    """The tensors' values; refuses copies that are not what they repeat."""
    wanted = [stored[name] for name in originals + copies]
    for copy in copies:
        if (stored[copy].dtype, stored[copy].shape) != (stored[names.tied[copy]].dtype, stored[names.tied[copy]].shape):
            raise _untied(place, copy, names)
    machine.check_memory(
        sum(tensor.num_bytes for tensor in wanted), f"reading {place}", cure="Take a machine with more memory."
    )
    weights = dict(zip(originals + copies, files.read_tensors(wanted), strict=True))
    for copy in copies:
        if not torch.equal(weights[copy], weights[names.tied[copy]]):
            raise _untied(place, copy, names)
    return weights


def _untied(place: Path, copy: str, names: Names) -> CheckpointError:
    return CheckpointError(f"{place}: {copy} differs from {names.tied[copy]}; ours has one tensor for both")
