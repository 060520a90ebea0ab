"""Our models as modules that take padded batches, and that torch.export turns into one graph for all sizes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bigbird.errors import ConfigError
from bigbird.interop.export_attention import BlockAttention, Rows
from bigbird.model.attention_layer import SelfAttention
from bigbird.model.blocks import EncoderBlock
from bigbird.model.embeddings import rotary_table, rotate
from bigbird.model.encoder import Encoder, encoder_of
from bigbird.model.heads import MaskedLanguageModel, SequenceClassifier, TokenClassifier
from bigbird.model.linear import linear
from bigbird.model.published_heads import ChoiceScorer, FirstTokenClassifier, PretrainingModel, SpanReader


class Batch(NamedTuple):
    """int64, bool and int64 [batch, length]; places: of each real token in its document."""

    token_ids: Tensor
    key_mask: Tensor
    places: Tensor


class Read(NamedTuple):
    """What an encoder made of a batch.

    tokens  [batch, length, hidden], where the tokens stood; anything where key_mask is False
    first   [batch, hidden], each document's first token
    """

    tokens: Tensor
    first: Tensor


class PaddedModel(nn.Module):
    """A model with its head on a padded batch, in portable operations; see `bigbird.interop.onnx` for its results.

    token_ids    int64 [batch, length]
    key_mask     bool [batch, length], True = real, wherever the padding stands
    token_types  int64 [batch, length]; without them what the model itself takes

    The layers are the given model's own, their parameters are shared; attention alone is written anew.
    """

    def __init__(self, model: nn.Module, *, max_length: int) -> None:
        super().__init__()
        self.model = model
        _, self._answer = _HEADS[type(model)]
        config = encoder_of(model).config
        self.attention = BlockAttention(
            config.pattern, num_heads=config.num_heads, num_layers=config.num_layers, max_length=max_length
        )

    def forward(
        self, token_ids: Tensor, key_mask: Tensor, token_types: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        """See the class."""
        batch = Batch(token_ids, key_mask, key_mask.long().cumsum(1) - 1)
        if token_types is None and isinstance(self.model, SpanReader):
            token_types = (~_is_question(self.model, batch)).long()
        return self._answer(self.model, batch, self._read(batch, token_types))

    @staticmethod
    def names_of_outputs(model: nn.Module) -> tuple[str, ...]:
        """What forward returns, by name; ConfigError for a model that has no portable form."""
        if type(model) not in _HEADS:
            allowed = ", ".join(kind.__name__ for kind in _HEADS)
            raise ConfigError(f"{type(model).__name__} cannot be exported; these can: {allowed}")
        return _HEADS[type(model)][0]

    def _read(self, batch: Batch, token_types: Tensor | None) -> Read:
        """Move each document to its row's start, fill up to whole blocks, read, and move the results back."""
        rows = self.attention.rows(batch.key_mask)
        num_rows, total = rows.is_real.shape
        target = torch.where(batch.key_mask, batch.places, total)
        types = None if token_types is None else _moved(token_types, target, total)
        encoded = self._encode(_moved(batch.token_ids, target, total), types, rows)
        source = batch.places.clamp_min(0) + (torch.arange(num_rows) * total)[:, None]
        tokens = encoded.index_select(0, source.flatten()).reshape(*batch.key_mask.shape, -1)
        return Read(tokens, encoded.reshape(num_rows, total, -1)[:, 0])

    def _encode(self, token_ids: Tensor, token_types: Tensor | None, rows: Rows) -> Tensor:
        """token_ids, token_types: [batch * total] -> [batch * total, hidden]."""
        encoder = encoder_of(self.model)
        config, place = encoder.config, torch.arange(rows.is_real.shape[1])
        is_rotary = config.positions == "rotary"
        rotary = rotary_table(place, head_dim=config.head_dim, base=config.rotary_base) if is_rotary else None
        positions = torch.where(rows.is_real, place, 0).flatten()  # 0 in filling, as a layout has it
        x: Tensor = encoder.embeddings(token_ids, positions, token_types)
        for index, layer in enumerate(encoder.layers):
            assert isinstance(layer, EncoderBlock)
            attend = partial(self._attend, layer.attention, index, rotary, rows)
            x = _with_residual(layer, layer.attention_norm, attend, x)
            x = _with_residual(layer, layer.feed_forward_norm, layer.feed_forward, x)
        return x if encoder.final_norm is None else encoder.final_norm(x)

    def _attend(
        self, layer: SelfAttention, index: int, rotary: tuple[Tensor, Tensor] | None, rows: Rows, x: Tensor
    ) -> Tensor:
        num_rows, total = rows.is_real.shape
        parts = layer.qkv(x).chunk(3, dim=1)
        q, k, v = (part.reshape(num_rows, total, layer.num_heads, -1).transpose(1, 2) for part in parts)
        if rotary is not None:
            q, k = rotate(q, rotary), rotate(k, rotary)
        attended = self.attention(q, k, v, rows, index).transpose(1, 2)
        projected: Tensor = layer.output(attended.reshape(num_rows * total, -1))
        return projected


