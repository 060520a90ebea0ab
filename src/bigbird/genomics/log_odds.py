"""The log odds of each label at a place of a sequence, as tensors: what explanations are about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from bigbird.attention import DocumentLayout
from bigbird.checkpoint import LoadedModel
from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.tasks import BinClassification, Classification, Example, TokenClassification
from bigbird.tasks.base import Batch, device_of
from bigbird.tasks.windows import columns_of_other_strand

_Rows = Callable[[LoadedModel, Batch, Sequence[Example], Sequence[int]], tuple[Tensor, list[float]]]


class Reader:
    """Reads a model's answers where they are wanted.

        reader = Reader(loaded)
        reader.log_odds(*reader.prepared(["ACGT…", …], places=[120, …]))     [sequences, labels]

    Both strands are averaged where the model's predictions average them, so that the sigmoid of the log odds is the
    probability that `Predictor` gives. Of labels of which one alone is right ("one") they are the odds against all
    others together.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        if type(loaded.task) not in _ROWS:
            name = type(loaded.task).__name__
            raise ConfigError(f"explaining needs a model with labels; the task of this one, {name}, has none")
        self._turned = columns_of_other_strand(loaded.task.labels)

    def prepared(self, sequences: Sequence[str], places: Sequence[int]) -> tuple[Batch, list[Example], Sequence[int]]:
        """The sequences packed into one row, and what is read of it."""
        task, tokenizer = self._loaded.task, self._loaded.tokenizer
        examples = [
            example
            for index, sequence in enumerate(sequences)
            for example in task.encode(Record(sequence=sequence), tokenizer, index=index, purpose="predict")
        ]
        batch = task.collate(examples, block_size=self._loaded.encoder.pattern.block_size)
        return batch.to(device_of(self._loaded.model)), examples, places

    def log_odds(self, batch: Batch, examples: Sequence[Example], places: Sequence[int]) -> Tensor:
        """float32 [sequences, labels], differentiable where gradients are on."""
        task = self._loaded.task
        rows, trust = _ROWS[type(task)](self._loaded, batch, examples, [places[e.record] for e in examples])
        weights = rows.new_tensor(trust, dtype=torch.float32)[:, None]
        own = [row[self._turned] if e.is_reversed else row for row, e in zip(rows.float(), examples, strict=True)]
        weighted = torch.stack(own) * weights
        records = torch.tensor([example.record for example in examples], device=rows.device)
        logits = torch.stack(
            [weighted[records == index].sum(0) / weights[records == index].sum() for index in range(len(places))]
        )
        if isinstance(task, BinClassification | Classification) and task.calibration:
            scales, offsets = logits.new_tensor(task.calibration).T
            logits = logits * scales + offsets
        return _against_others(logits) if isinstance(task, Classification) and task.answer == "one" else logits


def _of_documents(
    loaded: LoadedModel, batch: Batch, examples: Sequence[Example], _places: Sequence[int]
) -> tuple[Tensor, list[float]]:
    rows: Tensor = loaded.model(batch.token_ids, batch.layout)
    return rows, [1.0] * len(examples)


def _of_tokens(
    loaded: LoadedModel, batch: Batch, examples: Sequence[Example], places: Sequence[int]
) -> tuple[Tensor, list[float]]:
    """The logits of the token that stands for the place, in each example, and how far it lies from the nearer edge.

    By that predictions weigh windows and strands; 0 where an example does not hold the place.
    """
    assert isinstance(batch.layout, DocumentLayout)
    tokens: list[int] = []
    trust: list[float] = []
    for start, example, place in zip(batch.layout.starts, examples, places, strict=True):
        holds = (example.starts <= place) & (place < example.ends)
        token = int(holds.argmax())
        tokens.append(start + token)
        trust.append(min(token, len(holds) - 1 - token) if holds.any() else 0)
    logits: Tensor = loaded.model(batch.token_ids, batch.layout)
    return logits[torch.tensor(tokens, device=logits.device)], trust


def _of_bins(
    loaded: LoadedModel, batch: Batch, examples: Sequence[Example], places: Sequence[int]
) -> tuple[Tensor, list[float]]:
    """The logits of the bin that holds the place, in each example; both strands count alike."""
    task = loaded.task
    assert isinstance(task, BinClassification)
    lengths = {example.record: 0 for example in examples}
    for example in examples:
        lengths[example.record] = max(lengths[example.record], int(example.ends.max()))
    rows: list[int] = []
    reach: list[int] = []
    offset = 0
    for example, place in zip(examples, places, strict=True):
        assert example.bins is not None
        read = lengths[example.record] - 1 - place if example.is_reversed else place
        number = (read - task.context_bp) // task.bin_bp
        inside, holds = np.flatnonzero(example.bins >= 0), np.flatnonzero(example.bins == number)
        first, last = example.bins[inside[0]], example.bins[inside[-1]]
        rows.append(offset + int(np.clip(number - first, 0, last - first)))
        reach.append(int(np.minimum(holds, len(example.bins) - 1 - holds).min()) if len(holds) else 0)
        offset += int(last - first) + 1
    strands = [(example.record, example.is_reversed) for example in examples]
    totals = {strand: sum(r for r, s in zip(reach, strands, strict=True) if s == strand) for strand in set(strands)}
    if not all(totals.values()):
        raise ConfigError(
            f"the score cannot be read there: the model has no answer for the {task.context_bp:,} bases at either end "
            f"of what it reads. Give a longer --window, or another place."
        )
    logits: Tensor = loaded.model(batch.token_ids, batch.layout, batch.bins)
    return logits[torch.tensor(rows, device=logits.device)], [
        r / totals[s] for r, s in zip(reach, strands, strict=True)
    ]


_ROWS: Mapping[type, _Rows] = {
    BinClassification: _of_bins,
    Classification: _of_documents,
    TokenClassification: _of_tokens,
}


def _against_others(logits: Tensor) -> Tensor:
    """Log odds of each label against all others: logit - log of the sum of the others' exponentials."""
    hidden = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    others = logits[:, None].expand(-1, logits.shape[1], -1).masked_fill(hidden, float("-inf"))
    return logits - others.logsumexp(2)
