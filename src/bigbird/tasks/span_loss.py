"""The loss of answers as spans: how unlikely a window's right places are, all of them together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def span_losses(logits: Tensor, targets: Tensor, weights: Tensor, lengths: Sequence[int]) -> Tensor:
    """The loss of each window, a mean of start and end: float32 [windows].

    logits   [tokens of all windows, 2]
    targets  of that shape, above 0 where an answer begins, and where one ends; a window without any has its first
             token as the right place
    weights  [tokens of all windows], above 0 where an answer may begin or end. A window where only its first token may
             has no loss, and no gradient
    """
    sizes = list(lengths)
    windows = zip(logits.float().split(sizes), targets.split(sizes), weights.split(sizes), strict=True)
    return torch.stack([_window_loss(*window) for window in windows])


def _window_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """The loss of one window: [length, 2], [length, 2], [length] -> a number."""
    is_right = targets > 0
    has_answer = is_right.any(0)
    is_right = torch.cat((is_right[:1] | ~has_answer, is_right[1:]))
    everywhere = logits.masked_fill((weights <= 0)[:, None], -torch.inf)
    right = logits.masked_fill(~is_right, -torch.inf)
    return (everywhere.logsumexp(0) - right.logsumexp(0)).mean()
