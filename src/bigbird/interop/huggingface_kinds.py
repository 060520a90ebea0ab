"""Which class of ours computes what a class of transformers does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from bigbird.interop.huggingface_names import Names, Pair
from bigbird.interop.huggingface_settings import HubConfig
from bigbird.model.encoder import EncoderConfig


@dataclass(frozen=True)
class Kind:
    """A class of transformers and ours of the same function.

    prefix    stands before our encoder's names
    head      our names of the head's tensors, and theirs
    build     our model from their config
    settings  the config.json values that our model's head decides; the second argument is the config of a folder
              whose labels are kept where their number fits
    tied      stored copies that must equal what they repeat, as ours has one tensor for both
    carries   tensors that their class has and ours does not: those of `like` are written too
    is_part   their class is more than ours, so that it cannot be written without `like`
    """

    architecture: str
    loader: str
    module: type[nn.Module]
    prefix: str
    head: tuple[tuple[str, str], ...]
    build: Callable[[Any, EncoderConfig], nn.Module]
    settings: Callable[[Any, Any], dict[str, Any]] = lambda _model, _like: {}
    tied: tuple[str, ...] = ()
    carries: Callable[[str], bool] = lambda _name: False
    is_part: bool = False

    def pairs(self, names: Names, config: EncoderConfig) -> Iterator[Pair]:
        """All tensors of the model."""
        yield from names.encoder_pairs(config.num_layers, prefix=self.prefix, attention_bias=config.attention_bias)
        yield from (Pair(ours, (theirs,)) for ours, theirs in self.head)


@dataclass(frozen=True, kw_only=True)
class Family:
    """One of transformers' model types.

    label           as errors call it
    config          the values of config.json that decide the function
    served          of those, the ones of which one value alone is served
    without_effect  names in config.json that change nothing in the function of what is read
    to_encoder      our config from theirs, but for the pattern
    to_hub          config.json values of our encoder; of equal spellings those of the second argument are kept
    ignored         tensors that may be in a folder and are not read
    depends         values of config.json in which a folder must agree with the model when tensors are carried over
    """

    model_type: str
    label: str
    config: type[HubConfig]
    served: dict[str, object]
    without_effect: frozenset[str]
    to_encoder: Callable[[Any], dict[str, Any]]
    to_hub: Callable[[EncoderConfig, dict[str, Any]], dict[str, Any]]
    names: Names
    kinds: tuple[Kind, ...]
    ignored: Callable[[str], bool]
    depends: tuple[str, ...]

    def kind_of(self, module: type[nn.Module]) -> Kind | None:
        """The kind that has this class of ours."""
        return next((kind for kind in self.kinds if kind.module is module), None)

    def kinds_with(self, names: set[str]) -> list[Kind]:
        """The kinds whose whole head is among their `names`, the largest head first."""
        found = [kind for kind in self.kinds if kind.head and {theirs for _, theirs in kind.head} <= names]
        return sorted(found, key=lambda kind: -len(kind.head))
