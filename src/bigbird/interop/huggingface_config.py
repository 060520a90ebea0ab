"""config.json of Hugging Face's BigBirds: which of its values decide the function, and ours for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from bigbird import config as configs
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop.huggingface_bigbird import BIG_BIRD
from bigbird.interop.huggingface_kinds import Family
from bigbird.interop.huggingface_pegasus import PEGASUS
from bigbird.interop.huggingface_settings import HubConfig, HubGraph, shortened, to_pattern
from bigbird.model.encoder import EncoderConfig

__all__ = ["FAMILIES", "HubConfig", "HubGraph", "encoder_config", "family_of", "from_hub"]

FAMILIES = (BIG_BIRD, PEGASUS)


def family_of(values: Mapping[str, Any], *, source: str) -> Family:
    """The family that a config.json names."""
    found = [family for family in FAMILIES if family.model_type == values.get("model_type")]
    if not found:
        allowed = " or ".join(repr(family.model_type) for family in FAMILIES)
        raise CheckpointError(
            f"{source}: model_type must be {allowed}, got {shortened(repr(values.get('model_type')))}"
        )
    return found[0]


def from_hub(values: Mapping[str, Any], *, source: str) -> HubConfig:
    """Check a config.json; names that are neither known to matter nor known not to are errors."""
    family = family_of(values, source=source)
    decisive = {name: value for name, value in values.items() if name not in family.without_effect}
    try:
        hub = configs.from_json(family.config, decisive, source=source)
    except ConfigError as error:
        raise CheckpointError(
            f"{shortened(str(error))} What changes nothing in the model's function, remove from the file."
        ) from None
    for name, served in family.served.items():
        if getattr(hub, name) != served:
            raise CheckpointError(
                f"{source}: {name} is {shortened(repr(getattr(hub, name)))}; only models with {name} {served!r} can "
                f"be loaded"
            )
    return hub


def encoder_config(hub: HubConfig, graph: HubGraph, *, source: str) -> EncoderConfig:
    """Our config of the same encoder, with the random blocks of `graph`."""
    if graph not in get_args(HubGraph):
        raise ConfigError(f"graph must be one of {', '.join(get_args(HubGraph))}, got {graph!r}")
    (family,) = (family for family in FAMILIES if isinstance(hub, family.config))
    try:
        return EncoderConfig(**family.to_encoder(hub), pattern=to_pattern(hub, graph))
    except ConfigError as error:
        raise CheckpointError(shortened(f"{source}: {error}")) from None