def _with_residual(layer: EncoderBlock, norm: nn.LayerNorm, change: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return x + change(norm(x)) if layer.norm == "pre" else norm(x + change(x))


def _moved(x: Tensor, target: Tensor, total: int) -> Tensor:
    """[batch, length] -> [batch * total] with x's entries at `target`, those at `total` left out, zeros elsewhere.

    Here as elsewhere sizes come from the mask alone: torch.export reasons long about sizes it must find equal.
    """
    return x.new_zeros(target.shape[0], total + 1).scatter(1, target, x)[:, :total].flatten()


def _is_question(model: SpanReader, batch: Batch) -> Tensor:
    """Bool [batch, length]: all up to a document's first separator; without one its first token alone."""
    is_separator = (batch.token_ids == model.separator_id) & batch.key_mask
    num_before = is_separator.long().cumsum(1) - is_separator.long()
    has_separator = is_separator.any(1, keepdim=True)
    return (has_separator & (num_before == 0)) | (~has_separator & (batch.places == 0))


def _where_real(x: Tensor, batch: Batch) -> Tensor:
    return torch.where(batch.key_mask[:, :, None], x, 0.0)


def _encoded(_model: Encoder, batch: Batch, read: Read) -> Tensor:
    return _where_real(read.tokens, batch)


def _pooled(model: SequenceClassifier | PretrainingModel, _batch: Batch, read: Read) -> Tensor:
    logits: Tensor = model.classifier(torch.tanh(model.pooler(read.first)))
    return logits


def _scores(model: ChoiceScorer, batch: Batch, read: Read) -> Tensor:
    return _pooled(model, batch, read)[:, 0]


def _hidden_then_labels(model: FirstTokenClassifier, _batch: Batch, read: Read) -> Tensor:
    logits: Tensor = model.classifier(model.activation(model.hidden(read.first)))
    return logits


def _labels_of_tokens(model: TokenClassifier, batch: Batch, read: Read) -> Tensor:
    return _where_real(model.classifier(read.tokens), batch)


def _guesses(model: MaskedLanguageModel, batch: Batch, read: Read) -> Tensor:
    hidden = model.norm(model.activation(model.transform(read.tokens)))
    table = model.encoder.embeddings.tokens
    assert isinstance(table, nn.Embedding)
    return _where_real(linear(hidden, table.weight, model.bias), batch)


def _pretraining(model: PretrainingModel, batch: Batch, read: Read) -> tuple[Tensor, Tensor]:
    return _guesses(model.language_model, batch, read), _pooled(model, batch, read)


def _spans(model: SpanReader, batch: Batch, read: Read) -> Tensor:
    logits: Tensor = model.ends(model.norm(model.feed_forward(read.tokens) + read.tokens))
    can_answer = batch.key_mask & (~_is_question(model, batch) | (batch.places == 0))
    return torch.where(can_answer[:, :, None], logits, -torch.inf)


_HEADS: dict[type[nn.Module], tuple[tuple[str, ...], Callable[..., Tensor | tuple[Tensor, Tensor]]]] = {
    Encoder: (("encoded",), _encoded),
    SequenceClassifier: (("logits",), _pooled),
    FirstTokenClassifier: (("logits",), _hidden_then_labels),
    TokenClassifier: (("logits",), _labels_of_tokens),
    MaskedLanguageModel: (("logits",), _guesses),
    SpanReader: (("logits",), _spans),
    ChoiceScorer: (("scores",), _scores),
    PretrainingModel: (("tokens", "order"), _pretraining),
}
