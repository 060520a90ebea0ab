"""config.json of Hugging Face's BigBird: which of its values decide the function, and ours for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from bigbird import config as configs
from bigbird.attention import PatternSpec
from bigbird.attention.random_blocks import RANDOM_REACH, TABLE_LENGTH
from bigbird.errors import CheckpointError, ConfigError
from bigbird.model.activation import Activation
from bigbird.model.encoder import EncoderConfig

HubGraph = Literal["checkpoint", "transformers-train", "transformers-eval"]

MODEL_TYPE = "big_bird"
_MOST_LETTERS = 600  # of an error about somebody else's file

_ACTIVATIONS: dict[str, Activation] = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
}
_THEIR_ACTIVATION: dict[Activation, str] = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu"}


@dataclass(frozen=True, kw_only=True)
class HubConfig:
    """The values that decide what the model computes; names and defaults are those of transformers 5.23."""

    model_type: str = MODEL_TYPE
    vocab_size: int = 50358
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = 0.1
    max_position_embeddings: int = 4096
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    attention_type: str = "block_sparse"
    block_size: int = 64
    num_random_blocks: int = 3
    bigbird_graph: Literal["checkpoint", "paper"] = "checkpoint"  # ours: the graph the weights were trained with
    classifier_dropout: float | None = None
    sep_token_id: int | None = 66
    tie_word_embeddings: bool = True
    num_labels: int | None = None
    id2label: dict[str, Any] | None = None
    # Of these one value is served.
    use_bias: bool = True
    rescale_embeddings: bool = False
    is_decoder: bool = False
    is_encoder_decoder: bool = False
    add_cross_attention: bool = False
    position_embedding_type: str = "absolute"
    pruned_heads: dict[str, Any] = field(default_factory=dict)

    @property
    def label_count(self) -> int:
        """Labels of a classifier."""
        return len(self.id2label or ()) or self.num_labels or 2


_SERVED: dict[str, object] = {
    "model_type": MODEL_TYPE,
    "use_bias": True,
    "rescale_embeddings": False,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
    "pruned_heads": {},
}

# What transformers 4 and 5 write beside them. Dropout on attention is not here either: theirs has none where attention
# is sparse.
_WITHOUT_EFFECT = frozenset(
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


def from_hub(values: Mapping[str, Any], *, source: str) -> HubConfig:
    """Check a config.json; names that are neither known to matter nor known not to are errors."""
    if values.get("model_type") != MODEL_TYPE:
        raise CheckpointError(
            f"{source}: model_type must be {MODEL_TYPE!r}, got {_shortened(repr(values.get('model_type')))}"
        )
    try:
        hub = configs.from_json(
            HubConfig, {name: value for name, value in values.items() if name not in _WITHOUT_EFFECT}, source=source
        )
    except ConfigError as error:
        raise CheckpointError(
            f"{_shortened(str(error))} What changes nothing in the model's function, remove from the file."
        ) from None
    for name, served in _SERVED.items():
        if getattr(hub, name) != served:
            raise CheckpointError(
                f"{source}: {name} is {_shortened(repr(getattr(hub, name)))}; only models with {name} {served!r} can "
                f"be loaded"
            )
    return hub


def encoder_config(hub: HubConfig, graph: HubGraph, *, source: str) -> EncoderConfig:
    """Our config of the same encoder, with the random blocks of `graph`."""
    if graph not in get_args(HubGraph):
        raise ConfigError(f"graph must be one of {', '.join(get_args(HubGraph))}, got {graph!r}")
    if hub.hidden_act not in _ACTIVATIONS:
        raise CheckpointError(
            f"{source}: hidden_act must be one of {', '.join(_ACTIVATIONS)}, got {_shortened(repr(hub.hidden_act))}"
        )
    try:
        return EncoderConfig(
            vocab_size=hub.vocab_size,
            hidden_size=hub.hidden_size,
            num_layers=hub.num_hidden_layers,
            num_heads=hub.num_attention_heads,
            inner_size=hub.intermediate_size,
            max_length=hub.max_position_embeddings,
            activation=_ACTIVATIONS[hub.hidden_act],
            dropout=hub.hidden_dropout_prob,
            layer_norm_eps=hub.layer_norm_eps,
            num_token_types=hub.type_vocab_size,
            pattern=_pattern(hub, graph),
        )
    except ConfigError as error:
        raise CheckpointError(_shortened(f"{source}: {error}")) from None


def _pattern(hub: HubConfig, graph: HubGraph) -> PatternSpec:
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


def _full_pattern(block_size: int, max_length: int) -> PatternSpec:
    """A window that reaches over any document the model reads, so that every block sees every block."""
    num_blocks = PatternSpec(block_size=max(block_size, 1)).blocks_for(max_length)
    return PatternSpec(block_size=block_size, window_blocks=num_blocks, global_blocks=0, random_blocks=0)


def to_hub(config: EncoderConfig, *, like: Mapping[str, Any]) -> dict[str, Any]:
    """The config.json values of our encoder; of equal spellings that of `like` is kept."""
    _check_expressible(config)
    spelled = like.get("hidden_act", "")
    return {
        "model_type": MODEL_TYPE,
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.inner_size,
        "hidden_act": spelled
        if _ACTIVATIONS.get(spelled) == config.activation
        else _THEIR_ACTIVATION[config.activation],
        "hidden_dropout_prob": config.dropout,
        "max_position_embeddings": config.max_length,
        "type_vocab_size": config.num_token_types,
        "layer_norm_eps": config.layer_norm_eps,
        **_their_pattern(config),
    }


def _check_expressible(config: EncoderConfig) -> None:
    for name, served in {"norm": "post", "positions": "learned", "bases_per_token": 0}.items():
        if getattr(config, name) != served:
            raise ConfigError(
                f"{name} is {getattr(config, name)!r}; transformers' BigBird knows {name} {served!r} alone, so this "
                f"model cannot be written for it. bigbird.save_model keeps it."
            )
    if config.num_token_types == 0:
        raise ConfigError(
            "num_token_types is 0; transformers' BigBird needs at least 1, so train with num_token_types=1"
        )


def _their_pattern(config: EncoderConfig) -> dict[str, Any]:
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


def same_number_of_labels(count: int, like: HubConfig) -> dict[str, Any]:
    """Names for `count` labels, unless those of `like` are as many."""
    if like.label_count == count:
        return {}
    return {
        "num_labels": count,
        "id2label": {str(index): f"LABEL_{index}" for index in range(count)},
        "label2id": {f"LABEL_{index}": index for index in range(count)},
    }


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]} …"
