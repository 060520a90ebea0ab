"""Heads that published BigBird checkpoints carry, beside those of `bigbird.model.heads`."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bigbird.attention import DocumentLayout
from bigbird.model.activation import ACTIVATIONS
from bigbird.model.blocks import FeedForward
from bigbird.model.encoder import Encoder, EncoderConfig
from bigbird.model.heads import MaskedLanguageModel, SequenceClassifier, first_tokens
from bigbird.model.linear import Linear


class FirstTokenClassifier(nn.Module):
    """Labels for a whole document, read off its first token through a layer with the encoder's activation (RoBERTa).

    `SequenceClassifier` has BERT's pooler instead. `dropout` around that layer is else the encoder's.
    """

    def __init__(self, config: EncoderConfig, *, num_labels: int, dropout: float | None = None) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.dropout = nn.Dropout(config.dropout if dropout is None else dropout)
        self.hidden = Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.activation]
        self.classifier = Linear(config.hidden_size, num_labels)

    def forward(self, token_ids: Tensor, layout: DocumentLayout, *, token_types: Tensor | None = None) -> Tensor:
        """token_ids, token_types: packed int64 [total] -> logits [documents, num_labels]."""
        first = first_tokens(self.encoder(token_ids, token_types=token_types, layout=layout), layout)
        hidden = self.activation(self.hidden(self.dropout(first)))
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits[: len(layout.lengths)]


class SpanReader(nn.Module):
    """Where in a document the answer to its question starts and ends (the TriviaQA checkpoint's head).

        [CLS] question [SEP] context [SEP]     question = all up to the first separator; type 0 there, 1 behind it
          ^ may answer: none   ^^^^^^^ may answer

    separator_id  the token that ends the question
    """

    def __init__(self, config: EncoderConfig, *, separator_id: int) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.separator_id = separator_id
        self.dropout = nn.Dropout(config.dropout)
        self.feed_forward = FeedForward(
            hidden_size=config.hidden_size, inner_size=config.inner_size, activation=config.activation
        )
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.ends = Linear(config.hidden_size, 2)

    def forward(self, token_ids: Tensor, layout: DocumentLayout, *, token_types: Tensor | None = None) -> Tensor:
        """token_ids: packed int64 [total] -> logits of start and end [total, 2], -inf where the question stands.

        token_types: int64 [total], else 0 for the question and 1 for the rest. Logits in filling mean nothing.
        """
        is_question = self._is_question(token_ids, layout)
        types = (~is_question).long() if token_types is None else token_types
        encoded = self.encoder(token_ids, token_types=types, layout=layout)
        read = self.dropout(self.feed_forward(self.dropout(encoded)))
        logits: Tensor = self.ends(self.norm(read + encoded))
        can_answer = ~is_question | (layout.positions(token_ids.device) == 0)
        return torch.where(can_answer[:, None], logits, -torch.inf)

    def _is_question(self, token_ids: Tensor, layout: DocumentLayout) -> Tensor:
        """Bool [total]; without a separator a document's first token alone is the question."""
        is_question = torch.zeros_like(token_ids, dtype=torch.bool)
        for start, length in zip(layout.starts, layout.lengths, strict=True):
            is_separator = token_ids[start : start + length] == self.separator_id
            is_question[start : start + int(is_separator.int().argmax()) + 1] = True
        return is_question


class ChoiceScorer(SequenceClassifier):
    """How well each document, a question with one of its answers, fits: [documents] scores, softmax over a question's.

    Questions may have different numbers of answers; which documents belong together is the caller's to know.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, num_labels=1)

    def forward(self, token_ids: Tensor, layout: DocumentLayout, *, token_types: Tensor | None = None) -> Tensor:
        """token_ids, token_types: packed int64 [total] -> scores [documents]."""
        return super().forward(token_ids, layout, token_types=token_types)[:, 0]


class PretrainingLogits(NamedTuple):
    """Scores of tokens, [total or places, vocab], and of "B follows A" and "B is any text", [documents, 2]."""

    tokens: Tensor
    order: Tensor


class PretrainingModel(nn.Module):
    """Guesses tokens and whether a document's second part follows its first (BERT's two tasks)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.language_model = MaskedLanguageModel(config)
        self.pooler = Linear(config.hidden_size, config.hidden_size)
        self.classifier = Linear(config.hidden_size, 2)

    @property
    def encoder(self) -> Encoder:
        """The encoder that both tasks share."""
        return self.language_model.encoder

    def forward(
        self,
        token_ids: Tensor,
        layout: DocumentLayout,
        *,
        token_types: Tensor | None = None,
        places: Tensor | None = None,
    ) -> PretrainingLogits:
        """token_ids, token_types: packed int64 [total]; logits of tokens at all places, or at `places` alone."""
        encoded = self.encoder(token_ids, token_types=token_types, layout=layout)
        tokens = self.language_model.guess(encoded if places is None else encoded[places])
        pooled = torch.tanh(self.pooler(first_tokens(encoded, layout)))
        return PretrainingLogits(tokens, self.classifier(pooled)[: len(layout.lengths)])
