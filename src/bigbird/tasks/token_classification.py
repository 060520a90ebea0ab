"""Labels along a sequence: for every token any number of labels, reported for every character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from bigbird.data.records import Record, other_strand
from bigbird.errors import ConfigError, DataError
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import TokenClassifier
from bigbird.tasks import metrics
from bigbird.tasks.base import Batch, Example, Loss, Purpose, device_of, in_batches, packed
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.windows import Strands, TokenWindow, check_window, token_windows
from bigbird.tokenizers import Tokenizer


class TokenLabels(NamedTuple):
    """What the model says along one record: probabilities float32 [characters, labels]."""

    probabilities: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class TokenClassification:
    """Which labels each stretch of a sequence has, independent of each other.

    labels           in the order of the model's outputs; a run fills () with those of its training records
    positive_weight  how much more a labelled token counts in the loss than an unlabelled one
    max_length       tokens per window; a longer record is cut into overlapping windows
    overlap          tokens neighbouring windows share; where they overlap the one that sees further counts more
    strands          "both": predictions average the logits of both strands; a label that ends in + or - changes sides
    """

    labels: tuple[str, ...]
    positive_weight: float = 1.0
    max_length: int = 4096
    overlap: int = 256
    strands: Strands = "given"

    def __post_init__(self) -> None:
        check_window(self.max_length, self.overlap)
        if len(set(self.labels)) < len(self.labels):
            raise ConfigError(f"labels must be distinct, got {list(self.labels)}")
        if self.positive_weight <= 0:
            raise ConfigError(f"positive_weight must be above 0, got {self.positive_weight}")
        lonely = [label for label in self.labels if other_strand(label) not in self.labels]
        if self.strands == "both" and lonely:
            raise ConfigError(
                f"strands 'both' needs labels of both strands; {lonely[0]!r} has no {other_strand(lonely[0])!r}"
            )

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        return TokenClassifier(config, num_labels=len(self.labels))

    def encode(self, record: Record, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:
        """See `Task`. A token has a label when at least half of it lies in a span of that label."""
        windows = token_windows(
            record,
            tokenizer,
            max_length=self.max_length,
            overlap=self.overlap,
            strands=self.strands if purpose == "predict" else "given",
        )
        nothing = np.zeros((0, len(self.labels)), np.float32)
        shares = self._shares(record) if purpose == "train" else None
        examples = []
        for window in windows:
            targets, weights = (nothing, nothing) if shares is None else self._targets(window, shares)
            examples.append(Example(index, *window[:3], targets, weights, window.is_reversed))
        return examples

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`. Targets: [tokens of all examples, labels]."""
        return packed(examples, block_size=block_size)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Binary cross-entropy over all tokens and labels whose truth is known."""
        logits = batch.layout.unpack(model(batch.token_ids, batch.layout)).float()
        each = F.binary_cross_entropy_with_logits(
            logits, batch.targets, reduction="none", pos_weight=logits.new_tensor(self.positive_weight)
        )
        return Loss((each * batch.weights).sum(), batch.weights.sum())

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[TokenLabels]:
        """See `Task`."""
        logits = [row for batch in in_batches(examples) for row in self._logits(model, batch, block_size)]
        pairs = zip(examples, logits, strict=True)
        return [self._merged(list(windows)) for _, windows in groupby(pairs, key=lambda pair: pair[0].record)]

    def score(self, predictions: Sequence[TokenLabels], records: Sequence[Record]) -> dict[str, Estimate]:
        """Does a record hold the label (AUROC, average precision of its best place), and where (median distance)."""
        if not any(record.spans for record in records):
            raise DataError(
                f"none of the {len(records)} records has a labelled span, so there is nothing to score; give records "
                f"with a column spans"
            )
        scores = {}
        for column, label in enumerate(self.labels):
            best = np.array([prediction.probabilities[:, column].max() for prediction in predictions], np.float64)
            spans = [[span for span in record.spans if span.label == label] for record in records]
            holds = np.array([bool(found) for found in spans])
            scores[f"auroc/{label}"] = metrics.bootstrap(metrics.auroc, holds, best)
            scores[f"average_precision/{label}"] = metrics.bootstrap(metrics.average_precision, holds, best)
            distances = np.array(
                [
                    min(
                        abs(prediction.probabilities[:, column].argmax() - (span.start + span.end) / 2)
                        for span in found
                    )
                    for prediction, found in zip(predictions, spans, strict=True)
                    if found
                ]
            )
            if len(distances):
                scores[f"median_distance/{label}"] = metrics.bootstrap(_median, distances)
        return scores

    def _shares(self, record: Record) -> NDArray[np.float64]:
        """Cumulative counts of labelled and of ignored characters: [characters + 1, labels + 1]."""
        length = len(record.sequence)
        marks = np.zeros((length + 1, len(self.labels) + 1), np.float64)
        for start, end, label in record.spans:
            if label not in self.labels:
                raise DataError(f"record {record.name!r} has a span {label!r}; it must be one of {list(self.labels)}")
            marks[1 + max(start, 0) : 1 + min(end, length), self.labels.index(label)] = 1
        for start, end in record.ignored:
            marks[1 + max(start, 0) : 1 + min(end, length), -1] = 1
        return marks.cumsum(0)

    def _targets(
        self, window: TokenWindow, shares: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        widths = np.maximum(window.ends - window.starts, 1)[:, None]
        share = (shares[window.ends] - shares[window.starts]) / widths
        targets = (share[:, :-1] >= 0.5).astype(np.float32)
        is_known = (share[:, -1:] == 0) | targets.any(1, keepdims=True)
        is_known[[0, -1]] = False  # [CLS] and [SEP] stand for nothing
        return targets, np.broadcast_to(is_known, targets.shape).astype(np.float32)

    def _logits(self, model: nn.Module, examples: Sequence[Example], block_size: int) -> list[NDArray[np.float32]]:
        batch = self.collate(examples, block_size=block_size).to(device_of(model))
        rows = batch.layout.unpack(model(batch.token_ids, batch.layout)).float().cpu().numpy()
        return np.split(rows, np.cumsum([len(example.token_ids) for example in examples])[:-1])

    def _merged(self, windows: Sequence[tuple[Example, NDArray[np.float32]]]) -> TokenLabels:
        """Average the windows of one record, character by character."""
        length = max(int(example.ends.max()) for example, _ in windows)
        total = np.zeros((length, len(self.labels)), np.float32)
        weight = np.zeros((length, 1), np.float32)
        swapped = [self.labels.index(other_strand(label)) for label in self.labels] if self.strands == "both" else []
        for example, logits in windows:
            starts, ends, values = example.starts[1:-1], example.ends[1:-1], logits[1:-1]
            reach = np.minimum(np.arange(len(starts)), np.arange(len(starts))[::-1]) + 1  # tokens to the nearer edge
            if example.is_reversed:
                starts, ends, values, reach = starts[::-1], ends[::-1], values[::-1][:, swapped], reach[::-1]
            widths = ends - starts
            place = slice(int(starts[0]), int(ends[-1]))
            trust = np.repeat(reach.astype(np.float32), widths)[:, None]
            total[place] += np.repeat(values, widths, axis=0) * trust
            weight[place] += trust
        return TokenLabels(1 / (1 + np.exp(-total / weight)))


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values))
