"""What a run's own task, precision and attention keep in memory, counted on a few records.

Every tensor alive at the worst moment counts, with one layer and with two. Layers are alike and the rows of a batch do
not see each other, so memory grows in straight lines with both, and these carry the count to the run's full size. The
count costs less than a step of the run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from bigbird.checkpoint import LoadedModel
from bigbird.data.sources import RecordSource, shuffled
from bigbird.tasks import Batch
from bigbird.tasks.base import Example, device_of
from bigbird.training.block_options import apply_block_options
from bigbird.training.live_tensors import LiveTensors
from bigbird.training.settings import TrainingConfig
from bigbird.training.step import seeded

_PROBED_TOKENS, _MOST_PROBED = 1024, 4096  # enough for what does not grow with tokens to be the smaller part


class Line(NamedTuple):
    """Bytes over tokens: at + slope * tokens."""

    at: float
    slope: float

    def __call__(self, tokens: float) -> float:
        """Bytes, never below 0."""
        return max(0.0, self.at + self.slope * tokens)

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> Line:
        """The line through the first and the last of (tokens, bytes); level when these are as many tokens."""
        (x, y), (other_x, other_y) = points[0], points[-1]
        slope = (other_y - y) / (other_x - x) if other_x != x else 0.0
        return cls(y - slope * x, slope)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Bytes at the worst moment of a micro-batch, beside weights and gradients, over tokens.

    one_layer, two_layers  of learning, forward and backward
    scoring                of an evaluation, which keeps nothing, so that layers do not matter
    is_recomputed          activations are computed again in the backward pass
    """

    one_layer: Line
    two_layers: Line
    scoring: Line
    is_recomputed: bool

    def learning(self, tokens: float, *, num_layers: int) -> float:
        """Bytes of a micro-batch of that many tokens in a model of that many layers."""
        first = self.one_layer(tokens)
        return first + (num_layers - 1) * (self.two_layers(tokens) - first)


def count(loaded: LoadedModel, config: TrainingConfig, source: RecordSource, *, num_tokens: int) -> Counted:
    """Compute a few of the run's tokens with one and two layers of its model, and count.

    num_tokens  of a micro-batch of the run; never more than these are computed for learning, nor more of a long record
                than _MOST_PROBED: what is counted must not itself run out of memory
    """
    some = min(_MOST_PROBED, max(_PROBED_TOKENS, num_tokens // config.micro_batch_size))
    learning = [_first(loaded, config, source, n) for n in (min(some, num_tokens // 2), min(2 * some, num_tokens))]
    models = [_model(loaded, config, num_layers) for num_layers in (1, 2)]
    one, two = (
        Line.through([(_tokens_of(b), _learning(loaded, config, model, b)) for b in learning]) for model in models
    )
    # An evaluation fills its batches whatever the run's micro-batch is.
    scoring = [_first(loaded, config, source, n) for n in (some, 2 * some)]
    scored = Line.through([(_tokens_of(b), _scoring(loaded, models[0], b)) for b in scoring])
    return Counted(one_layer=one, two_layers=two, scoring=scored, is_recomputed=config.checkpoint_activations)


def _first(loaded: LoadedModel, config: TrainingConfig, source: RecordSource, num_tokens: int) -> Batch:
    """The first tokens of the run's records, that many and at least one, as one micro-batch."""
    examples: list[Example] = []
    for place in itertools.count():
        record = shuffled(source, place, seed=config.seed)
        examples += loaded.task.encode(record, loaded.tokenizer, purpose="train")
        if sum(len(example.token_ids) for example in examples) >= num_tokens:
            break
    begun: list[Example] = []
    for example in examples:
        begun.append(_begin_of(example, max(1, num_tokens)))
        num_tokens -= len(example.token_ids)
        if num_tokens <= 0:
            break
    return loaded.task.collate(begun, block_size=loaded.encoder.pattern.block_size)


def _begin_of(example: Example, num_tokens: int) -> Example:
    """The first tokens of an example; a target for the whole of it stays."""
    length = len(example.token_ids)
    whole: dict[str, Any] = {name: x for name, x in example._asdict().items() if isinstance(x, np.ndarray)}
    return example._replace(**{name: part[:num_tokens] for name, part in whole.items() if len(part) == length})


def _tokens_of(batch: Batch) -> int:
    """Places, filling included."""
    return batch.layout.total_length


def _model(loaded: LoadedModel, config: TrainingConfig, num_layers: int) -> nn.Module:
    """The run's model with fewer layers and new weights, and with gradients, as from a step's second micro-batch on."""
    with seeded(0, device=torch.device("cpu")):
        model = loaded.task.build_model(replace(loaded.encoder, num_layers=num_layers))
    model.to(device_of(loaded.model)).train()
    apply_block_options(model, checkpoint_activations=config.checkpoint_activations, compile_layers=False)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return model


def _learning(loaded: LoadedModel, config: TrainingConfig, model: nn.Module, batch: Batch) -> int:
    device = device_of(model)
    half = torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bfloat16")

    def learn() -> None:
        with seeded(0, device=device), half:
            loss = loaded.task.loss(model, batch.to(device))
        loss.total.backward()

    return _peak(learn)


def _scoring(loaded: LoadedModel, model: nn.Module, batch: Batch) -> int:
    def score() -> None:
        with torch.inference_mode():
            loaded.task.loss(model, batch.to(device_of(model)))

    model.eval()
    return _peak(score)


def _peak(call: Callable[[], None]) -> int:
    live = LiveTensors()
    with live:
        call()
    return live.peak
