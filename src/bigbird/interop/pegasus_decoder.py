"""The decoder of a BigBirdPegasus in a folder: which tensors of which shape its config.json asks for, and ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bigbird import config as configs
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop.huggingface_names import Pair
from bigbird.interop.huggingface_pegasus import PegasusConfig
from bigbird.interop.huggingface_settings import shortened

ENCODER_TABLE = "model.encoder.embed_positions.weight"
DECODER_TABLE = "model.decoder.embed_positions.weight"
LOGITS_BIAS = "final_logits_bias"

_PROJECTIONS = tuple(
    f"{attention}.{projection}"
    for attention in ("self_attn", "encoder_attn")
    for projection in ("q_proj", "k_proj", "v_proj", "out_proj")
)
_NORMS = ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm")


@dataclass(frozen=True, kw_only=True)
class DecoderSizes:
    """Names and defaults of transformers 5.23; what the decoder does not share with the encoder."""

    decoder_layers: int = 16
    decoder_attention_heads: int = 16
    decoder_ffn_dim: int = 4096

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")


def decoder_sizes(values: Mapping[str, Any], hub: PegasusConfig, *, source: str) -> DecoderSizes:
    """Those of a config.json, whose other values are in `hub`."""
    named = {name: values[name] for name in DecoderSizes.__dataclass_fields__ if name in values}
    try:
        sizes = configs.from_json(DecoderSizes, named, source=source)
    except ConfigError as error:
        raise CheckpointError(shortened(str(error))) from None
    if hub.d_model % sizes.decoder_attention_heads:
        raise CheckpointError(
            f"{source}: d_model {hub.d_model} is no multiple of decoder_attention_heads {sizes.decoder_attention_heads}"
        )
    return sizes


def decoder_shapes(sizes: DecoderSizes, hub: PegasusConfig) -> dict[str, tuple[int, ...]]:
    """All tensors of the decoder but its copy of the token vectors, as a model with a head names them."""
    width, inner = hub.d_model, sizes.decoder_ffn_dim
    shapes: dict[str, tuple[int, ...]] = {DECODER_TABLE: (hub.max_position_embeddings, width)}
    shapes |= _norm("model.decoder.layernorm_embedding", width)
    for layer in (f"model.decoder.layers.{number}" for number in range(sizes.decoder_layers)):
        for name in _PROJECTIONS:
            shapes |= _linear(f"{layer}.{name}", width, width, has_bias=hub.use_bias)
        for name in _NORMS:
            shapes |= _norm(f"{layer}.{name}", width)
        shapes |= _linear(f"{layer}.fc1", inner, width) | _linear(f"{layer}.fc2", width, inner)
    return shapes


_IN_A_LAYER = {
    "blocks.{}.attention.output": "self_attn.out_proj",
    "blocks.{}.attention_norm": "self_attn_layer_norm",
    "blocks.{}.feed_forward.inner": "fc1",
    "blocks.{}.feed_forward.output": "fc2",
    "blocks.{}.feed_forward_norm": "final_layer_norm",
    "cross.{}.attention.query": "encoder_attn.q_proj",
    "cross.{}.attention.output": "encoder_attn.out_proj",
    "cross.{}.attention_norm": "encoder_attn_layer_norm",
}
_TOGETHER = {
    "blocks.{}.attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "cross.{}.attention.keys_values": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
}


def decoder_pairs(num_layers: int, *, has_bias: bool) -> Iterator[Pair]:
    """Tensors of our decoder in a `Seq2Seq`, and theirs; has_bias: the projections of attention have one."""
    yield Pair("decoder.positions.weight", (DECODER_TABLE,))
    together = {**{ours: (theirs,) for ours, theirs in _IN_A_LAYER.items()}, **_TOGETHER}
    for kind in ("weight", "bias"):
        yield Pair(f"decoder.final_norm.{kind}", (f"model.decoder.layernorm_embedding.{kind}",))
        for layer in range(num_layers):
            for ours, theirs in together.items():
                is_projection = theirs[0].startswith(("self_attn.", "encoder_attn."))
                if kind == "weight" or has_bias or not is_projection:
                    names = tuple(f"model.decoder.layers.{layer}.{name}.{kind}" for name in theirs)
                    yield Pair(f"decoder.{ours.format(layer)}.{kind}", names)


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name: str, rows: int, columns: int, *, has_bias: bool = True) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns)} | ({f"{name}.bias": (rows,)} if has_bias else {})
