"""A curve's trend: the mean of its values, in which each older one counts a little less."""

from __future__ import annotations

import math
from collections.abc import Iterable

_KEPT = 0.98  # of an older value's weight per step: the last 50 or so count


class Smoothed:
    """A running mean that is right from the first value on; NaN and infinity are passed over."""

    def __init__(self, kept: float = _KEPT) -> None:
        self._kept, self._sum, self._weight = kept, 0.0, 0.0
        self.count = 0

    @property
    def value(self) -> float:
        """The mean now; NaN before the first value."""
        return self._sum / self._weight if self._weight else math.nan

    def add(self, value: float | None) -> float:
        """One more value, None for one that is missing; the mean with it."""
        if value is not None and math.isfinite(value):
            self._sum, self._weight = self._kept * self._sum + value, self._kept * self._weight + 1.0
            self.count += 1
        return self.value


def smoothed(values: Iterable[float | None]) -> list[float]:
    """The trend of a whole curve."""
    trend = Smoothed()
    return [trend.add(value) for value in values]
