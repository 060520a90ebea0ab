"""How far a scan is: a bar for someone who looks, a line now and then for a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bigbird.cli.entry import say

_SECONDS_BETWEEN_LINES = 60.0

Report = Callable[[str, int], None]


class Pace:
    """Bases done of all, and how long the rest takes at the pace so far.

    begun  bases that an earlier scan had done: they say nothing of the pace
    """

    def __init__(self, total: int, begun: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done = total, begun
        self._begun, self._clock, self._started = begun, clock, clock()

    def __str__(self) -> str:
        """Such as "12.0 of 50.8 Mb, 3.1 Mb per minute, 12 min left"."""
        minutes = (self._clock() - self._started) / 60
        done = share_done(self.done, self.total)
        if self.done == self._begun or minutes <= 0:
            return done
        per_minute = (self.done - self._begun) / minutes
        return f"{done}, {per_minute / 1e6:.2f} Mb per minute, {_time((self.total - self.done) / per_minute)} left"


def share_done(done: int, total: int) -> str:
    """Such as "12.0 of 50.8 Mb"; little ones with more digits."""
    digits = 1 if total >= 10_000_000 else 3
    return f"{done / 1e6:,.{digits}f} of {total / 1e6:,.{digits}f} Mb"


def _time(minutes: float) -> str:
    if minutes < 1:
        return "less than a minute"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


@contextmanager
def shown(total: int, begun: int) -> Iterator[Report]:
    """A function to be told of (contig, bases) as they are done."""
    console, pace = Console(stderr=True), Pace(total, begun)
    if console.is_terminal:
        with Progress(
            TextColumn("{task.fields[contig]}"), BarColumn(), TextColumn("{task.fields[pace]}"), console=console
        ) as bar:
            task = bar.add_task("scan", total=total, completed=begun, contig="", pace=str(pace))

            def report(contig: str, bases: int) -> None:
                pace.done += bases
                bar.update(task, completed=pace.done, contig=contig, pace=str(pace))

            yield report
    else:
        yield _lines(pace)


def _lines(pace: Pace) -> Report:
    said = time.monotonic()

    def report(contig: str, bases: int) -> None:
        nonlocal said
        pace.done += bases
        if time.monotonic() - said >= _SECONDS_BETWEEN_LINES:
            say(f"{contig}: {pace}")
            said = time.monotonic()

    return report
