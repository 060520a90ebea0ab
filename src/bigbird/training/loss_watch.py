"""Steps without a finite loss and gradient: they change nothing, and are told with the records they read."""

from __future__ import annotations

import math

from bigbird.data.sources import RecordSource, shuffled

_NAMES_TOLD = 8


def is_usable(loss: float, gradient_norm: float) -> bool:
    """True when a step may change the weights."""
    return math.isfinite(loss) and math.isfinite(gradient_norm)


def what_was_read(source: RecordSource, *, step: int, batch_size: int, seed: int) -> str:
    """The records of a step, counted from 0, in words: their positions in the shuffled data and their names."""
    first, last = step * batch_size, (step + 1) * batch_size - 1
    names = [shuffled(source, place, seed=seed).name for place in range(first, min(last, first + _NAMES_TOLD - 1) + 1)]
    more = f" and {batch_size - len(names)} more" if batch_size > len(names) else ""
    return f"records at positions {first} to {last} of the shuffled data: {', '.join(names)}{more}"
