"""Drawing a token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bigbird.model.generation_config import Sampling
from bigbird.model.ranking import highest


def choices(scores: Tensor, sampling: Sampling) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(token ids, probabilities) of the tokens that can be drawn, the likeliest first; equal ones by their id.

    scores  float32 [vocab], logits; -inf where a token is forbidden. At least one is permitted
    """
    count = scores.numel() if sampling.top_k is None else sampling.top_k
    values, places = highest(scores, count)
    logits = values.double().cpu().numpy()
    weights = np.exp((logits - logits[0]) / sampling.temperature)
    before = np.concatenate(([0.0], weights.cumsum()[:-1])) / weights.sum()
    weights = weights[before < sampling.top_p]
    return places.cpu().numpy()[: len(weights)], weights / weights.sum()


def draw(scores: Tensor, sampling: Sampling, number: float) -> int:
    """The token that a number in [0, 1) falls on, when the choices stand side by side as wide as they are likely."""
    token_ids, probabilities = choices(scores, sampling)
    place = int(np.searchsorted(probabilities.cumsum(), number, side="right"))
    return int(token_ids[min(place, len(token_ids) - 1)])  # the sum of the probabilities may round to below 1
