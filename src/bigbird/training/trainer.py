"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from torch import nn

from bigbird import randomness
from bigbird.checkpoint import LoadedModel, load_model, save_model
from bigbird.data.records import Record
from bigbird.data.sources import RecordSource, shuffled
from bigbird.errors import ConfigError, TrainingFailed
from bigbird.tasks import Batch, Estimate
from bigbird.tasks.base import device_of
from bigbird.training.evaluation import check_watched, evaluate, is_better
from bigbird.training.optimizer import Schedule, build_optimizer, learning_rate_factor
from bigbird.training.reporting import Reporter
from bigbird.training.state import Progress, load_state, save_state

MODEL_FOLDER, STATE_FOLDER = "model", "state"
MAX_SKIPPED_IN_A_ROW = 3
MAX_SEED = 2**63 - 1  # keys of random numbers are int64

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a run learns.

    batch_size        records per optimizer step
    micro_batch_size  records computed at once; gradients of a step's micro-batches add up
    schedule          of the learning rate after the warm-up
    precision         "bfloat16" computes matrix products in it and keeps weights in float32
    evaluate_every    steps between evaluations; one comes before the first step and one after the last
    watch             metric that decides which model is kept: "loss" or one of the task's
    patience          evaluations without improvement after which the run stops; 0 never stops it
    save_every        steps between saved states
    """

    num_steps: int = 1000
    batch_size: int = 16
    micro_batch_size: int = 16
    learning_rate: float = 1e-4
    warmup_steps: int = 0
    schedule: Schedule = "linear"
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = 1.0
    precision: Precision = "float32"
    evaluate_every: int = 100
    watch: str = "loss"
    patience: int = 0
    save_every: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        at_least_one = ("num_steps", "batch_size", "micro_batch_size", "evaluate_every", "save_every")
        for name, least in {**dict.fromkeys(at_least_one, 1), "warmup_steps": 0, "patience": 0}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"training.{name} must be at least {least}, got {getattr(self, name)}")
        if self.batch_size % self.micro_batch_size:
            raise ConfigError(
                f"training.batch_size {self.batch_size} must be a multiple of micro_batch_size {self.micro_batch_size}"
            )
        for name, kind in {"schedule": Schedule, "precision": Precision}.items():
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(
                    f"training.{name} must be one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}"
                )
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in ("learning_rate", "clip_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"training.{name} must be a finite number above 0, got {getattr(self, name)}")
        if not 0 <= self.weight_decay < math.inf:
            raise ConfigError(f"training.weight_decay must be a finite number, 0 or above, got {self.weight_decay}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"training.betas must be two numbers, each in [0, 1), got {list(self.betas)}")
        if not 0 <= self.seed <= MAX_SEED:
            raise ConfigError(f"training.seed must be from 0 to 2**63 - 1, got {self.seed}")


class _StepResult(NamedTuple):
    loss: float
    gradient_norm: float
    num_tokens: int


class Trainer:
    """Trains `loaded.model` in place and keeps the best model in `folder`/model.

    Everything random depends on (seed, step) alone, so a resumed run goes on exactly as if it had not stopped, and
    PyTorch's global generator is left as it was.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        config: TrainingConfig,
        *,
        source: RecordSource,
        validation: Sequence[Record],
        folder: Path,
    ) -> None:
        self.loaded, self.config, self.source = loaded, config, source
        self.validation, self.folder = validation, folder
        self.optimizer = build_optimizer(
            loaded.model,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=config.betas,
        )
        self.progress = Progress()
        self._first_scores: dict[str, Estimate] | None = None

    def begin(self) -> None:
        """Score the model as it is, so that mistakes only this brings to light are found before anything is written."""
        self._first_scores = self._scores()

    def resume(self) -> None:
        """Go on from the newest saved state."""
        self.progress = load_state(self.folder / STATE_FOLDER, self.loaded.model, self.optimizer)

    def run(self, reporter: Reporter) -> LoadedModel:
        """Train to the end and return the best model."""
        config, progress = self.config, self.progress
        if progress.best is None:
            self._judge(self._first_scores or self._scores(), reporter)
            self._save()  # from here on the run can be resumed
        elif progress.step >= config.num_steps:
            reporter.say(f"nothing is left to do: step {progress.step} of {config.num_steps} is done")
        for batches in () if self._is_over() else self._batches():
            self._step(batches, reporter)
            if progress.step == config.num_steps or progress.step % config.evaluate_every == 0:
                self._judge(self._scores(), reporter)
            if self._is_over() or progress.step % config.save_every == 0:
                self._save()
            if self._is_over():
                break
        if self._is_out_of_patience():
            reporter.say(f"stopped after step {progress.step}: no better {config.watch} since {progress.best_step}")
        return load_model(self.folder / MODEL_FOLDER, device=device_of(self.loaded.model))

    def _is_over(self) -> bool:
        return self.progress.step >= self.config.num_steps or self._is_out_of_patience()

    def _is_out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.progress.stale

    def _save(self) -> None:
        save_state(self.folder / STATE_FOLDER, self.progress, self.loaded.model, self.optimizer)

    def _step(self, batches: Sequence[Batch], reporter: Reporter) -> None:
        started = time.perf_counter()
        result = self._learn(batches)
        seconds = time.perf_counter() - started
        self.progress.step += 1
        self.progress.num_tokens += result.num_tokens
        values = {
            "loss": result.loss,
            "gradient_norm": result.gradient_norm,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "tokens_per_second": result.num_tokens / seconds,
            "seconds": seconds,
        }
        reporter.step(self.progress.step, values)
        if math.isfinite(result.gradient_norm):
            self.progress.skipped = 0
        else:
            self._skip(result, reporter)

    def _learn(self, batches: Sequence[Batch]) -> _StepResult:
        """One optimizer step; weights stay as they are when the gradient is not finite."""
        config, model, step = self.config, self.loaded.model, self.progress.step
        device = device_of(model)
        factor = learning_rate_factor(
            step, num_steps=config.num_steps, warmup_steps=config.warmup_steps, schedule=config.schedule
        )
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * factor
        model.train()
        self.optimizer.zero_grad()
        total, num_targets = 0.0, 0.0
        for number, batch in enumerate(batches):
            with seeded(config.seed, step, number, device=device), self._autocast(device):
                loss = self.loaded.task.loss(model, batch.to(device))
            loss.total.backward()
            total, num_targets = total + float(loss.total.detach()), num_targets + float(loss.num_targets)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad /= max(num_targets, 1.0)
        norm = float(nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm))
        if math.isfinite(norm):
            self.optimizer.step()
        return _StepResult(total / max(num_targets, 1.0), norm, sum(sum(b.layout.lengths) for b in batches))

    def _skip(self, result: _StepResult, reporter: Reporter) -> None:
        self.progress.skipped += 1
        reporter.say(f"step {self.progress.step} skipped: loss {result.loss}, gradient norm {result.gradient_norm}")
        if self.progress.skipped >= MAX_SKIPPED_IN_A_ROW:
            self._save()
            raise TrainingFailed(
                f"{self.progress.skipped} steps in a row gave no finite gradient; the weights are those of step "
                f"{self.progress.step - self.progress.skipped}, and {self.folder / STATE_FOLDER} keeps them. Look at "
                f"the data, or begin a new run with a lower training.learning_rate."
            )

    def _scores(self) -> dict[str, Estimate]:
        scores = evaluate(self.loaded, self.validation)
        if self.progress.step == 0:
            check_watched(self.config.watch, scores)
        return scores

    def _judge(self, scores: dict[str, Estimate], reporter: Reporter) -> None:
        """Report the scores, and keep the model if it is the best so far."""
        progress, watch = self.progress, self.config.watch
        reporter.evaluation(progress.step, scores)
        value = scores[watch].value
        if progress.best is None or is_better(value, progress.best, metric=watch):
            progress.best, progress.best_step, progress.stale = value, progress.step, 0
            self._keep(scores)
        else:
            progress.stale += 1

    def _keep(self, scores: dict[str, Estimate]) -> None:
        measured = {name: score.value for name, score in scores.items() if math.isfinite(score.value)}
        notes = {**self.loaded.notes, "step": self.progress.step, "validation": measured}
        save_model(self.folder / MODEL_FOLDER, replace(self.loaded, notes=notes))

    def _autocast(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def _batches(self) -> Iterator[list[Batch]]:
        """The micro-batches of each remaining step; the next are prepared while the model computes."""
        with ThreadPoolExecutor(max_workers=1) as worker:
            upcoming = worker.submit(self._batches_of, self.progress.step)
            for step in range(self.progress.step, self.config.num_steps):
                batches = upcoming.result()
                if step + 1 < self.config.num_steps:
                    upcoming = worker.submit(self._batches_of, step + 1)
                yield batches

    def _batches_of(self, step: int) -> list[Batch]:
        config, task, tokenizer = self.config, self.loaded.task, self.loaded.tokenizer
        first = step * config.batch_size
        batches = []
        for start in range(first, first + config.batch_size, config.micro_batch_size):
            records = [
                shuffled(self.source, place, seed=config.seed)
                for place in range(start, start + config.micro_batch_size)
            ]
            examples = [example for record in records for example in task.encode(record, tokenizer, purpose="train")]
            batches.append(task.collate(examples, block_size=self.loaded.encoder.pattern.block_size))
        return batches


@contextmanager
def seeded(*key: int, device: torch.device) -> Iterator[None]:
    """PyTorch's generator depends on `key` inside, and stands where it stood afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(randomness.derived_seed(*key))
        yield
