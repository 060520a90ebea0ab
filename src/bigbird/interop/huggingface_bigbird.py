"""The family "big_bird": BigBird as transformers has it, an encoder with one of seven heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bigbird.errors import ConfigError
from bigbird.interop.huggingface_kinds import Family, Kind
from bigbird.interop.huggingface_names import BASE, BIG_BIRD_NAMES, COUNTERS, POOLER
from bigbird.interop.huggingface_settings import (
    WITHOUT_EFFECT,
    HubConfig,
    check_expressible,
    from_activation,
    from_pattern,
    to_activation,
)
from bigbird.model.encoder import Encoder, EncoderConfig
from bigbird.model.heads import MaskedLanguageModel, TokenClassifier
from bigbird.model.published_heads import ChoiceScorer, FirstTokenClassifier, PretrainingModel, SpanReader


@dataclass(frozen=True, kw_only=True)
class BigBirdConfig(HubConfig):
    """Names and defaults of transformers 5.23."""

    model_type: str = "big_bird"
    vocab_size: int = 50358
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: float = 0.1
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    use_bias: bool = True
    rescale_embeddings: bool = False
    classifier_dropout: float | None = None
    sep_token_id: int | None = 66
    num_labels: int | None = None
    id2label: dict[str, Any] | None = None
    # Of these one value is served.
    is_decoder: bool = False
    is_encoder_decoder: bool = False
    add_cross_attention: bool = False
    position_embedding_type: str = "absolute"

    @property
    def label_count(self) -> int:
        """Labels of a classifier."""
        return len(self.id2label or ()) or self.num_labels or 2


def _to_encoder(hub: BigBirdConfig) -> dict[str, Any]:
    return {
        "vocab_size": hub.vocab_size,
        "hidden_size": hub.hidden_size,
        "num_layers": hub.num_hidden_layers,
        "num_heads": hub.num_attention_heads,
        "inner_size": hub.intermediate_size,
        "max_length": hub.max_position_embeddings,
        "activation": to_activation(hub.hidden_act, setting="hidden_act"),
        "dropout": hub.hidden_dropout_prob,
        "layer_norm_eps": hub.layer_norm_eps,
        "num_token_types": hub.type_vocab_size,
        "scale_embeddings": hub.rescale_embeddings,
        # Theirs has a bias behind attention even so; the original's use_bias governs that one too.
        "attention_bias": hub.use_bias or "output",
    }


def _to_hub(config: EncoderConfig, like: dict[str, Any]) -> dict[str, Any]:
    check_expressible(
        config,
        {
            "norm": ("post",),
            "positions": ("learned",),
            "bases_per_token": (0,),
            "embedding_norm": (True,),
            "attention_bias": (True, "output"),
        },
        label="BigBird",
    )
    if config.num_token_types == 0:
        raise ConfigError(
            "num_token_types is 0; transformers' BigBird needs at least 1, so train with num_token_types=1"
        )
    return {
        "model_type": "big_bird",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.inner_size,
        "hidden_act": from_activation(config.activation, like=like.get("hidden_act")),
        "hidden_dropout_prob": config.dropout,
        "max_position_embeddings": config.max_length,
        "type_vocab_size": config.num_token_types,
        "layer_norm_eps": config.layer_norm_eps,
        "use_bias": config.attention_bias is True,
        "rescale_embeddings": config.scale_embeddings,
        **from_pattern(config),
    }


def _layer(ours: str, theirs: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"{ours}.{part}", f"{theirs}.{part}") for part in ("weight", "bias"))


def _predictions(prefix: str = "") -> tuple[tuple[str, str], ...]:
    return (
        (f"{prefix}bias", "cls.predictions.bias"),
        *_layer(f"{prefix}transform", "cls.predictions.transform.dense"),
        *_layer(f"{prefix}norm", "cls.predictions.transform.LayerNorm"),
    )


def _labels(model: Any, like: BigBirdConfig) -> dict[str, Any]:
    """Names for the model's labels, unless those of `like` are as many."""
    own_dropout, dropout = model.dropout.p, model.encoder.config.dropout
    values: dict[str, Any] = {"classifier_dropout": None if own_dropout == dropout else own_dropout}
    count = model.classifier.out_features
    if like.label_count != count:
        values["num_labels"] = count
        values["id2label"] = {str(index): f"LABEL_{index}" for index in range(count)}
        values["label2id"] = {f"LABEL_{index}": index for index in range(count)}
    return values


