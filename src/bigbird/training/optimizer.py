"""PyTorch's AdamW and Adafactor with the parameter groups and schedules the field uses."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

OptimizerKind = Literal["adamw", "adafactor"]
Schedule = Literal["linear", "cosine", "inverse-square-root", "constant"]


def build_optimizer(
    model: nn.Module, *, kind: OptimizerKind, learning_rate: float, weight_decay: float, betas: tuple[float, float]
) -> torch.optim.Optimizer:
    """Norms and biases are not decayed. Adafactor (Shazeer & Stern 2018) has no `betas`: it follows its own decay."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    if kind == "adafactor":
        return torch.optim.Adafactor(groups, lr=learning_rate)
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)


def learning_rate_factor(step: int, *, num_steps: int, warmup_steps: int, schedule: Schedule) -> float:
    """What the learning rate is multiplied by: linear warm-up from 0 to 1, then down as `schedule` says, or level.

    "linear" and "cosine" reach 0 at `num_steps`. "inverse-square-root" is sqrt(warmup / step), whatever num_steps is:
    a run of it can be made longer at any time (Raffel et al. 2020, section 3.1.2).
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    if schedule == "inverse-square-root":
        return math.sqrt(max(1, warmup_steps) / max(1, warmup_steps, step + 1))
    done = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    return 1.0 - done if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
