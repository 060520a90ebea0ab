"""One optimizer step over its micro-batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch

from bigbird import randomness
from bigbird.checkpoint import LoadedModel
from bigbird.tasks import Batch
from bigbird.tasks.base import device_of
from bigbird.training.distributed import ALONE, Ranks
from bigbird.training.engine import Engine
from bigbird.training.loss_watch import is_usable
from bigbird.training.optimizer import learning_rate_factor
from bigbird.training.settings import TrainingConfig


class StepResult(NamedTuple):
    """What a step came to over all processes. `loss` is the mean over its targets; `gradient_norm` before clipping."""

    loss: float
    gradient_norm: float
    num_tokens: int


class Learner:
    """The model, its optimizer, and how one step changes them."""

    def __init__(self, loaded: LoadedModel, config: TrainingConfig, ranks: Ranks = ALONE) -> None:
        self.loaded, self.config = loaded, config
        self.engine = Engine(loaded.model, config, ranks)

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """That of the weights this process has."""
        return self.engine.optimizer

    def step(self, step: int, batches: Sequence[Batch]) -> StepResult:
        """Step number `step`, counted from 0; weights stay as they are when loss or gradient is not finite.

        batches  this process' micro-batches, see `Batches`
        """
        self._set_learning_rate(step)
        self.loaded.model.train()
        self.optimizer.zero_grad()
        mine = self._accumulate(step, batches)
        num_mine = sum(sum(batch.layout.lengths) for batch in batches) / self.config.context_parallel
        total, num_targets, num_tokens = self.engine.ranks.summed(*mine, num_mine)
        norm = self.engine.finish_gradients(num_targets=num_targets, clip_norm=self.config.clip_norm)
        loss = total / max(num_targets, 1.0)
        self.engine.apply_gradients(is_usable=is_usable(loss, norm))
        return StepResult(loss, norm, round(num_tokens))

    def _accumulate(self, step: int, batches: Sequence[Batch]) -> tuple[float, float]:
        """Add up the gradients of the micro-batches; returns their summed loss and number of targets."""
        device, context = device_of(self.loaded.model), self.engine.context
        total, num_targets = 0.0, 0.0
        for place, batch in enumerate(batches):
            # The number among the micro-batches of all processes: dropout is that of one process computing them all.
            number = context.team + place * context.num_teams
            with self.engine.collecting(is_last=place == len(batches) - 1):
                with seeded(self.config.seed, step, number, device=device), self._autocast(device):
                    loss = self.loaded.task.loss(self.engine.called, context.shard(batch.to(device)))
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
