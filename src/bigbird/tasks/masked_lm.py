"""Masked language modelling: guess hidden tokens from what stands around them (Devlin et al. 2019, section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bigbird import randomness
from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import MaskedLanguageModel
from bigbird.tasks import metrics
from bigbird.tasks.base import Batch, Example, Loss, Purpose, device_of, in_batches, packed
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.windows import TokenWindow, check_window, token_windows
from bigbird.tokenizers import Tokenizer


class MaskedScore(NamedTuple):
    """How hard a record's hidden tokens were to guess.

    nats          summed negative log-likelihood of the hidden tokens
    num_letters   letters (bases) they stand for
    """

    nats: float
    num_letters: int


@dataclass(frozen=True, kw_only=True)
class MaskedLM:
    """Hide some tokens and guess them; measured in bits per letter, which compares across tokenizers.

    share       of the tokens that are chosen; of these 80 % become [MASK], 10 % a random token, 10 % stay
    max_length  tokens per window; a longer record is cut into windows
    overlap     tokens neighbouring windows share

    Which tokens are chosen depends on the record's `draw`, where the window begins and the token's place in it alone.
    """

    share: float = 0.15
    max_length: int = 4096
    overlap: int = 0
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_window(self.max_length, self.overlap)
        if not 0 < self.share < 1:
            raise ConfigError(f"share must lie between 0 and 1, got {self.share}")
        if self.labels:
            raise ConfigError("masked language modelling has no labels")

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        return MaskedLanguageModel(config)

    def encode(self, record: Record, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:  # noqa: ARG002  hidden tokens are drawn alike for both purposes
        """See `Task`. Targets are the true ids; weights are the letters of a chosen token, 0 elsewhere."""
        windows = token_windows(record, tokenizer, max_length=self.max_length, overlap=self.overlap, strands="given")
        return [self._masked(window, record.draw, index, tokenizer) for window in windows]

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`. Targets and weights: [tokens of all examples]."""
        return packed(examples, block_size=block_size)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Cross-entropy over the chosen tokens."""
        each, _ = _nats(model, batch)
        return Loss(each.sum(), torch.tensor(len(each), device=each.device), batch.weights.sum())

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[MaskedScore]:
        """See `Task`."""
        scores: list[MaskedScore] = []
        for some in in_batches(examples):
            batch = self.collate(some, block_size=block_size).to(device_of(model))
            each, chosen = _nats(model, batch)
            totals = torch.zeros(len(batch.weights), dtype=torch.float64, device=each.device)
            totals[chosen] = each.double()
            parts = torch.split(totals.cpu(), [len(example.token_ids) for example in some])
            scores += [
                MaskedScore(float(part.sum()), int(e.weights.sum())) for part, e in zip(parts, some, strict=True)
            ]
        pairs = zip(examples, scores, strict=True)
        return [_sum([score for _, score in group]) for _, group in groupby(pairs, key=lambda pair: pair[0].record)]

    def score(self, predictions: Sequence[MaskedScore], records: Sequence[Record]) -> dict[str, Estimate]:  # noqa: ARG002  the truth is in the predictions
        """Bits per hidden letter."""
        nats = np.array([prediction.nats for prediction in predictions])
        letters = np.array([prediction.num_letters for prediction in predictions])
        return {"bits_per_letter": metrics.bootstrap(_bits_per_letter, nats, letters)}

    def _masked(self, window: TokenWindow, draw: int, index: int, tokenizer: Tokenizer) -> Example:
        places = np.arange(len(window.token_ids)) + int(window.starts[1])
        widths = window.ends - window.starts
        chosen = (randomness.uniform(draw, places, 0) < self.share) & (widths > 0)
        fate = randomness.uniform(draw, places, 1)
        replaced = chosen & (fate >= 0.8) & (fate < 0.9)
        shown = np.where(chosen & (fate < 0.8), tokenizer.special_id("[MASK]"), window.token_ids)
        strangers = tokenizer.ordinary_ids[randomness.integers(0, len(tokenizer.ordinary_ids), draw, places, 2)]
        return Example(
            index,
            np.where(replaced, strangers, shown),
            window.starts,
            window.ends,
            window.token_ids.astype(np.float32),  # exact: ids are below 2**24
            (chosen * widths).astype(np.float32),
        )


def _nats(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of each chosen token, and which tokens these are."""
    chosen = torch.nonzero(batch.weights > 0)[:, 0]
    places = batch.layout.places(batch.token_ids.device)[chosen]
    logits = model(batch.token_ids, batch.layout, places=places).float()
    return F.cross_entropy(logits, batch.targets[chosen].long(), reduction="none"), chosen


def _sum(scores: Sequence[MaskedScore]) -> MaskedScore:
    return MaskedScore(math.fsum(score.nats for score in scores), sum(score.num_letters for score in scores))


def _bits_per_letter(nats: NDArray[np.float64], letters: NDArray[np.int64]) -> float:
    return float(nats.sum() / letters.sum() / math.log(2)) if letters.sum() else math.nan
