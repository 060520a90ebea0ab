"""Hugging Face's names for BigBird's tensors beside ours: one list per family, read in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bigbird.model.attention_layer import AttentionBias


class Pair(NamedTuple):
    """A tensor of ours, and those of theirs that lie one behind the other in it."""

    ours: str
    theirs: tuple[str, ...]


@dataclass(frozen=True)
class Names:
    """How a family names its encoder's tensors.

    base        before the names, where a model has a head
    parts       how the names behind `base` begin
    tables      ours and theirs, with a weight alone
    norms       ours and theirs outside the layers
    layer       theirs before a layer's number
    projections of queries, keys and values, in a layer
    in_a_layer  ours and theirs
    tied        a stored copy, and the tensor it repeats
    """

    base: str
    parts: tuple[str, ...]
    tables: Mapping[str, str]
    norms: Mapping[str, str]
    layer: str
    projections: tuple[str, str, str]
    in_a_layer: Mapping[str, str]
    tied: Mapping[str, str]

    def with_base(self, name: str) -> str:
        """Their name as a model with a head has it."""
        return f"{self.base}{name}" if name.startswith(self.parts) else name

    def encoder_pairs(
        self, num_layers: int, *, prefix: str = "", attention_bias: AttentionBias = True
    ) -> Iterator[Pair]:
        """All tensors of an encoder; `prefix` stands before ours."""
        for mine, other in self.tables.items():
            yield Pair(f"{prefix}{mine}.weight", (f"{other}.weight",))
        for kind in ("weight", "bias"):
            for mine, other in self.norms.items():
                yield Pair(f"{prefix}{mine}.{kind}", (f"{other}.{kind}",))
            for layer in range(num_layers):
                for mine, others in self._layer(kind, attention_bias):
                    theirs = tuple(f"{self.layer}.{layer}.{other}.{kind}" for other in others)
                    yield Pair(f"{prefix}layers.{layer}.{mine}.{kind}", theirs)

    def _layer(self, kind: str, attention_bias: AttentionBias) -> Iterator[Pair]:
        if kind == "weight" or attention_bias is True:
            yield Pair("attention.qkv", self.projections)
        for mine, other in self.in_a_layer.items():
            if kind == "weight" or mine != "attention.output" or attention_bias is not False:
                yield Pair(mine, (other,))


BASE = "bert."
POOLER = frozenset((f"{BASE}pooler.weight", f"{BASE}pooler.bias"))
COUNTERS = frozenset((f"{BASE}embeddings.position_ids", f"{BASE}embeddings.token_type_ids"))  # 0, 1, 2 …; old folders

BIG_BIRD_NAMES = Names(
    base=BASE,
    parts=("embeddings.", "encoder.", "pooler."),
    tables={
        "embeddings.tokens": f"{BASE}embeddings.word_embeddings",
        "embeddings.positions": f"{BASE}embeddings.position_embeddings",
        "embeddings.token_types": f"{BASE}embeddings.token_type_embeddings",
    },
    norms={"embeddings.norm": f"{BASE}embeddings.LayerNorm"},
    layer=f"{BASE}encoder.layer",
    projections=("attention.self.query", "attention.self.key", "attention.self.value"),
    in_a_layer={
        "attention.output": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "feed_forward.inner": "intermediate.dense",
        "feed_forward.output": "output.dense",
        "feed_forward_norm": "output.LayerNorm",
    },
    tied={
        "cls.predictions.decoder.weight": f"{BASE}embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
)

_SHARED = "model.shared"

PEGASUS_NAMES = Names(
    base="model.",
    parts=("shared.", "encoder.", "decoder."),
    tables={"embeddings.tokens": _SHARED, "embeddings.positions": "model.encoder.embed_positions"},
    norms={"final_norm": "model.encoder.layernorm_embedding"},  # behind the last layer, despite its name
    layer="model.encoder.layers",
    projections=("self_attn.self.query", "self_attn.self.key", "self_attn.self.value"),
    in_a_layer={
        "attention.output": "self_attn.output",
        "attention_norm": "self_attn_layer_norm",
        "feed_forward.inner": "fc1",
        "feed_forward.output": "fc2",
        "feed_forward_norm": "final_layer_norm",
    },
    tied={
        f"{copy}.weight": f"{_SHARED}.weight"
        for copy in ("model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head")
    },
)


def to_ours(weights: Mapping[str, Tensor], pairs: Iterable[Pair]) -> dict[str, Tensor]:
    """Their tensors, named as a model with a head names them, under our names."""
    return {
        ours: weights[theirs[0]] if len(theirs) == 1 else torch.cat([weights[name] for name in theirs])
        for ours, theirs in pairs
    }


def to_theirs(weights: Mapping[str, Tensor], pairs: Iterable[Pair]) -> dict[str, Tensor]:
    """Our tensors under their names, each with memory of its own."""
    return {
        name: part.clone()
        for ours, theirs in pairs
        for name, part in zip(theirs, weights[ours].chunk(len(theirs)), strict=True)
    }


def encoder_weights(
    weights: Mapping[str, Tensor],
    *,
    num_layers: int,
    attention_bias: AttentionBias = True,
    names: Names = BIG_BIRD_NAMES,
) -> dict[str, Tensor]:
    """The state of an `Encoder` out of that of their `BigBirdModel`, or of a model of another family."""
    named = {names.with_base(name): tensor for name, tensor in weights.items()}
    return to_ours(named, names.encoder_pairs(num_layers, attention_bias=attention_bias))
