"""Which class of ours computes what a class of transformers does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from bigbird.errors import ConfigError
from bigbird.interop.huggingface_config import HubConfig, same_number_of_labels
from bigbird.interop.huggingface_names import BASE, Pair, encoder_pairs
from bigbird.model.encoder import Encoder, EncoderConfig
from bigbird.model.heads import MaskedLanguageModel, TokenClassifier
from bigbird.model.published_heads import ChoiceScorer, FirstTokenClassifier, PretrainingModel, SpanReader


@dataclass(frozen=True)
class Kind:
    """A class of transformers and ours of the same function.

    prefix    stands before our encoder's names
    head      our names of the head's tensors, and theirs
    build     our model from their config
    settings  the config.json values that our model's head decides; the second argument is the config of a folder
              whose labels are kept where their number fits
    """

    architecture: str
    loader: str
    module: type[nn.Module]
    prefix: str
    head: tuple[tuple[str, str], ...]
    build: Callable[[HubConfig, EncoderConfig], nn.Module]
    settings: Callable[[Any, HubConfig], dict[str, Any]] = lambda _model, _like: {}

    def pairs(self, num_layers: int) -> Iterator[Pair]:
        """All tensors of the model."""
        yield from encoder_pairs(num_layers, prefix=self.prefix)
        yield from (Pair(ours, (theirs,)) for ours, theirs in self.head)

    @property
    def has_tied_output(self) -> bool:
        """Whether the table of token vectors is the output matrix too."""
        return any(theirs == "cls.predictions.bias" for _, theirs in self.head)

    @property
    def keeps_unused_pooler(self) -> bool:
        """Whether their class carries a pooler that ours does not."""
        has_pooler = any(theirs.startswith(f"{BASE}pooler.") for _, theirs in self.head)
        return not has_pooler and self.module is not SpanReader


def kind_of(module: type[nn.Module]) -> Kind:
    """The kind that has this class of ours."""
    for kind in KINDS:
        if module is kind.module:
            return kind
    allowed = ", ".join(kind.module.__name__ for kind in KINDS)
    raise ConfigError(f"transformers has no BigBird like {module.__name__}; it can have {allowed}")


def kinds_with(names: set[str]) -> list[Kind]:
    """The kinds whose whole head is among their `names`, the largest head first."""
    found = [kind for kind in KINDS if kind.head and {theirs for _, theirs in kind.head} <= names]
    return sorted(found, key=lambda kind: -len(kind.head))


def _layer(ours: str, theirs: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"{ours}.{part}", f"{theirs}.{part}") for part in ("weight", "bias"))


def _predictions(prefix: str = "") -> tuple[tuple[str, str], ...]:
    return (
        (f"{prefix}bias", "cls.predictions.bias"),
        *_layer(f"{prefix}transform", "cls.predictions.transform.dense"),
        *_layer(f"{prefix}norm", "cls.predictions.transform.LayerNorm"),
    )


def _with_labels(model: Any, like: HubConfig) -> dict[str, Any]:
    own_dropout, dropout = model.dropout.p, model.encoder.config.dropout
    return {
        "classifier_dropout": None if own_dropout == dropout else own_dropout,
        **same_number_of_labels(model.classifier.out_features, like),
    }


def _separator(hub: HubConfig) -> int:
    if hub.sep_token_id is None:
        raise ConfigError("sep_token_id is null; question answering needs the token that ends the question")
    return hub.sep_token_id


KINDS = (
    Kind("BigBirdModel", "load_encoder", Encoder, "", (), lambda _, config: Encoder(config)),
    Kind(
        "BigBirdForMaskedLM",
        "load_masked_lm",
        MaskedLanguageModel,
        "encoder.",
        _predictions(),
        lambda _, config: MaskedLanguageModel(config),
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
        _with_labels,
    ),
    Kind(
        "BigBirdForTokenClassification",
        "load_token_classifier",
        TokenClassifier,
        "encoder.",
        _layer("classifier", "classifier"),
        lambda hub, config: TokenClassifier(config, num_labels=hub.label_count, dropout=hub.classifier_dropout),
        _with_labels,
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
    ),
)
