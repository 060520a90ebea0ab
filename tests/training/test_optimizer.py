import math

import pytest
import torch
from torch import nn

from bigbird.training.optimizer import build_optimizer, learning_rate_factor


def test_the_inverse_square_root_does_not_know_how_long_the_run_is():
    def factors(num_steps, warmup_steps=4):
        chosen = {"num_steps": num_steps, "warmup_steps": warmup_steps, "schedule": "inverse-square-root"}
        return [learning_rate_factor(step, **chosen) for step in (0, 3, 15, 63)]

    assert factors(100) == factors(10**6) == [0.25, 1.0, 0.5, 0.25]
    assert factors(100, warmup_steps=0) == [1.0, 0.5, 0.25, 0.125]


@pytest.mark.parametrize("warmup_steps", [0, 1, 10])
def test_the_inverse_square_root_has_no_jump_after_the_warm_up(warmup_steps):
    chosen = {"num_steps": 50, "warmup_steps": warmup_steps, "schedule": "inverse-square-root"}
    factors = [learning_rate_factor(step, **chosen) for step in range(50)]
    peak = max(factors)
    assert math.isclose(peak, 1.0)
    after = factors[factors.index(peak) :]
    assert after == sorted(after, reverse=True)


@pytest.mark.parametrize(("kind", "made"), [("adamw", torch.optim.AdamW), ("adafactor", torch.optim.Adafactor)])
def test_norms_and_biases_are_not_decayed(kind, made):
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    optimizer = build_optimizer(model, kind=kind, learning_rate=0.1, weight_decay=0.5, betas=(0.9, 0.99))
    assert isinstance(optimizer, made)
    decay = {id(weight): group["weight_decay"] for group in optimizer.param_groups for weight in group["params"]}
    assert {name: decay[id(weight)] for name, weight in model.named_parameters()} == {
        "0.weight": 0.5,
        "0.bias": 0.0,
        "1.weight": 0.0,
        "1.bias": 0.0,
    }
