"""Probabilities that hold what they say: each label's logits stretched and moved, fitted on records not trained on.

A loss in which positives count more (`positive_weight`) teaches probabilities that are too high, and a label's few
positives ones that are too sure. A scale and an offset per label (Platt 1999) mend both and change no order within it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import ConfigError

Calibration = tuple[tuple[float, float], ...]
Floats = NDArray[np.float64]
_AnyFloats = TypeVar("_AnyFloats", bound=NDArray[np.floating[Any]])

_STEPS = 50
_PRIOR = 1.0  # that a scale is 1, in records: a label of few positives has hardly another
_LEAST_SCALE, _MOST_SCALE = 0.05, 20.0
_GROUPS = 10
_CHUNKS = 32
_LEAST_PROBABILITY = 1e-7


class Reliability(NamedTuple):
    """How far probabilities are from the truth, means over labels.

    ece       expected calibration error: in ten groups of equal size by probability, the mean distance of the mean
              probability from the share that has the label
    log_loss  nats per record and label
    """

    ece: float
    log_loss: float


def check_calibration(calibration: Calibration, num_labels: int) -> None:
    """Raise unless there is a pair per label, or none at all, and no scale turns the order round."""
    if calibration and (len(calibration) != num_labels or any(scale <= 0 for scale, _ in calibration)):
        raise ConfigError(
            f"calibration must have a scale above 0 and an offset for each of {num_labels} labels that are independent "
            f"of each other, or be empty; got {len(calibration)} pairs"
        )


def calibrated(logits: _AnyFloats, calibration: Calibration) -> _AnyFloats:
    """logits: [..., labels], any floating type."""
    if not calibration:
        return logits
    scales, offsets = np.array(calibration, logits.dtype).T
    return logits * scales + offsets  # type: ignore[no-any-return]


def logits_of(probabilities: NDArray[np.floating[Any]]) -> Floats:
    """The logits of probabilities, those of 0 and 1 kept finite."""
    p = np.clip(probabilities.astype(np.float64), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    logits: Floats = np.log(p) - np.log1p(-p)
    return logits


def fitted(truth: NDArray[np.bool_], logits: Floats) -> Calibration:
    """The scale and offset of every label that make the truth likeliest; truth, logits: [records, labels].

    Newton's method for all labels at once. As Platt has it, a label is not believed to be there or not for certain, so
    that one without a positive has a finite offset.
    """
    positives = truth.sum(0)
    targets = np.where(truth, (positives + 1) / (positives + 2), 1 / (len(truth) - positives + 2))
    scale, offset = np.ones(truth.shape[1]), np.zeros(truth.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-(logits * scale + offset)))
        error, curve = p - targets, np.maximum(p * (1 - p), 1e-12)
        slope = (error * logits).sum(0) + _PRIOR * (scale - 1)
        lift = error.sum(0)
        a, b, c = (curve * logits**2).sum(0) + _PRIOR, (curve * logits).sum(0), curve.sum(0) + 1e-9
        determinant = np.maximum(a * c - b * b, 1e-12)
        scale = np.clip(scale - np.clip((c * slope - b * lift) / determinant, -1, 1), _LEAST_SCALE, _MOST_SCALE)
        offset = offset - np.clip((a * lift - b * slope) / determinant, -2, 2)
    return tuple(zip(scale.tolist(), offset.tolist(), strict=True))


def reliability(truth: NDArray[np.bool_], probabilities: Floats) -> Reliability:
    """truth, probabilities: [records, labels]."""
    p = np.clip(probabilities, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    log_loss = -np.where(truth, np.log(p), np.log1p(-p)).mean()
    order = np.argsort(p, axis=0, kind="stable")
    parts = np.array_split(order, min(_GROUPS, len(order)))
    gaps = [
        np.abs(np.take_along_axis(p, part, 0).mean(0) - np.take_along_axis(truth, part, 0).mean(0)) * len(part)
        for part in parts
    ]
    return Reliability(float(np.sum(gaps, axis=0).mean() / len(order)), float(log_loss))


def before_and_after(
    truth: NDArray[np.bool_], logits: Floats, given: Calibration = ()
) -> tuple[Reliability, Reliability]:
    """With the calibration given, if any, and with a new one, each half judged by what was fitted on the other.

    logits  without any calibration

    The halves are every second of chunks of neighbours, as neighbours are alike and a genome's ends may not be.
    """
    halves = np.arange(len(truth)) * min(_CHUNKS, len(truth)) // len(truth) % 2
    after = np.empty_like(logits)
    for half in (0, 1):
        after[halves == half] = calibrated(
            logits[halves == half], fitted(truth[halves != half], logits[halves != half])
        )
    plain, mended = (1 / (1 + np.exp(-some)) for some in (calibrated(logits, given), after))
    return reliability(truth, plain), reliability(truth, mended)
