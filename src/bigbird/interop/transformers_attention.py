"""The attention "bigbird" of transformers' attention interface: encoders of many kinds run sparse by its name.

import bigbird.interop.transformers
model = AutoModel.from_pretrained(folder, attn_implementation="bigbird", attention_probs_dropout_prob=0.0)
model.config.bigbird_pattern = {"block_size": 64, "random_blocks": 2}      # fields of PatternSpec; saved with it
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from bigbird import config as configs
from bigbird.attention import PatternSpec, block_sparse_attention
from bigbird.errors import ConfigError
from bigbird.interop.transformers_documents import batch_of
from bigbird.interop.transformers_library import part

NAME = "bigbird"
SETTINGS = "bigbird_pattern"

_OWN_KINDS = ("big_bird", "bigbird_pegasus")
_UNKNOWN_TO_US = (  # change what attention computes
    "sliding_window",
    "softcap",
    "s_aux",
    "position_bias",
    "head_mask",
    "cu_seq_lens_q",
    "cu_seq_lens_k",
    "indices",
    "block_indices",
)


def register() -> None:
    """Make "bigbird" known to transformers; a second call changes nothing."""
    package = part()
    package.AttentionInterface.register(NAME, attention)
    package.AttentionMaskInterface.register(NAME, mask)


def mask(
    *,
    q_length: int,
    kv_length: int,
    mask_function: Callable[..., object],
    attention_mask: Tensor | None,
    config: Any,
    **_others: object,
) -> Tensor | None:
    """What attention gets as its mask: bool [batch, length], True = real, or None. Refuses causal and other masks."""
    if config.model_type in _OWN_KINDS:
        raise ConfigError(
            f"a {config.model_type} model does not use the attention interface. Load it without attn_implementation "
            f"and call bigbird.interop.transformers.accelerate(model)."
        )
    if mask_function is not part("masking_utils").bidirectional_mask_function or q_length != kv_length:
        raise ConfigError(
            f'attn_implementation "{NAME}" is for encoders, in which every token may see every other: block-sparse '
            f"attention would show a decoder the future. This {config.model_type} model asked for a causal, windowed "
            f"or cross-attention mask. Load it with is_decoder=False or another attn_implementation."
        )
    return None if attention_mask is None else attention_mask.view_as(attention_mask)  # known by, for one pass


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """query, key, value: [batch, heads, length, head_dim] -> [batch, length, heads, head_dim], and no weights.

    Keys and values may have fewer heads, each of which then serves several of the queries' that follow
    each other. Every document has its own pattern, whatever its padding; its random blocks are drawn by the layer's
    number.
    """
    _check(module, query, key, dropout, others)
    spec, layer = _spec(module), _layer(module)
    batch, heads, length, _ = query.shape
    key, value = (x.repeat_interleave(heads // x.shape[1], 1) if x.shape[1] < heads else x for x in (key, value))
    if attention_mask is not None and attention_mask.ndim == 4:  # the caller's own, which may change before it is
        attention_mask = attention_mask.view_as(attention_mask)  # given again, so it must not be known by itself
    documents = batch_of(
        attention_mask,
        batch=batch,
        length=length,
        block_size=spec.block_size,
        padding="document",
        device=query.device,
    )
    pattern = documents.pattern(spec, num_heads=heads, layer=layer, device=query.device)
    q, k, v = (documents.pack(x.transpose(1, 2)).transpose(1, 2) for x in (query, key, value))
    out = block_sparse_attention(q, k, v, pattern=pattern, key_mask=documents.key_mask, scale=scaling)
    return documents.unpack(out.transpose(1, 2), pattern), None


def _check(module: nn.Module, query: Tensor, key: Tensor, dropout: float, others: Mapping[str, Any]) -> None:
    if others.get("is_causal") or getattr(module, "is_causal", False) or query.shape[2] != key.shape[2]:
        raise ConfigError(
            f'attn_implementation "{NAME}" is for self-attention of encoders; {type(module).__name__} is causal or '
            f"looks at another sequence. Use another attn_implementation."
        )
    if dropout > 0:
        raise ConfigError(
            f'attn_implementation "{NAME}" has no dropout on attention weights, and this model trains with {dropout}. '
            f"Load it with attention_probs_dropout_prob=0.0 (or what its config calls it); dropout on hidden states "
            f"stays."
        )
    if others.get("output_attentions"):
        raise ConfigError(f'attn_implementation "{NAME}" never holds attention weights: leave output_attentions out.')
    for name in _UNKNOWN_TO_US:
        if others.get(name) is not None:
            raise ConfigError(f'attn_implementation "{NAME}" cannot honour {name}, which {type(module).__name__} uses.')


def _spec(module: nn.Module) -> PatternSpec:
    config = getattr(module, "config", None)
    if config is None:
        raise ConfigError(
            f"{type(module).__name__} does not know its config, so its {SETTINGS} cannot be read: this model cannot "
            f'run with attn_implementation "{NAME}".'
        )
    settings = getattr(config, SETTINGS, None) or {}
    if not isinstance(settings, Mapping):
        raise ConfigError(f"config.{SETTINGS} must be a dict of PatternSpec's fields, got {settings!r}")
    return _known_spec(json.dumps(dict(settings), sort_keys=True, default=repr))


@lru_cache(maxsize=64)
def _known_spec(settings: str) -> PatternSpec:
    spec = configs.from_json(PatternSpec, json.loads(settings), source=f"config.{SETTINGS}")
    if spec.window_blocks + spec.global_blocks + spec.random_blocks == 0:
        raise ConfigError(f"config.{SETTINGS} has no window, global or random blocks, so no token would see any other")
    return spec


def _layer(module: nn.Module) -> int:
    layer = getattr(module, "layer_idx", None)
    if layer is not None:
        return int(layer)
    if _spec(module).random_blocks == 0:
        return 0
    raise ConfigError(
        f"{type(module).__name__} does not know which layer it is, and every layer draws random blocks of its own. Set "
        f'config.{SETTINGS} = {{"random_blocks": 0}}.'
    )
