"""The family "bigbird_pegasus": a summarizer whose encoder is BigBird, with a decoder that stays where it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bigbird.errors import ConfigError
from bigbird.interop.huggingface_kinds import Family, Kind
from bigbird.interop.huggingface_names import PEGASUS_NAMES
from bigbird.interop.huggingface_settings import (
    WITHOUT_EFFECT,
    HubConfig,
    check_expressible,
    from_activation,
    from_pattern,
    to_activation,
)
from bigbird.model.encoder import Encoder, EncoderConfig

_LAYER_NORM_EPS = 1e-5  # PyTorch's own; their config has none


@dataclass(frozen=True, kw_only=True)
class PegasusConfig(HubConfig):
    """Names and defaults of transformers 5.23; only what its encoder depends on."""

    model_type: str = "bigbird_pegasus"
    vocab_size: int = 96103
    d_model: int = 1024
    encoder_layers: int = 16
    encoder_attention_heads: int = 16
    encoder_ffn_dim: int = 4096
    activation_function: str = "gelu_new"
    dropout: float = 0.1
    scale_embedding: bool = True
    use_bias: bool = False
    # Of this one value is served: ours leaves out no layers in training.
    encoder_layerdrop: float = 0.0
    # Other names of theirs for the same.
    hidden_size: int | None = None
    num_hidden_layers: int | None = None
    num_attention_heads: int | None = None


_SAME = {
    "hidden_size": "d_model",
    "num_hidden_layers": "encoder_layers",
    "num_attention_heads": "encoder_attention_heads",
}


def _to_encoder(hub: PegasusConfig) -> dict[str, Any]:
    for other, name in _SAME.items():
        if getattr(hub, other) not in (None, getattr(hub, name)):
            raise ConfigError(
                f"{other} is {getattr(hub, other)!r} and {name} {getattr(hub, name)!r}, which are the same thing"
            )
    return {
        "vocab_size": hub.vocab_size,
        "hidden_size": hub.d_model,
        "num_layers": hub.encoder_layers,
        "num_heads": hub.encoder_attention_heads,
        "inner_size": hub.encoder_ffn_dim,
        "max_length": hub.max_position_embeddings,
        "norm": "pre",
        "activation": to_activation(hub.activation_function, setting="activation_function"),
        "dropout": hub.dropout,
        "layer_norm_eps": _LAYER_NORM_EPS,
        "scale_embeddings": hub.scale_embedding,
        "embedding_norm": False,
        "attention_bias": hub.use_bias,
    }


def _to_hub(config: EncoderConfig, like: dict[str, Any]) -> dict[str, Any]:
    check_expressible(
        config,
        {
            "norm": ("pre",),
            "positions": ("learned",),
            "bases_per_token": (0,),
            "num_token_types": (0,),
            "embedding_norm": (False,),
            "attention_bias": (True, False),
            "layer_norm_eps": (_LAYER_NORM_EPS,),
        },
        label="BigBirdPegasus",
    )
    values = {
        "model_type": "bigbird_pegasus",
        "vocab_size": config.vocab_size,
        "d_model": config.hidden_size,
        "encoder_layers": config.num_layers,
        "encoder_attention_heads": config.num_heads,
        "encoder_ffn_dim": config.inner_size,
        "activation_function": from_activation(config.activation, like=like.get("activation_function")),
        "dropout": config.dropout,
        "max_position_embeddings": config.max_length,
        "scale_embedding": config.scale_embeddings,
        "use_bias": config.attention_bias,
        **from_pattern(config),
    }
    return values | {other: values[name] for other, name in _SAME.items() if other in like}


_BEYOND_THE_ENCODER = re.compile(
    r"""
    model\.decoder\.( embed_positions\.weight | layernorm_embedding\.(weight|bias)
    | layers\.\d+\.( (self_attn|encoder_attn)\.(k_proj|v_proj|q_proj|out_proj)
                   | self_attn_layer_norm | encoder_attn_layer_norm | fc1 | fc2 | final_layer_norm )\.(weight|bias) )
    | classification_head\.(dense|out_proj)\.(weight|bias) | qa_outputs\.(weight|bias) | final_logits_bias
    """,
    re.VERBOSE | re.ASCII,
)


def _is_beyond(name: str) -> bool:
    return _BEYOND_THE_ENCODER.fullmatch(name) is not None


def _is_ignored(name: str) -> bool:
    return name in PEGASUS_NAMES.tied or _is_beyond(name)


PEGASUS = Family(
    model_type="bigbird_pegasus",
    label="BigBirdPegasus",
    config=PegasusConfig,
    served={"encoder_layerdrop": 0.0, "pruned_heads": {}},
    # Those of the decoder and of heads; activation_dropout their encoder never applies, attention_dropout not where
    # attention is sparse.
    without_effect=WITHOUT_EFFECT
    | frozenset(
        """
        activation_dropout add_cross_attention attention_dropout classifier_dropout decoder_attention_heads
        decoder_ffn_dim decoder_layerdrop decoder_layers id2label init_std is_decoder is_encoder_decoder num_labels
        sep_token_id
        """.split()  # noqa: SIM905 - as in huggingface_settings
    ),
    to_encoder=_to_encoder,
    to_hub=_to_hub,
    names=PEGASUS_NAMES,
    kinds=(
        Kind(
            "BigBirdPegasusModel",
            "load_encoder",
            Encoder,
            "",
            (),
            lambda _, config: Encoder(config),
            tied=("model.encoder.embed_tokens.weight",),
            carries=_is_ignored,
            is_part=True,
        ),
    ),
    ignored=_is_ignored,
    # What the decoder is made of, beside settings of its own.
    depends=(
        "vocab_size",
        "d_model",
        "max_position_embeddings",
        "activation_function",
        "scale_embedding",
        "use_bias",
    ),
)
