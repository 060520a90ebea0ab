"""Hugging Face's names for BigBird's tensors beside ours: one list, read in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

BASE = "bert."  # before the encoder's names, where a model has a head
POOLER = frozenset((f"{BASE}pooler.weight", f"{BASE}pooler.bias"))

# A stored copy, and the tensor it repeats.
TIED = {
    "cls.predictions.decoder.weight": f"{BASE}embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
COUNTERS = frozenset((f"{BASE}embeddings.position_ids", f"{BASE}embeddings.token_type_ids"))  # 0, 1, 2 …; old folders
_PARTS_OF_BASE = ("embeddings.", "encoder.", "pooler.")


class Pair(NamedTuple):
    """A tensor of ours, and those of theirs that lie one behind the other in it."""

    ours: str
    theirs: tuple[str, ...]


def with_base(name: str) -> str:
    """Their name as a model with a head has it."""
    return f"{BASE}{name}" if name.startswith(_PARTS_OF_BASE) else name


def encoder_pairs(num_layers: int, *, prefix: str = "") -> Iterator[Pair]:
    """All tensors of a post-norm encoder with learned positions; `prefix` stands before ours."""
    for kind in ("weight", "bias"):
        yield from _embeddings(kind, prefix)
        for layer in range(num_layers):
            ours, theirs = f"{prefix}layers.{layer}", f"{BASE}encoder.layer.{layer}"
            separate = tuple(f"{theirs}.attention.self.{part}.{kind}" for part in ("query", "key", "value"))
            yield Pair(f"{ours}.attention.qkv.{kind}", separate)
            for mine, other in _IN_A_LAYER.items():
                yield Pair(f"{ours}.{mine}.{kind}", (f"{theirs}.{other}.{kind}",))


def _embeddings(kind: str, prefix: str) -> Iterator[Pair]:
    if kind == "weight":
        for mine, other in {"tokens": "word", "positions": "position", "token_types": "token_type"}.items():
            yield Pair(f"{prefix}embeddings.{mine}.weight", (f"{BASE}embeddings.{other}_embeddings.weight",))
    yield Pair(f"{prefix}embeddings.norm.{kind}", (f"{BASE}embeddings.LayerNorm.{kind}",))


_IN_A_LAYER = {
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.inner": "intermediate.dense",
    "feed_forward.output": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}


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


def encoder_weights(weights: Mapping[str, Tensor], *, num_layers: int) -> dict[str, Tensor]:
    """The state of an `Encoder` out of that of their `BigBirdModel`."""
    return to_ours({with_base(name): tensor for name, tensor in weights.items()}, encoder_pairs(num_layers))
