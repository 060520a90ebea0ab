"""Masked language modelling: guess hidden tokens from what stands around them (Devlin et al. 2019, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bigbird.data.packing import TokenPiece, TokenRow
from bigbird.data.records import Record
from bigbird.data.sources import Item
from bigbird.errors import ConfigError
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import MaskedLanguageModel
from bigbird.tasks import masked_scores
from bigbird.tasks.base import Batch, Example, Loss, Purpose, device_of, in_batches, packed
from bigbird.tasks.masked_scores import MaskedScore, WindowScore
from bigbird.tasks.masking import Masking, Unit, Vocabulary, shown, vocabulary_of
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.windows import TokenWindow, check_window, token_windows
from bigbird.tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True)
class MaskedLM:
    """Hide some tokens and guess them; measured in bits per letter, which compares across tokenizers.

    share       of the tokens that are hidden; of these 80 % become [MASK], 10 % a random token, 10 % stay
    unit        what is hidden as one: "token", "word" (of text) or "span" (see `bigbird.tasks.masking`)
    mean_span   of unit "span": tokens of a span on average
    max_length  tokens per window; a longer record is cut into windows, rows of a corpus come cut
    overlap     tokens neighbouring windows of a record share

    Which tokens are hidden depends on the `draw` of the record or document and on the token's place in it alone: not on
    the batch, the row or, but for words cut in two, on where the document was cut. (Of a record that is longer than a
    window the place is where the window begins, in letters, and the token's number in it.)
    """

    share: float = 0.15
    unit: Unit = "token"
    mean_span: float = 3.0
    max_length: int = 4096
    overlap: int = 0
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_window(self.max_length, self.overlap)
        if self.labels:
            raise ConfigError("masked language modelling has no labels")
        self._masking()

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        return MaskedLanguageModel(config)

    def encode(self, record: Item, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:  # noqa: ARG002  hidden tokens are drawn alike for both purposes
        """See `Task`; of a row each piece becomes an example.

        Targets are the true ids of hidden tokens, -1 elsewhere; weights are the letters of hidden tokens, 0 elsewhere.
        """
        vocabulary = vocabulary_of(tokenizer)
        if isinstance(record, TokenRow):
            return [self._of_piece(piece, index, vocabulary) for piece in record.pieces]
        windows = token_windows(record, tokenizer, max_length=self.max_length, overlap=self.overlap, strands="given")
        return [self._of_window(window, record, index, vocabulary) for window in windows]

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`. Targets and weights: [tokens of all examples]."""
        return packed(examples, block_size=block_size)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Cross-entropy over the hidden tokens."""
        each, _ = _nats(model, batch)
        return Loss(each.sum(), torch.tensor(len(each), device=each.device))

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[MaskedScore]:
        """See `Task`."""
        windows: list[WindowScore] = []
        for some in in_batches(examples):
            batch = self.collate(some, block_size=block_size).to(device_of(model))
            each, chosen = _nats(model, batch)
            totals = torch.zeros(len(batch.weights), dtype=torch.float64, device=each.device)
            totals[chosen] = each.double()
            parts = torch.split(totals.cpu(), [len(example.token_ids) for example in some])
            windows += [_window_score(part, example) for part, example in zip(parts, some, strict=True)]
        pairs = zip(examples, windows, strict=True)
        of_records = groupby(pairs, key=lambda pair: pair[0].record)
        return [MaskedScore(tuple(window for _, window in group)) for _, group in of_records]

    def score(self, predictions: Sequence[MaskedScore], records: Sequence[Item]) -> dict[str, Estimate]:
        """Bits per hidden letter, with an interval over records, or over the documents of rows."""
        return {"bits_per_letter": masked_scores.estimate(masked_scores.by_document(predictions, records))}

    def mean_loss(self, predictions: Sequence[MaskedScore]) -> float:
        """The mean loss per hidden token that `loss` would give, out of predictions; NaN when none was hidden."""
        num_tokens = sum(prediction.num_tokens for prediction in predictions)
        return math.fsum(prediction.nats for prediction in predictions) / num_tokens if num_tokens else math.nan

    def _masking(self) -> Masking:
        return Masking(share=self.share, unit=self.unit, mean_span=self.mean_span)

    def _of_piece(self, piece: TokenPiece, index: int, vocabulary: Vocabulary) -> Example:
        if len(piece.token_ids) + 2 > self.max_length:
            raise ConfigError(
                f"a piece of document {piece.name!r} has {len(piece.token_ids)} tokens, which is with [CLS] and [SEP] "
                f"more than task.max_length {self.max_length}. Give data.row_length={self.max_length}, or a greater "
                f"task.max_length."
            )
        token_ids = piece.token_ids.astype(np.int64)
        places = piece.start + np.arange(len(token_ids))
        chosen = self._masking().chosen(piece.draw, places, vocabulary.word_starts[token_ids])
        chosen &= vocabulary.is_ordinary[token_ids]
        ends = np.array([piece.start, piece.start + len(token_ids)])
        return Example(
            index,
            _between(vocabulary.cls, shown(token_ids, chosen, piece.draw, places, vocabulary), vocabulary.sep),
            _between(ends[0], places, ends[1]),
            _between(ends[0], places + 1, ends[1]),
            _between(-1, np.where(chosen, token_ids, -1), -1).astype(np.float32),  # exact: ids are below 2**24
            _between(0, chosen * vocabulary.letters[token_ids], 0).astype(np.float32),
        )

    def _of_window(self, window: TokenWindow, record: Record, index: int, vocabulary: Vocabulary) -> Example:
        places = np.arange(len(window.token_ids)) + int(window.starts[1])
        widths = window.ends - window.starts
        word_starts = vocabulary.word_starts[window.token_ids]
        word_starts[1] = True  # behind [CLS]
        chosen = self._masking().chosen(record.draw, places, word_starts) & (widths > 0)
        return Example(
            index,
            shown(window.token_ids, chosen, record.draw, places, vocabulary),
            window.starts,
            window.ends,
            np.where(chosen, window.token_ids, -1).astype(np.float32),
            (chosen * widths).astype(np.float32),
        )


def _between(first: int, middle: NDArray[np.int64], last: int) -> NDArray[np.int64]:
    return np.concatenate(([first], middle, [last])).astype(np.int64)


def _nats(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of each hidden token, and which tokens these are."""
    chosen = torch.nonzero(batch.targets >= 0)[:, 0]
    places = batch.layout.places(batch.token_ids.device)[chosen]
    logits = model(batch.token_ids, batch.layout, places=places).float()
    return F.cross_entropy(logits, batch.targets[chosen].long(), reduction="none"), chosen


def _window_score(nats: Tensor, example: Example) -> WindowScore:
    return WindowScore(float(nats.sum()), int(example.weights.sum()), int((example.targets >= 0).sum()))
