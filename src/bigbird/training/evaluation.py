"""One pass over labelled records: the loss and the task's metrics, and which of two values is better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch

from bigbird.checkpoint import LoadedModel
from bigbird.errors import ConfigError
from bigbird.tasks import Estimate, MaskedLM
from bigbird.tasks.base import Item, device_of, in_batches
from bigbird.tasks.metrics import LOWER_IS_BETTER
from bigbird.tasks.prediction import predictions
from bigbird.training.distributed import ALONE, Ranks


def evaluate(loaded: LoadedModel, records: Sequence[Item], ranks: Ranks = ALONE) -> dict[str, Estimate]:
    """Metrics with 95 % intervals, and the mean "loss" per target (without an interval).

    Each process computes every so manieth record; all of them then have, and score, the answers of all. What a masked
    model predicts holds its loss too, so that one pass is enough.
    """
    task, block_size = loaded.task, loaded.encoder.pattern.block_size
    share = _Share(records, ranks)
    own = predictions(share, model=loaded.model, task=task, tokenizer=loaded.tokenizer, block_size=block_size)
    answers = ranks.gathered(list(own))
    loss = task.mean_loss(answers) if isinstance(task, MaskedLM) else mean_loss(loaded, share, ranks)
    return {"loss": Estimate(loss, math.nan, math.nan), **task.score(answers, records)}


class _Share:
    """The records of a process, each read when it is its turn: a file may hold more than memory does."""

    def __init__(self, records: Sequence[Item], ranks: Ranks) -> None:
        self._records, self._places = records, range(ranks.rank, len(records), ranks.count)

    def __iter__(self) -> Iterator[Item]:
        return (self._records[place] for place in self._places)


def mean_loss(loaded: LoadedModel, records: Iterable[Item], ranks: Ranks = ALONE) -> float:
    """The training loss, without dropout, on the records of all processes; `records` are this one's."""
    model, task, total, count = loaded.model, loaded.task, 0.0, 0.0
    examples = (e for record in records for e in task.encode(record, loaded.tokenizer, purpose="train"))
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for some in in_batches(examples):
            batch = task.collate(some, block_size=loaded.encoder.pattern.block_size).to(device_of(model))
            loss = task.loss(model, batch)
            total, count = total + float(loss.total), count + float(loss.num_targets)
    model.train(was_training)
    total, count = ranks.summed(total, count)
    return total / count if count else math.nan


def check_watched(metric: str, scores: Mapping[str, Estimate]) -> None:
    """Raise unless `metric`, which a run watches, is one of the untrained model's scores and has a value."""
    if metric not in scores:
        raise ConfigError(f"training.watch must be one of {', '.join(scores)}, got {metric!r}")
    value = scores[metric].value
    if not math.isfinite(value):
        usable = [name for name, score in scores.items() if math.isfinite(score.value)]
        raise ConfigError(
            f"training.watch is {metric!r}, which is {value} for these validation records, so no model could be the "
            f"best. Ranking metrics have no value when all records carry the same label, a loss has none when nothing "
            f"is labelled. Validate on other records, or watch another metric: {', '.join(usable) or 'none has one'}"
        )


def is_better(value: float, best: float, *, metric: str) -> bool:
    """True when `value` beats the best so far; NaN and infinity never do."""
    if not math.isfinite(value):
        return False
    return value < best if metric.partition("/")[0] in LOWER_IS_BETTER else value > best
