"""Our models as models of transformers: Auto classes, Trainer, PEFT and pipelines take them.

    import bigbird.interop.transformers                            # registers the Auto classes

    wrapper = from_bigbird(model)                                  # the same parameters, nothing is copied
    wrapper.save_pretrained("mine")
    AutoModelForMaskedLM.from_pretrained("mine").bigbird           # our module again

Each takes padded input_ids, attention_mask and token_type_ids, packs them once and gives out what its like of
transformers does; the loss is transformers' own. Nothing that stands in padding changes an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bigbird.errors import ConfigError
from bigbird.interop.transformers_base import BigBirdSparsePreTrainedModel
from bigbird.interop.transformers_config import BigBirdSparseConfig
from bigbird.interop.transformers_heads import (
    BigBirdSparseForMaskedLM,
    BigBirdSparseForMultipleChoice,
    BigBirdSparseForQuestionAnswering,
    BigBirdSparseForSequenceClassification,
    BigBirdSparseForTokenClassification,
    BigBirdSparseModel,
)
from bigbird.interop.transformers_library import part
from bigbird.model.encoder import Encoder, encoder_of
from bigbird.model.heads import MaskedLanguageModel, SequenceClassifier, TokenClassifier
from bigbird.model.published_heads import ChoiceScorer, FirstTokenClassifier, SpanReader

part()  # of a version that we know

import transformers
from transformers import AutoConfig

__all__ = [
    "BigBirdSparseConfig",
    "BigBirdSparseForMaskedLM",
    "BigBirdSparseForMultipleChoice",
    "BigBirdSparseForQuestionAnswering",
    "BigBirdSparseForSequenceClassification",
    "BigBirdSparseForTokenClassification",
    "BigBirdSparseModel",
    "BigBirdSparsePreTrainedModel",
    "from_bigbird",
]

_WRAPPERS: dict[type[nn.Module], type[BigBirdSparsePreTrainedModel]] = {
    Encoder: BigBirdSparseModel,
    MaskedLanguageModel: BigBirdSparseForMaskedLM,
    SequenceClassifier: BigBirdSparseForSequenceClassification,
    FirstTokenClassifier: BigBirdSparseForSequenceClassification,
    TokenClassifier: BigBirdSparseForTokenClassification,
    SpanReader: BigBirdSparseForQuestionAnswering,
    ChoiceScorer: BigBirdSparseForMultipleChoice,
}


def from_bigbird(
    model: nn.Module, *, labels: Sequence[str] | None = None, **settings: Any
) -> BigBirdSparsePreTrainedModel:
    """The wrapper of a model of ours; it holds that very module, in its mode, number type and place.

    labels    names of a classifier's labels, in the order of its logits
    settings  others of the config: problem_type, pad_token_id …
    """
    wrapper = _WRAPPERS.get(type(model))
    if wrapper is None:
        raise ConfigError(
            f"there is no wrapper of {type(model).__name__}; there are those of "
            f"{', '.join(kind.__name__ for kind in _WRAPPERS)}. The language model of a PretrainingModel is one."
        )
    config = BigBirdSparseConfig(**_head_settings(model, labels), **settings)
    with torch.device("meta"):
        wrapped = wrapper(config)
    wrapped.hold(model)
    wrapped.train(model.training)
    return wrapped


def _head_settings(model: Any, labels: Sequence[str] | None) -> dict[str, Any]:
    """What the config has to hold of a model of ours."""
    encoder = encoder_of(model).config
    settings: dict[str, Any] = {"encoder": encoder}
    if isinstance(model, SpanReader):
        settings["sep_token_id"] = model.separator_id
    if isinstance(model, FirstTokenClassifier | TokenClassifier) and model.dropout.p != encoder.dropout:
        settings["classifier_dropout"] = model.dropout.p
    if type(model) in (SequenceClassifier, FirstTokenClassifier):
        settings["sequence_head"] = type(model).__name__
    count = model.classifier.out_features if hasattr(model, "classifier") else 0
    if labels is not None and len(labels) != count:
        raise ConfigError(f"{len(labels)} labels were given for a model with {count}: {', '.join(labels)}")
    if count:
        names = [f"LABEL_{index}" for index in range(count)] if labels is None else labels
        settings |= {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    return settings


AutoConfig.register(BigBirdSparseConfig.model_type, BigBirdSparseConfig, exist_ok=True)
for _auto, _model in {
    "AutoModel": BigBirdSparseModel,
    "AutoModelForMaskedLM": BigBirdSparseForMaskedLM,
    "AutoModelForSequenceClassification": BigBirdSparseForSequenceClassification,
    "AutoModelForTokenClassification": BigBirdSparseForTokenClassification,
    "AutoModelForQuestionAnswering": BigBirdSparseForQuestionAnswering,
    "AutoModelForMultipleChoice": BigBirdSparseForMultipleChoice,
}.items():
    getattr(transformers, _auto).register(BigBirdSparseConfig, _model, exist_ok=True)
