"""One pass over labelled records: the loss and the task's metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from bigbird.checkpoint import LoadedModel
from bigbird.data.records import Record
from bigbird.tasks import Estimate
from bigbird.tasks.base import device_of, in_batches
from bigbird.tasks.prediction import predictions


def evaluate(loaded: LoadedModel, records: Sequence[Record]) -> dict[str, Estimate]:
    """Metrics with 95 % intervals, and the mean "loss" per target (without an interval)."""
    block_size = loaded.encoder.pattern.block_size
    answers = list(
        predictions(records, model=loaded.model, task=loaded.task, tokenizer=loaded.tokenizer, block_size=block_size)
    )
    loss = mean_loss(loaded, records)
    return {"loss": Estimate(loss, math.nan, math.nan), **loaded.task.score(answers, records)}


def mean_loss(loaded: LoadedModel, records: Sequence[Record]) -> float:
    """The training loss on these records, without dropout."""
    model, task, total, count = loaded.model, loaded.task, 0.0, 0.0
    examples = [e for record in records for e in task.encode(record, loaded.tokenizer, purpose="train")]
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for some in in_batches(examples):
            batch = task.collate(some, block_size=loaded.encoder.pattern.block_size).to(device_of(model))
            loss = task.loss(model, batch)
            total, count = total + float(loss.total), count + float(loss.num_targets)
    model.train(was_training)
    return total / count if count else math.nan
