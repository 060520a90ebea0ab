"""What a model says along a record, whatever kind of answer it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import ConfigError
from bigbird.tasks import BinClassification, Classification, Prediction, Task, TokenClassification

_Along = Callable[[Any, int], NDArray[np.floating[Any]]]


def _whole(prediction: Prediction, length: int) -> NDArray[np.floating[Any]]:
    return np.broadcast_to(prediction.probabilities, (length, len(prediction.probabilities)))


def _tokens(prediction: Prediction, _: int) -> NDArray[np.floating[Any]]:
    probabilities: NDArray[np.floating[Any]] = prediction.probabilities
    return probabilities


def _bins(prediction: Prediction, length: int) -> NDArray[np.floating[Any]]:
    """NaN in the context at either end, which is read but has no answer."""
    inside = np.repeat(prediction.probabilities, prediction.bin_bp, axis=0)
    along = np.full((length, inside.shape[1]), np.nan, inside.dtype)
    along[prediction.first : prediction.first + len(inside)] = inside
    return along


_ALONG: Mapping[type, _Along] = {BinClassification: _bins, Classification: _whole, TokenClassification: _tokens}


def check_readable(task: Task, purpose: str) -> None:
    """Raise unless the task's predictions can be read along a sequence."""
    if type(task) not in _ALONG:
        raise ConfigError(f"{purpose} needs a model with labels; the task of this one, {type(task).__name__}, has none")


def probabilities_along(task: Task, prediction: Prediction, length: int) -> NDArray[np.floating[Any]]:
    """The probability of each label at each base of a record of `length` bases: [length, labels].

    A model with one answer for the whole record, or for a bin, has it at every base of it.
    """
    return _ALONG[type(task)](prediction, length)
