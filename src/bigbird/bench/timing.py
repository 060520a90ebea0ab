"""Seconds, taken in turn, so that a machine that slows down slows everybody."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bigbird.bench.contenders import CANNOT, in_one_line


class Spread(NamedTuple):
    """Median, least and most of several measurements."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Rounded to four significant digits."""
        rounded = [float(f"{value:.4g}") for value in (statistics.median(values), min(values), max(values))]
        return cls(*rounded)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Something to time: a forward pass and, where there is one, a forward and backward pass."""

    name: str
    forward: Callable[[], Tensor | None]
    learn: Callable[[], None] | None = None


class Timing(NamedTuple):
    """Seconds of one subject, and how many times as long as the first subject it took, pair by pair."""

    seconds: Spread
    times_the_first: Spread


def in_turn(runs: dict[str, Callable[[], object]], *, rounds: int, say: Callable[[str], None]) -> dict[str, Timing]:
    """Run each once to warm up, then all of them `rounds` times in turn; who cannot is named and left out."""
    able = {name: run for name, run in runs.items() if first_call(name, run, say=say) is not None}
    taken = [{name: seconds(run) for name, run in able.items()} for _ in range(rounds)]
    first = next(iter(able), "")
    return {
        name: Timing(Spread.of([turn[name] for turn in taken]), Spread.of([turn[name] / turn[first] for turn in taken]))
        for name in able
    }


def first_call(name: str, run: Callable[[], object], *, say: Callable[[str], None]) -> float | None:
    """Seconds of one call; None, with the reason said, when it cannot be done."""
    try:
        return seconds(run)
    except CANNOT as reason:
        say(f"{name} takes no part: {in_one_line(reason)}")
        return None


def seconds(run: Callable[[], object]) -> float:
    """One call, with everything it started on a GPU finished."""
    _finish()
    started = time.perf_counter()
    run()
    _finish()
    return time.perf_counter() - started


def matmul_rate(dtype: torch.dtype, device: str, *, size: int = 2048) -> Spread:
    """The machine's limit as PyTorch reaches it: operations per second of a square matrix product."""
    a = torch.randn(size, size, device=device).to(dtype)
    for _ in range(2):
        seconds(lambda: a @ a)
    return Spread.of([2 * size**3 / seconds(lambda: a @ a) for _ in range(9)])


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
