"""Labels for whole sequences: exactly one of several, or any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import SequenceClassifier
from bigbird.tasks import metrics
from bigbird.tasks.base import Batch, Example, Loss, Purpose, device_of, in_batches, packed
from bigbird.tasks.calibration import calibrated, check_calibration
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.ranking import estimates, ranking
from bigbird.tasks.windows import Strands, check_window, columns_of_other_strand, token_windows
from bigbird.tokenizers import Tokenizer


class SequenceLabels(NamedTuple):
    """What the model says of one record.

    labels         the likeliest label, or every label with a probability of at least 0.5
    probabilities  of all labels, in the task's order; they sum to 1 when there is exactly one label
    """

    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Which label, or which labels, a sequence has.

    labels      all labels, in the order of the model's outputs; a run fills () with those of its training records
    answer      "one": each record has exactly one (softmax);  "many": any number (one sigmoid each)
    positive_weight  of answer "many": how much more a label that a record has counts in the loss than one it has not
    max_length  tokens per window; a longer record is cut into windows whose logits are averaged
    overlap     tokens neighbouring windows share
    strands     "both": predictions average the logits of a DNA sequence and its reverse complement; of two labels such
                as "start+" and "start-", each is read off the other's output there
    calibration  of answer "many": (scale, offset) of every label's logits, see `bigbird calibrate`: predictions alone
                have them. () for none
    """

    labels: tuple[str, ...]
    answer: Literal["one", "many"] = "one"
    positive_weight: float = 1.0
    max_length: int = 4096
    overlap: int = 64
    strands: Strands = "given"
    calibration: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        check_window(self.max_length, self.overlap)
        if len(set(self.labels)) < len(self.labels) or (self.answer == "one" and len(self.labels) == 1):
            raise ConfigError(
                f"labels must be distinct, and at least two when each record has exactly one, got {list(self.labels)}"
            )

        check_calibration(self.calibration, len(self.labels) if self.answer == "many" else 0)
        if not 0 < self.positive_weight < float("inf") or (self.answer == "one" and self.positive_weight != 1):
            raise ConfigError(
                f"positive_weight must be above 0, and 1 when each record has exactly one label, got "
                f"{self.positive_weight} with answer {self.answer!r}"
            )

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        return SequenceClassifier(config, num_labels=len(self.labels))

    def encode(self, record: Record, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:
        """See `Task`. In training each window is an example with the record's labels."""
        targets = self._targets(record) if purpose == "train" else np.zeros(0, np.float32)
        windows = token_windows(
            record,
            tokenizer,
            max_length=self.max_length,
            overlap=self.overlap,
            strands=self.strands if purpose == "predict" else "given",
        )
        return [
            Example(
                index,
                window.token_ids,
                window.starts,
                window.ends,
                targets,
                np.ones_like(targets),
                window.is_reversed,
            )
            for window in windows
        ]

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`. Targets: [examples * labels]."""
        return packed(examples, block_size=block_size)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Cross-entropy per example ("one") or binary cross-entropy per label ("many")."""
        logits = model(batch.token_ids, batch.layout).float()
        targets = batch.targets.view_as(logits)
        if self.answer == "one":
            total = F.cross_entropy(logits, targets, reduction="sum")
            return Loss(total, torch.tensor(len(logits), device=logits.device))
        total = F.binary_cross_entropy_with_logits(
            logits, targets, reduction="sum", pos_weight=logits.new_tensor(self.positive_weight)
        )
        return Loss(total, torch.tensor(logits.numel(), device=logits.device))

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[SequenceLabels]:
        """See `Task`."""
        logits = np.concatenate([self._logits(model, batch, block_size) for batch in in_batches(examples)])
        is_reversed = np.array([example.is_reversed for example in examples])
        logits[is_reversed] = logits[is_reversed][:, columns_of_other_strand(self.labels)]
        records = np.array([example.record for example in examples])
        return [self._prediction(logits[records == record].mean(0)) for record in dict.fromkeys(records)]

    def score(self, predictions: Sequence[SequenceLabels], records: Sequence[Record]) -> dict[str, Estimate]:
        """Of every label AUROC and average precision; beside them, for exactly one label, accuracy, Matthews
        correlation and macro F1, for any number prevalence and means over labels and groups of labels, see `estimates`.
        """
        truth, probabilities = self.compared(predictions, records)
        if self.answer == "many":
            return estimates(self.labels, ranking(truth, probabilities))
        actual, guess = truth.argmax(1), probabilities.argmax(1)
        scores = {
            "accuracy": metrics.bootstrap(metrics.accuracy, actual, guess),
            "matthews": metrics.bootstrap(metrics.matthews, actual, guess),
            "macro_f1": metrics.bootstrap(self._macro_f1, actual, guess),
        }
        for column, label in enumerate(self.labels):
            scores[f"auroc/{label}"] = metrics.bootstrap(metrics.auroc, truth[:, column], probabilities[:, column])
            scores[f"average_precision/{label}"] = metrics.bootstrap(
                metrics.average_precision, truth[:, column], probabilities[:, column]
            )
        return scores

    def compared(
        self, predictions: Sequence[SequenceLabels], records: Sequence[Record]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Truth and probabilities of all records, [records, labels] each."""
        truth = np.stack([self._targets(record) for record in records]) > 0.5
        return truth, np.stack([prediction.probabilities for prediction in predictions])

    def _macro_f1(self, actual: NDArray[np.int64], guess: NDArray[np.int64]) -> float:
        values = [metrics.f1(actual == label, guess == label) for label in range(len(self.labels))]
        return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")

    def _targets(self, record: Record) -> NDArray[np.float32]:
        unknown = [label for label in record.labels if label not in self.labels]
        if unknown or (self.answer == "one" and len(record.labels) != 1):
            allowed = "exactly one" if self.answer == "one" else "any number"
            raise DataError(
                f"record {record.name!r} has the labels {list(record.labels)}; it needs {allowed} of "
                f"{', '.join(self.labels)}"
            )
        return np.array([label in record.labels for label in self.labels], np.float32)

    def _logits(self, model: nn.Module, examples: Sequence[Example], block_size: int) -> NDArray[np.float64]:
        batch = self.collate(examples, block_size=block_size).to(device_of(model))
        logits: NDArray[np.float64] = model(batch.token_ids, batch.layout).double().cpu().numpy()
        return logits

    def _prediction(self, logits: NDArray[np.float64]) -> SequenceLabels:
        if self.answer == "one":
            exponentials = np.exp(logits - logits.max())
            probabilities = exponentials / exponentials.sum()
            return SequenceLabels((self.labels[int(probabilities.argmax())],), probabilities)
        probabilities = 1 / (1 + np.exp(-calibrated(logits, self.calibration)))
        called = tuple(label for label, value in zip(self.labels, probabilities, strict=True) if value >= 0.5)
        return SequenceLabels(called, probabilities)
