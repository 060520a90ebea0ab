"""The config of our models as transformers keeps it: config.json with model_type "bigbird_sparse"."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

from bigbird import config as configs
from bigbird.errors import ConfigError
from bigbird.interop.transformers_library import part
from bigbird.model.encoder import EncoderConfig
from bigbird.model.sizes import dimensions

part()  # of a version that we know

from transformers import PreTrainedConfig

SequenceHead = Literal["SequenceClassifier", "FirstTokenClassifier"]

_SOURCE = "the config's encoder"
_SETTINGS = tuple(field.name for field in dataclasses.fields(EncoderConfig))
_ENCODER_NAMES = frozenset(
    (*_SETTINGS, "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
)


def _published_base() -> EncoderConfig:
    return EncoderConfig(vocab_size=50358, num_token_types=2, **dimensions("base"))


class BigBirdSparseConfig(PreTrainedConfig):
    """An `EncoderConfig` and what a head needs beside it, in the form transformers reads and writes.

    encoder             an `EncoderConfig`, or its JSON values; BigBird-base of the paper unless given
    sequence_head       which class of ours classifies documents: "SequenceClassifier" (BERT's pooler) or
                        "FirstTokenClassifier" (as published BigBird)
    classifier_dropout  before a classifier's labels; None is the encoder's. `SequenceClassifier` knows that alone
    sep_token_id        ends the question of `BigBirdSparseForQuestionAnswering`, which needs it
    others              those every config of transformers has: num_labels or id2label, problem_type, pad_token_id …

    `encoder` is kept as JSON values, so config.json holds all of them, whatever our defaults are one day.
    """

    model_type = "bigbird_sparse"

    def __init__(
        self,
        encoder: EncoderConfig | Mapping[str, Any] | None = None,
        *,
        sequence_head: SequenceHead = "SequenceClassifier",
        classifier_dropout: float | None = None,
        sep_token_id: int | None = None,
        **others: Any,
    ) -> None:
        if sequence_head not in get_args(SequenceHead):
            raise ConfigError(
                f"sequence_head must be one of {', '.join(get_args(SequenceHead))}, got {sequence_head!r}"
            )
        if misplaced := sorted(others.keys() & _ENCODER_NAMES):
            raise ConfigError(
                f"{misplaced[0]} is a setting of the encoder; give "
                f"BigBirdSparseConfig(encoder=EncoderConfig(…)), whose settings are {', '.join(_SETTINGS)}"
            )
        self.encoder: dict[str, Any] = configs.to_json(_checked(encoder))
        self.sequence_head = sequence_head
        self.classifier_dropout = classifier_dropout
        self.sep_token_id = sep_token_id
        super().__init__(**others)

    @property
    def encoder_config(self) -> EncoderConfig:
        """What our encoder is built from."""
        return _checked(self.encoder)

    # What libraries around transformers ask every config for, under the names it gives them.

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary. Set where a table of tokens is resized."""
        return cast(int, self.encoder["vocab_size"])

    @vocab_size.setter
    def vocab_size(self, value: int) -> None:
        self.encoder["vocab_size"] = value

    @property
    def hidden_size(self) -> int:
        """Width of a token's vector."""
        return cast(int, self.encoder["hidden_size"])

    @property
    def num_hidden_layers(self) -> int:
        """Layers of the encoder."""
        return cast(int, self.encoder["num_layers"])

    @property
    def num_attention_heads(self) -> int:
        """Heads of each layer."""
        return cast(int, self.encoder["num_heads"])

    @property
    def intermediate_size(self) -> int:
        """Inner width of the feed-forward layers."""
        return cast(int, self.encoder["inner_size"])

    @property
    def max_position_embeddings(self) -> int:
        """Tokens that a document may have."""
        return cast(int, self.encoder["max_length"])


def _checked(encoder: EncoderConfig | Mapping[str, Any] | None) -> EncoderConfig:
    if encoder is None:
        return _published_base()
    if isinstance(encoder, EncoderConfig):
        return encoder
    if not isinstance(encoder, Mapping):
        raise ConfigError(f"encoder must be an EncoderConfig or its values by name, got {encoder!r}")
    return configs.from_json(EncoderConfig, encoder, source=_SOURCE)
