"""Labels for every bin of a sequence: any number of them, as chromatin profiles have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import BinClassifier
from bigbird.tasks.base import Batch, Example, Loss, Purpose, device_of, in_batches, packed
from bigbird.tasks.bins import BinTruth, bin_truth
from bigbird.tasks.calibration import calibrated, check_calibration
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.ranking import estimates, ranking
from bigbird.tasks.windows import Strands, TokenWindow, check_window, columns_of_other_strand, token_windows
from bigbird.tokenizers import Tokenizer

_NOT_READ = np.float32(-30.0)  # log odds of a bin at a record's end that no token stands for, as it is all N


class BinLabels(NamedTuple):
    """What the model says of one record.

    probabilities  float32 [bins, labels]
    first          base of the record where the first bin begins, counted from 0
    bin_bp         bases per bin
    """

    probabilities: NDArray[np.float32]
    first: int
    bin_bp: int


@dataclass(frozen=True, kw_only=True)
class BinClassification:
    """Which labels each bin of a sequence has, independent of each other.

        |context| bin | bin | bin | … | bin |context|       a record; its length is a multiple of bin_bp

    labels           in the order of the model's outputs; a run fills () with those of its training records
    bin_bp           bases per bin, counted from the record's start
    context_bp       bases at either end of a record that are read, but neither learned, predicted nor scored
    positive_weight  how much more a bin that has a label counts in the loss than one that has not
    max_length       tokens per window; a longer record is cut into overlapping windows
    overlap          tokens neighbouring windows share; where they overlap the one that sees further counts more. A bin
                     that no window holds whole is not learned
    strands          "both": predictions average the logits of both strands; of two labels such as "start+" and
                     "start-", each is read off the other's output there
    calibration      (scale, offset) of every label's logits, see `bigbird calibrate`: predictions alone have them. ()
                     for none
    """

    labels: tuple[str, ...]
    bin_bp: int = 200
    context_bp: int = 0
    positive_weight: float = 1.0
    max_length: int = 4096
    overlap: int = 256
    strands: Strands = "given"
    calibration: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        check_window(self.max_length, self.overlap)
        if len(set(self.labels)) < len(self.labels):
            raise ConfigError(f"labels must be distinct, got {list(self.labels)}")
        check_calibration(self.calibration, len(self.labels))
        if not 0 < self.positive_weight < float("inf"):
            raise ConfigError(f"positive_weight must be above 0, got {self.positive_weight}")
        if self.bin_bp < 1 or self.context_bp < 0 or self.context_bp % self.bin_bp:
            raise ConfigError(
                f"bin_bp must be at least 1 and context_bp a multiple of it, 0 or more, got bin_bp {self.bin_bp} and "
                f"context_bp {self.context_bp}"
            )

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        return BinClassifier(config, num_labels=len(self.labels))

    def encode(self, record: Record, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:
        """See `Task`. A token belongs to the bin of its middle; windows of nothing but context are left out."""
        if tokenizer.max_letters > self.bin_bp:
            raise ConfigError(
                f"a token may have {tokenizer.max_letters} bases, so a bin of {self.bin_bp} may have none; set "
                f"task.bin_bp to {tokenizer.max_letters} or more"
            )
        num_bins = self.num_bins(record)
        truth = self.truth(record) if purpose == "train" else None
        windows = token_windows(
            record,
            tokenizer,
            max_length=self.max_length,
            overlap=self.overlap,
            strands=self.strands if purpose == "predict" else "given",
        )
        read = [(window, self._bins(window, num_bins, len(record.sequence))) for window in windows]
        inside = [(window, bins) for window, bins in read if (bins >= 0).any()]
        if not inside:  # one run of N, which a token in the context stands for; still a record needs an answer
            inside = read[:1]
            inside[0][1][1] = 0
        examples = []
        for window, bins in inside:
            targets, weights = self._targets(window, bins, truth)
            examples.append(Example(index, *window[:3], targets, weights, window.is_reversed, bins=bins))
        return examples

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`. Targets: [bins of all examples, labels]."""
        return packed(examples, block_size=block_size)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Binary cross-entropy over all bins and labels whose truth is known."""
        logits = model(batch.token_ids, batch.layout, batch.bins).float()
        each = F.binary_cross_entropy_with_logits(
            logits, batch.targets, reduction="none", pos_weight=logits.new_tensor(self.positive_weight)
        )
        return Loss((each * batch.weights).sum(), batch.weights.sum())

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[BinLabels]:
        """See `Task`."""
        logits = [rows for batch in in_batches(examples) for rows in self._logits(model, batch, block_size)]
        pairs = zip(examples, logits, strict=True)
        return [self._merged(list(windows)) for _, windows in groupby(pairs, key=lambda pair: pair[0].record)]

    def score(self, predictions: Sequence[BinLabels], records: Sequence[Record]) -> dict[str, Estimate]:
        """AUROC, average precision and prevalence of every label over the bins of all records, and their means.

        Intervals are of chunks of neighbouring bins drawn again, see `ranking`: give records in the genome's order.
        """
        return estimates(self.labels, ranking(*self.compared(predictions, records)))

    def compared(
        self, predictions: Sequence[BinLabels], records: Sequence[Record]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Truth and probabilities of the bins of all records whose truth is known, [bins, labels] each."""
        truths = [self.truth(record) for record in records]
        is_known = np.concatenate([truth.is_known for truth in truths])
        truth = np.concatenate([truth.targets for truth in truths])[is_known]
        if not truth.any():
            raise DataError(
                f"no bin of the {len(records)} records has a label, so there is nothing to score; give records with "
                f"spans, and check that they lie on the same genome"
            )
        return truth, np.concatenate([prediction.probabilities for prediction in predictions])[is_known]

    def num_bins(self, record: Record) -> int:
        """Bins of a record without its context; raises unless it consists of whole bins."""
        length = len(record.sequence)
        if length % self.bin_bp or length <= 2 * self.context_bp:
            raise DataError(
                f"record {record.name!r} has {length:,} bases; it must be a multiple of the {self.bin_bp} of a bin, "
                f"so that both strands have the same bins, and more than the {2 * self.context_bp:,} of context. Cut "
                f"it, or fill it up with N"
            )
        return (length - 2 * self.context_bp) // self.bin_bp

    def truth(self, record: Record) -> BinTruth:
        """Which bins have which labels, and of which that is known."""
        self.num_bins(record)
        return bin_truth(record, self.labels, bin_bp=self.bin_bp, context_bp=self.context_bp)

    def _bins(self, window: TokenWindow, num_bins: int, length: int) -> NDArray[np.int64]:
        """The bin of each token, in reading direction: int64 [tokens], -1 for context, [CLS] and [SEP]."""
        twice = window.starts + window.ends  # of the middle
        twice = 2 * length - twice if window.is_reversed else twice
        bins = (twice - 2 * self.context_bp) // (2 * self.bin_bp)
        bins[(bins < 0) | (bins >= num_bins)] = -1
        bins[[0, -1]] = -1
        return bins

    def _targets(
        self, window: TokenWindow, bins: NDArray[np.int64], truth: BinTruth | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of the window's bins; those it does not hold whole weigh nothing. Windows of the given strand only."""
        if truth is None:
            return np.zeros((0, len(self.labels)), np.float32), np.zeros((0, len(self.labels)), np.float32)
        inside = bins[bins >= 0]
        numbers = np.arange(inside[0], inside[-1] + 1)
        edges = self.context_bp + numbers * self.bin_bp
        is_whole = (edges >= window.starts[1]) & (edges + self.bin_bp <= window.ends[-2])
        targets = truth.targets[numbers].astype(np.float32)
        weights = (truth.is_known[numbers] & is_whole).astype(np.float32)[:, None]
        return targets, np.broadcast_to(weights, targets.shape)

    def _logits(self, model: nn.Module, examples: Sequence[Example], block_size: int) -> list[NDArray[np.float32]]:
        batch = self.collate(examples, block_size=block_size).to(device_of(model))
        rows = model(batch.token_ids, batch.layout, batch.bins).float().cpu().numpy()
        return np.split(rows, np.cumsum([_num_bins_of(example) for example in examples])[:-1])

    def _merged(self, windows: Sequence[tuple[Example, NDArray[np.float32]]]) -> BinLabels:
        """Average the windows of one record, bin by bin: those of each strand, then the strands."""
        length = max(int(example.ends.max()) for example, _ in windows)
        num_bins = (length - 2 * self.context_bp) // self.bin_bp
        strands = []
        for is_reversed in (False, True):
            own = [(example, logits) for example, logits in windows if example.is_reversed == is_reversed]
            if own:
                mean = _mean_of_windows(own, num_bins)
                strands.append(mean[::-1, columns_of_other_strand(self.labels)] if is_reversed else mean)
        logits: NDArray[np.float32] = np.sum(strands, axis=0) / np.float32(len(strands))
        logits = calibrated(logits, self.calibration)
        return BinLabels((1 / (1 + np.exp(-logits))).astype(np.float32), self.context_bp, self.bin_bp)


def _num_bins_of(example: Example) -> int:
    assert example.bins is not None
    inside = example.bins[example.bins >= 0]
    return int(inside[-1] - inside[0]) + 1


def _mean_of_windows(windows: Sequence[tuple[Example, NDArray[np.float32]]], num_bins: int) -> NDArray[np.float32]:
    """Logits of all bins in reading direction; a window counts by how far a bin's tokens are from its nearer edge."""
    total = np.zeros((num_bins, windows[0][1].shape[1]), np.float32)
    weight = np.zeros((num_bins, 1), np.float32)
    for example, logits in windows:
        assert example.bins is not None
        inside = np.flatnonzero(example.bins >= 0)
        numbers = example.bins[inside]
        reach = np.minimum(inside, len(example.bins) - 1 - inside)  # tokens to the nearer edge, counted from 1
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        trust = np.ones((len(logits), 1), np.float32)  # a bin within a run of N may have no token
        trust[numbers[starts] - numbers[0], 0] = np.minimum.reduceat(reach, starts)
        place = slice(int(numbers[0]), int(numbers[0]) + len(logits))
        total[place] += logits * trust
        weight[place] += trust
    return np.where(weight > 0, total / np.maximum(weight, 1), _NOT_READ)
