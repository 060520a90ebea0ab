"""Records through a model, a few at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import nn

from bigbird.tasks.base import Item, Prediction, Task
from bigbird.tokenizers import Tokenizer

RECORDS_AT_ONCE = 16


def predictions(
    records: Iterable[Item], *, model: nn.Module, task: Task, tokenizer: Tokenizer, block_size: int
) -> Iterator[Prediction]:
    """One prediction per record, in order. The model is used as in evaluation and left in the mode it had."""
    remaining = iter(records)
    while some := list(islice(remaining, RECORDS_AT_ONCE)):
        examples = [
            example
            for index, record in enumerate(some)
            for example in task.encode(record, tokenizer, index=index, purpose="predict")
        ]
        was_training = model.training
        model.eval()
        try:
            with torch.inference_mode():
                answers = task.predict(model, examples, block_size=block_size)
        finally:
            model.train(was_training)
        yield from answers
