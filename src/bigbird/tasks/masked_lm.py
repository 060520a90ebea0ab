"""Masked language modelling: guess hidden tokens from what stands around them (Devlin et al. 2019, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bigbird.data.packing import TokenRow
from bigbird.data.records import Record
from bigbird.data.segment_pairs import PairRow
from bigbird.data.sources import Item
from bigbird.errors import ConfigError
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import MaskedLanguageModel
from bigbird.model.published_heads import PretrainingLogits, PretrainingModel
from bigbird.tasks import masked_scores
from bigbird.tasks.base import Batch, Example, Loss, Purpose, device_of, in_batches, packed
from bigbird.tasks.masked_examples import ExampleMaking
from bigbird.tasks.masked_scores import MaskedScore, OrderScore, WindowScore
from bigbird.tasks.masking import Masking, Unit, vocabulary_of
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.windows import check_window, token_windows
from bigbird.tokenizers import Tokenizer

_SHAPES = 64  # tokens guessed in a batch are made up to a multiple of this
_NO_TARGET = -100


@dataclass(frozen=True, kw_only=True)
class MaskedLM:
    """Hide some tokens and guess them; measured in bits per letter, which compares across tokenizers.

    share       of the tokens that are hidden; of these 80 % become [MASK], 10 % a random token, 10 % stay
    unit        what is hidden as one: "token", "word" (of text) or "span" (see `bigbird.tasks.masking`)
    mean_span   of unit "span": tokens of a span on average
    max_length  tokens per window; a longer record is cut into windows, rows of a corpus come cut
    overlap     tokens neighbouring windows of a record share
    next_segment  BERT's second task too: pairs of segments of a prepared corpus, and whether the second follows the
                first (see `bigbird.data.segment_pairs`); the mean loss of pairs is added to that of hidden tokens

    Which tokens are hidden depends on the `draw` of the record or document and on the token's place in it alone: not on
    the batch, the row or, but for words cut in two, on where the document was cut. (Of a record that is longer than a
    window the place is where the window begins, in letters, and the token's number in it.)
    """

    share: float = 0.15
    unit: Unit = "token"
    mean_span: float = 3.0
    max_length: int = 4096
    overlap: int = 0
    next_segment: bool = False
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_window(self.max_length, self.overlap)
        if self.labels:
            raise ConfigError("masked language modelling has no labels")
        self._masking()

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        if not self.next_segment:
            return MaskedLanguageModel(config)
        if config.num_token_types < 2:
            raise ConfigError(
                f"task.next_segment tells the segments apart by their token type, so the encoder's num_token_types "
                f"must be at least 2, got {config.num_token_types}; set start.encoder.num_token_types=2"
            )
        return PretrainingModel(config)

    def encode(self, record: Item, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:  # noqa: ARG002  hidden tokens are drawn alike for both purposes
        """See `Task`; of a row each piece becomes an example.

        Targets are the true ids of hidden tokens, -1 elsewhere; weights are the letters of hidden tokens, 0 elsewhere.
        """
        making = ExampleMaking(self._masking(), vocabulary_of(tokenizer), self.max_length)
        if isinstance(record, TokenRow):
            return [making.of_pieces((piece,), index) for piece in record.pieces]
        if isinstance(record, PairRow):
            return [making.of_pair(pair, index) for pair in record.pairs]
        assert isinstance(record, Record)
        windows = token_windows(record, tokenizer, max_length=self.max_length, overlap=self.overlap, strands="given")
        return [making.of_window(window, record.draw, index) for window in windows]

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`. Targets and weights: [tokens of all examples]."""
        return packed(examples, block_size=block_size)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Cross-entropy over the hidden tokens; of pairs over their order too, so that it tells no bits per letter."""
        guesses = _guesses(model, batch)
        total, count = guesses.nats.sum(), torch.tensor(len(guesses.nats), device=guesses.nats.device)
        if guesses.order is None:
            return Loss(total, count, batch.weights.sum())
        return Loss(total + (guesses.order_nats * self._pair_weights(batch)).sum(), count)

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[MaskedScore]:
        """See `Task`."""
        windows: list[WindowScore] = []
        for some in in_batches(examples):
            windows += self._window_scores(model, self.collate(some, block_size=block_size).to(device_of(model)), some)
        pairs = zip(examples, windows, strict=True)
        of_records = groupby(pairs, key=lambda pair: pair[0].record)
        return [MaskedScore(tuple(window for _, window in group)) for _, group in of_records]

    def score(self, predictions: Sequence[MaskedScore], records: Sequence[Item]) -> dict[str, Estimate]:
        """Bits per hidden letter, with an interval over records or the documents of rows; of pairs the accuracy too."""
        scores = {"bits_per_letter": masked_scores.estimate(masked_scores.by_document(predictions, records))}
        if any(prediction.orders for prediction in predictions):
            scores["order_accuracy"] = masked_scores.order_accuracy(predictions)
        return scores

    def mean_loss(self, predictions: Sequence[MaskedScore]) -> float:
        """The mean loss per hidden token that `loss` would give, out of predictions; NaN when none was hidden."""
        num_tokens = sum(prediction.num_tokens for prediction in predictions)
        nats = [prediction.nats for prediction in predictions]
        of_order = [order.loss for prediction in predictions for order in prediction.orders]
        return math.fsum(nats + of_order) / num_tokens if num_tokens else math.nan

    def _masking(self) -> Masking:
        return Masking(share=self.share, unit=self.unit, mean_span=self.mean_span)

    def _pair_weights(self, batch: Batch) -> Tensor:
        """The tokens that are hidden of each pair on average: so the mean loss of pairs counts as much as of tokens."""
        lengths = torch.tensor(batch.layout.lengths, dtype=torch.float32, device=batch.token_ids.device)
        return lengths * self.share

    def _window_scores(self, model: nn.Module, batch: Batch, examples: Sequence[Example]) -> list[WindowScore]:
        guesses = _guesses(model, batch)
        totals = torch.zeros(len(batch.weights), dtype=torch.float64, device=guesses.nats.device)
        totals[guesses.chosen] = guesses.nats.double()
        parts = torch.split(totals.cpu(), [len(example.token_ids) for example in examples])
        scores = [
            WindowScore(float(part.sum()), int(example.weights.sum()), int((example.targets >= 0).sum()))
            for part, example in zip(parts, examples, strict=True)
        ]
        if guesses.order is None:
            return scores
        losses = (guesses.order_nats * self._pair_weights(batch)).tolist()
        best = guesses.order.argmax(1).tolist()
        return [
            score if example.order < 0 else score._replace(order=OrderScore(guess == example.order, loss))
            for score, example, guess, loss in zip(scores, examples, best, losses, strict=True)
        ]


class _Guesses(NamedTuple):
    """What a model makes of a batch.

    nats        float32 [hidden tokens], negative log-likelihood of each
    chosen      int64 [hidden tokens], where they stand among the examples' tokens
    order       logits [examples, 2] of pairs; None without any
    order_nats  float32 [examples], 0 where an example is no pair
    """

    nats: Tensor
    chosen: Tensor
    order: Tensor | None
    order_nats: Tensor


def _filled(chosen: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The chosen tokens and their targets, the last token repeated without one until they are a multiple of `_SHAPES`.

    As many tokens as happen to be hidden would be a new shape in nearly every batch: new kernels of oneDNN each time,
    and logits that fit no memory left by the ones before (a process of 1 GiB grew to 3 in 500 steps).
    """
    missing = -len(chosen) % _SHAPES
    known = targets[chosen].long()
    return (
        torch.cat([chosen, chosen[-1:].expand(missing if len(chosen) else 0)]),
        F.pad(known, (0, missing), value=_NO_TARGET),
    )


def _guesses(model: nn.Module, batch: Batch) -> _Guesses:
    chosen = torch.nonzero(batch.targets >= 0)[:, 0]
    filled, targets = _filled(chosen, batch.targets)
    places = batch.layout.places(batch.token_ids.device)[filled]
    logits = model(batch.token_ids, batch.layout, token_types=batch.token_types, places=places)
    tokens, order = logits if isinstance(logits, PretrainingLogits) else (logits, None)
    nats = F.cross_entropy(tokens.float(), targets, reduction="none", ignore_index=_NO_TARGET)[: len(chosen)]
    if order is None or batch.order is None:
        return _Guesses(nats, chosen, None, nats.new_zeros(0))
    return _Guesses(nats, chosen, order, F.cross_entropy(order.float(), batch.order, reduction="none", ignore_index=-1))
