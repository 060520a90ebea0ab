"""How a run learns: the settings of `bigbird train` under training.*"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from bigbird.errors import ConfigError
from bigbird.training.optimizer import OptimizerKind, Schedule

MAX_SEED = 2**63 - 1  # keys of random numbers are int64

Precision = Literal["float32", "bfloat16"]
Sharding = Literal["none", "fsdp"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a run learns.

    batch_size        records per optimizer step, over all processes
    micro_batch_size  records a process computes at once; gradients of a step's micro-batches add up
    optimizer         "adamw"; "adafactor" needs a third of its memory (Pegasus was trained with it)
    schedule          of the learning rate after the warm-up
    precision         "bfloat16" computes matrix products in it and keeps weights in float32
    sharding          of several processes: "none" gives each all weights (DDP), "fsdp" a share of weights, gradients
                      and optimizer state (FSDP2). The results are those of one process
    context_parallel  processes that divide each row among them, for rows too long for one; 1 divides none
    checkpoint_activations  compute layers again for gradients instead of keeping what they computed: the same
                      results in less memory and about a third more time
    compile           layers by torch.compile
    evaluate_every    steps between evaluations; one comes before the first step and one after the last
    watch             metric that decides which model is kept: "loss" or one of the task's
    patience          evaluations without improvement after which the run stops; 0 never stops it
    save_every        steps between saved states
    keep_states       saved states that stay, the newest ones
    max_skipped       steps in a row without a finite loss and gradient after which the run ends
    """

    num_steps: int = 1000
    batch_size: int = 16
    micro_batch_size: int = 16
    optimizer: OptimizerKind = "adamw"
    learning_rate: float = 1e-4
    warmup_steps: int = 0
    schedule: Schedule = "linear"
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = 1.0
    precision: Precision = "float32"
    sharding: Sharding = "none"
    context_parallel: int = 1
    checkpoint_activations: bool = False
    compile: bool = False
    evaluate_every: int = 100
    watch: str = "loss"
    patience: int = 0
    save_every: int = 100
    keep_states: int = 2
    max_skipped: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        at_least_one = (
            *("num_steps", "batch_size", "micro_batch_size", "context_parallel"),
            *("evaluate_every", "save_every", "max_skipped"),
        )
        least_values = {**dict.fromkeys(at_least_one, 1), "warmup_steps": 0, "patience": 0, "keep_states": 2}
        for name, least in least_values.items():
            if getattr(self, name) < least:
                raise ConfigError(f"training.{name} must be at least {least}, got {getattr(self, name)}")
        if self.batch_size % self.micro_batch_size:
            raise ConfigError(
                f"training.batch_size {self.batch_size} must be a multiple of micro_batch_size {self.micro_batch_size}"
            )
        choices = {"optimizer": OptimizerKind, "schedule": Schedule, "precision": Precision, "sharding": Sharding}
        for name, kind in choices.items():
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
