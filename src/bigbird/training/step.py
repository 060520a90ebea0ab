"""One optimizer step over its micro-batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn

from bigbird import randomness
from bigbird.checkpoint import LoadedModel
from bigbird.tasks import Batch
from bigbird.tasks.base import device_of
from bigbird.training.loss_watch import is_usable
from bigbird.training.optimizer import build_optimizer, learning_rate_factor
from bigbird.training.settings import TrainingConfig


class StepResult(NamedTuple):
    """What a step came to. `loss` is the mean over its targets; `gradient_norm` is before clipping."""

    loss: float
    gradient_norm: float
    num_tokens: int


class Learner:
    """The model, its optimizer, and how one step changes them."""

    def __init__(self, loaded: LoadedModel, config: TrainingConfig) -> None:
        self.loaded, self.config = loaded, config
        self.optimizer = build_optimizer(
            loaded.model,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=config.betas,
        )

    def step(self, step: int, batches: Sequence[Batch]) -> StepResult:
        """Step number `step`, counted from 0; weights stay as they are when loss or gradient is not finite."""
        config, model = self.config, self.loaded.model
        self._set_learning_rate(step)
        model.train()
        self.optimizer.zero_grad()
        total, num_targets = self._accumulate(step, batches)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad /= max(num_targets, 1.0)
        norm = float(nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm))
        loss = total / max(num_targets, 1.0)
        if is_usable(loss, norm):
            self.optimizer.step()
        return StepResult(loss, norm, sum(sum(b.layout.lengths) for b in batches))

    def _accumulate(self, step: int, batches: Sequence[Batch]) -> tuple[float, float]:
        """Add up the gradients of the micro-batches; returns their summed loss and number of targets."""
        device = device_of(self.loaded.model)
        total, num_targets = 0.0, 0.0
        for number, batch in enumerate(batches):
            with seeded(self.config.seed, step, number, device=device), self._autocast(device):
                loss = self.loaded.task.loss(self.loaded.model, batch.to(device))
            loss.total.backward()
            total, num_targets = total + float(loss.total.detach()), num_targets + float(loss.num_targets)
        return total, num_targets

    def _set_learning_rate(self, step: int) -> None:
        config = self.config
        factor = learning_rate_factor(
            step, num_steps=config.num_steps, warmup_steps=config.warmup_steps, schedule=config.schedule
        )
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * factor

    def _autocast(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bfloat16")


@contextmanager
def seeded(*key: int, device: torch.device) -> Iterator[None]:
    """PyTorch's generator depends on `key` inside, and stands where it stood afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(randomness.derived_seed(*key))
        yield