def _separator(hub: BigBirdConfig) -> int:
    if hub.sep_token_id is None:
        raise ConfigError("sep_token_id is null; question answering needs the token that ends the question")
    return hub.sep_token_id


_KINDS = (
    Kind(
        "BigBirdModel",
        "load_encoder",
        Encoder,
        "",
        (),
        lambda _, config: Encoder(config),
        carries=POOLER.__contains__,
    ),
    Kind(
        "BigBirdForMaskedLM",
        "load_masked_lm",
        MaskedLanguageModel,
        "encoder.",
        _predictions(),
        lambda _, config: MaskedLanguageModel(config),
        tied=tuple(BIG_BIRD_NAMES.tied),
        carries=POOLER.__contains__,
    ),
    Kind(
        "BigBirdForQuestionAnswering",
        "load_question_answering",
        SpanReader,
        "encoder.",
        (
            *_layer("feed_forward.inner", "qa_classifier.intermediate.dense"),
            *_layer("feed_forward.output", "qa_classifier.output.dense"),
            *_layer("norm", "qa_classifier.output.LayerNorm"),
            *_layer("ends", "qa_classifier.qa_outputs"),
        ),
        lambda hub, config: SpanReader(config, separator_id=_separator(hub)),
        lambda model, _: {"sep_token_id": model.separator_id},
    ),
    Kind(
        "BigBirdForSequenceClassification",
        "load_sequence_classifier",
        FirstTokenClassifier,
        "encoder.",
        (*_layer("hidden", "classifier.dense"), *_layer("classifier", "classifier.out_proj")),
        lambda hub, config: FirstTokenClassifier(config, num_labels=hub.label_count, dropout=hub.classifier_dropout),
        _labels,
        carries=POOLER.__contains__,
    ),
    Kind(
        "BigBirdForTokenClassification",
        "load_token_classifier",
        TokenClassifier,
        "encoder.",
        _layer("classifier", "classifier"),
        lambda hub, config: TokenClassifier(config, num_labels=hub.label_count, dropout=hub.classifier_dropout),
        _labels,
        carries=POOLER.__contains__,
    ),
    Kind(
        "BigBirdForMultipleChoice",
        "load_multiple_choice",
        ChoiceScorer,
        "encoder.",
        (*_layer("pooler", f"{BASE}pooler"), *_layer("classifier", "classifier")),
        lambda _, config: ChoiceScorer(config),
    ),
    Kind(
        "BigBirdForPreTraining",
        "load_pretraining",
        PretrainingModel,
        "language_model.encoder.",
        (
            *_predictions("language_model."),
            *_layer("pooler", f"{BASE}pooler"),
            *_layer("classifier", "cls.seq_relationship"),
        ),
        lambda _, config: PretrainingModel(config),
        tied=tuple(BIG_BIRD_NAMES.tied),
    ),
)
_HEADS = frozenset(theirs for kind in _KINDS for _, theirs in kind.head)

BIG_BIRD = Family(
    model_type="big_bird",
    label="BigBird",
    config=BigBirdConfig,
    served={
        "is_decoder": False,
        "is_encoder_decoder": False,
        "add_cross_attention": False,
        "position_embedding_type": "absolute",
        "pruned_heads": {},
    },
    # Dropout on attention is among them: theirs has none where attention is sparse.
    without_effect=WITHOUT_EFFECT,
    to_encoder=_to_encoder,
    to_hub=_to_hub,
    names=BIG_BIRD_NAMES,
    kinds=_KINDS,
    ignored=(_HEADS | POOLER | COUNTERS | BIG_BIRD_NAMES.tied.keys()).__contains__,
    depends=("hidden_size",),
)
