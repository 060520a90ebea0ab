"""Our encoder and its heads as models of transformers: padded batches in, transformers' outputs and losses out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bigbird.errors import ConfigError, ShapeError
from bigbird.interop.transformers_base import BigBirdSparsePreTrainedModel
from bigbird.interop.transformers_config import BigBirdSparseConfig
from bigbird.interop.transformers_library import part
from bigbird.model.encoder import Encoder
from bigbird.model.heads import MaskedLanguageModel, SequenceClassifier, TokenClassifier
from bigbird.model.published_heads import ChoiceScorer, FirstTokenClassifier, SpanReader

part()  # of a version that we know

from transformers.modeling_outputs import (
    BaseModelOutput,
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.utils import can_return_tuple


class BigBirdSparseModel(BigBirdSparsePreTrainedModel):
    """`Encoder`: [batch, length] -> last_hidden_state [batch, length, hidden], zeros in padding."""

    holds = "encoder"

    @classmethod
    def build(cls, config: BigBirdSparseConfig) -> Encoder:
        """A new encoder."""
        return Encoder(config.encoder_config)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> BaseModelOutput:
        """Vectors of all tokens."""
        batch, encoded, hidden_states = self.compute(
            input_ids, attention_mask, token_type_ids, inputs_embeds, output_attentions, output_hidden_states
        )
        return BaseModelOutput(last_hidden_state=batch.padded(encoded), hidden_states=hidden_states)


class BigBirdSparseForMaskedLM(BigBirdSparsePreTrainedModel):
    """`MaskedLanguageModel`: logits [batch, length, vocab], zeros in padding. Labels of -100 are left out."""

    accepts_loss_kwargs = True

    @classmethod
    def build(cls, config: BigBirdSparseConfig) -> MaskedLanguageModel:
        """A new masked language model."""
        return MaskedLanguageModel(config.encoder_config)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> MaskedLMOutput:
        """labels: int64 [batch, length]; num_items_in_batch: what the sum of losses is divided by, or their number."""
        batch, out, hidden_states = self.compute(
            input_ids, attention_mask, token_type_ids, inputs_embeds, output_attentions, output_hidden_states
        )
        logits, loss = batch.padded(out), None
        if labels is not None:
            loss = self.loss_function(logits, labels, self.config.vocab_size, num_items_in_batch=num_items_in_batch)
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=hidden_states)


class BigBirdSparseForSequenceClassification(BigBirdSparsePreTrainedModel):
    """`SequenceClassifier` or `FirstTokenClassifier`, as `config.sequence_head` says: logits [batch, num_labels]."""

    accepts_loss_kwargs = False  # the losses of regression and of several labels per document take no count

    @classmethod
    def build(cls, config: BigBirdSparseConfig) -> SequenceClassifier | FirstTokenClassifier:
        """A new classifier of documents."""
        if config.sequence_head == "FirstTokenClassifier":
            return FirstTokenClassifier(
                config.encoder_config, num_labels=config.num_labels, dropout=config.classifier_dropout
            )
        if config.classifier_dropout not in (None, config.encoder_config.dropout):
            raise ConfigError(
                f"SequenceClassifier has the encoder's dropout {config.encoder_config.dropout}, got "
                f"classifier_dropout {config.classifier_dropout}. Leave it out, or take sequence_head "
                f"'FirstTokenClassifier'."
            )
        return SequenceClassifier(config.encoder_config, num_labels=config.num_labels)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> SequenceClassifierOutput:
        """labels: int64 [batch], or float [batch] or [batch, num_labels] as `config.problem_type` says."""
        _, logits, hidden_states = self.compute(
            input_ids, attention_mask, token_type_ids, inputs_embeds, output_attentions, output_hidden_states
        )
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=hidden_states)


class BigBirdSparseForTokenClassification(BigBirdSparsePreTrainedModel):
    """`TokenClassifier`: logits [batch, length, num_labels], zeros in padding. Labels of -100 are left out."""

    accepts_loss_kwargs = True

    @classmethod
    def build(cls, config: BigBirdSparseConfig) -> TokenClassifier:
        """A new classifier of tokens."""
        return TokenClassifier(config.encoder_config, num_labels=config.num_labels, dropout=config.classifier_dropout)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> TokenClassifierOutput:
        """labels: int64 [batch, length]; num_items_in_batch: what the sum of losses is divided by, or their number."""
        batch, out, hidden_states = self.compute(
            input_ids, attention_mask, token_type_ids, inputs_embeds, output_attentions, output_hidden_states
        )
        logits, loss = batch.padded(out), None
        if labels is not None:
            loss = self.loss_function(logits, labels, self.config, num_items_in_batch=num_items_in_batch)
        return TokenClassifierOutput(loss=loss, logits=logits, hidden_states=hidden_states)


class BigBirdSparseForQuestionAnswering(BigBirdSparsePreTrainedModel):
    """`SpanReader`: start_logits and end_logits [batch, length], -inf where no answer can be: question and padding."""

    accepts_loss_kwargs = False

    @classmethod
    def build(cls, config: BigBirdSparseConfig) -> SpanReader:
        """A new reader of answers."""
        if config.sep_token_id is None or config.encoder_config.num_token_types < 2:
            raise ConfigError(
                f"question answering needs sep_token_id, the token that ends the question, and two types of tokens, "
                f"for question and context; got sep_token_id {config.sep_token_id} and num_token_types "
                f"{config.encoder_config.num_token_types}"
            )
        return SpanReader(config.encoder_config, separator_id=config.sep_token_id)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> QuestionAnsweringModelOutput:
        """Positions: int64 [batch], 0 for no answer; those at the length or beyond are left out of the loss."""
        batch, out, hidden_states = self.compute(
            input_ids, attention_mask, token_type_ids, inputs_embeds, output_attentions, output_hidden_states
        )
        start_logits, end_logits = batch.padded(out, fill=-torch.inf).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            _check_answerable(start_logits, "start_positions", start_positions)
            _check_answerable(end_logits, "end_positions", end_positions)
            loss = self.loss_function(start_logits, end_logits, start_positions, end_positions)
        return QuestionAnsweringModelOutput(
            loss=loss, start_logits=start_logits, end_logits=end_logits, hidden_states=hidden_states
        )


class BigBirdSparseForMultipleChoice(BigBirdSparsePreTrainedModel):
    """`ChoiceScorer`: [batch, choices, length] -> logits [batch, choices]."""

    accepts_loss_kwargs = False

    @classmethod
    def build(cls, config: BigBirdSparseConfig) -> ChoiceScorer:
        """A new scorer of choices."""
        return ChoiceScorer(config.encoder_config)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> MultipleChoiceModelOutput:
        """labels: int64 [batch], the number of the right choice. hidden_states: [batch * choices, length, hidden]."""
        if input_ids is not None and input_ids.ndim != 3:
            raise ShapeError(f"input_ids must be [batch, choices, length], got {list(input_ids.shape)}")
        ids, mask, types = (None if x is None else x.flatten(0, 1) for x in (input_ids, attention_mask, token_type_ids))
        _, scores, hidden_states = self.compute(
            ids, mask, types, inputs_embeds, output_attentions, output_hidden_states
        )
        assert input_ids is not None
        logits = scores.view(input_ids.shape[:2])
        loss = None if labels is None else F.cross_entropy(logits, labels.to(logits.device))
        return MultipleChoiceModelOutput(loss=loss, logits=logits, hidden_states=hidden_states)


def _check_answerable(logits: Tensor, name: str, positions: Tensor) -> None:
    places = positions.to(logits.device).view(-1, 1)
    impossible = (places < logits.shape[1]) & torch.isneginf(logits.gather(1, places.clamp(0, logits.shape[1] - 1)))
    if bool(impossible.any()):
        index = int(impossible.flatten().nonzero()[0])
        raise ShapeError(
            f"{name} of document {index} is {int(places[index])}, in the question or in padding, where no answer can "
            f"be. Give a token of the context, 0 for no answer, or the length {logits.shape[1]} to leave it out."
        )
