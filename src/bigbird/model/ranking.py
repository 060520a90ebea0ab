"""The highest scores, in an order that is the same everywhere."""

from __future__ import annotations

import torch
from torch import Tensor


def highest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(values, places) of the `count` highest of scores [n], the highest first, those of -inf left out.

    Equal scores stand by their place, the lower first. torch.topk alone leaves their order, and which of them it
    takes, open; sorting all costs many times as much where n is a vocabulary per beam.
    """
    threshold = scores.topk(min(count, scores.numel())).values[-1]
    places = ((scores >= threshold) & (scores > -torch.inf)).nonzero().squeeze(1)
    values, order = scores[places].sort(descending=True, stable=True)
    return values[:count], places[order[:count]]
