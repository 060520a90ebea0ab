"""What the config.json files of all families share: number types, activations and patterns, theirs and ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bigbird.attention import PatternSpec
from bigbird.attention.random_blocks import RANDOM_REACH, TABLE_LENGTH
from bigbird.errors import ConfigError
from bigbird.model.activation import Activation
from bigbird.model.encoder import EncoderConfig

HubGraph = Literal["checkpoint", "transformers-train", "transformers-eval"]

_MOST_LETTERS = 600  # of an error about somebody else's file

_ACTIVATIONS: dict[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}
_THEIR_ACTIVATION: dict[Activation, str] = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu"}

# What transformers 4 and 5 write for every model, and what changes nothing in its function.
WITHOUT_EFFECT = frozenset(
    """
    _attn_implementation _attn_implementation_autoset _commit_hash _name_or_path _num_labels architectures
    attention_probs_dropout_prob bad_words_ids begin_suppress_tokens bos_token_id chunk_size_feed_forward cls_token_id
    cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample dtype early_stopping
    encoder_no_repeat_ngram_size eos_token_id exponential_decay_length_penalty finetuning_task forced_bos_token_id
    forced_eos_token_id gradient_checkpointing initializer_range label2id length_penalty mask_token_id max_length
    min_length name_or_path no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_attentions
    output_hidden_states output_past output_scores pad_token_id prefix problem_type remove_invalid_values
    repetition_penalty return_dict return_dict_in_generate suppress_tokens task_specific_params temperature
    tf_legacy_loss tie_encoder_decoder tokenizer_class top_k top_p torch_dtype torchscript transformers_version
    typical_p use_bfloat16 use_cache use_return_dict
    """.split()  # noqa: SIM905 - sixty lines as a list
)


@dataclass(frozen=True, kw_only=True)
class HubConfig:
    """The values that every family has; names and defaults are those of transformers 5.23."""

    model_type: str = ""
    max_position_embeddings: int = 4096
    attention_type: str = "block_sparse"
    block_size: int = 64
    num_random_blocks: int = 3
    bigbird_graph: Literal["checkpoint", "paper"] = "checkpoint"  # ours: the graph the weights were trained with
    tie_word_embeddings: bool = True
    pruned_heads: dict[str, Any] = field(default_factory=dict)


def to_activation(name: str, *, setting: str) -> Activation:
    """Ours of the same function."""
    if name not in _ACTIVATIONS:
        raise ConfigError(f"{setting} must be one of {', '.join(_ACTIVATIONS)}, got {name!r}")
    return _ACTIVATIONS[name]


def from_activation(activation: Activation, *, like: object) -> str:
    """Theirs of the same function; of equal spellings `like`."""
    if isinstance(like, str) and _ACTIVATIONS.get(like) == activation:
        return like
    return _THEIR_ACTIVATION[activation]


def to_pattern(hub: HubConfig, graph: HubGraph) -> PatternSpec:
    """Ours with the random blocks of `graph`."""
    if hub.attention_type == "original_full":
        return _full_pattern(hub.block_size, hub.max_position_embeddings)
    if hub.attention_type != "block_sparse":
        raise ConfigError(f"attention_type must be block_sparse or original_full, got {hub.attention_type!r}")
    if graph == "transformers-train" and RANDOM_REACH <= hub.max_position_embeddings != TABLE_LENGTH:
        raise ConfigError(
            f"graph 'transformers-train' is known for max_position_embeddings {TABLE_LENGTH} alone, got "
            f"{hub.max_position_embeddings}, for which transformers draws another table. Use graph 'checkpoint'."
        )
    trained = hub.bigbird_graph if graph == "checkpoint" else graph
    return PatternSpec(block_size=hub.block_size, random_blocks=hub.num_random_blocks, graph=trained)


def from_pattern(config: EncoderConfig) -> dict[str, Any]:
    """The config.json values of our encoder's pattern."""
    pattern = config.pattern
    if pattern == _full_pattern(pattern.block_size, config.max_length):
        return {"attention_type": "original_full", "block_size": pattern.block_size}
    theirs = PatternSpec(block_size=pattern.block_size, random_blocks=pattern.random_blocks, graph=pattern.graph)
    if pattern != theirs:
        raise ConfigError(
            f"transformers' BigBird has 3 window blocks, 2 global blocks and seed 0; this model has {pattern}. Another "
            f"pattern is another function, so it cannot be written."
        )
    return {
        "attention_type": "block_sparse",
        "block_size": pattern.block_size,
        "num_random_blocks": pattern.random_blocks,
        **({"bigbird_graph": "paper"} if pattern.graph == "paper" else {}),
    }


def _full_pattern(block_size: int, max_length: int) -> PatternSpec:
    """A window that reaches over any document the model reads, so that every block sees every block."""
    num_blocks = PatternSpec(block_size=max(block_size, 1)).blocks_for(max_length)
    return PatternSpec(block_size=block_size, window_blocks=num_blocks, global_blocks=0, random_blocks=0)


def check_expressible(config: EncoderConfig, served: Mapping[str, tuple[object, ...]], *, label: str) -> None:
    """Refuse what a family cannot compute; `served` gives the values that it can."""
    for name, values in served.items():
        value = getattr(config, name)
        if not any(type(value) is type(one) and value == one for one in values):
            raise ConfigError(
                f"{name} is {value!r}; transformers' {label} knows {name} {' and '.join(map(repr, values))} alone, so "
                f"this model cannot be written for it. bigbird.save_model keeps it."
            )


def shortened(text: str) -> str:
    """At most so much of a stranger's text as an error needs."""
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]} …"
