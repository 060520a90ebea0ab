"""What `bigbird prepare` tells while it works: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 30


class PreparingProgress:
    """Steps of the work, each with an amount."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)

    def say(self, text: str) -> None:
        """A line, above a bar if there is one."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Show a step; the function given is told how much more is done."""
        started = said = time.monotonic()
        done = 0
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        ) as bar:
            task = bar.add_task(what, total=total, note="")

            def advance(amount: int) -> None:
                nonlocal said, done
                done, now = done + amount, time.monotonic()
                note = f"{done / max(now - started, 1e-9) / 1e6:,.1f} million {unit}/s"
                bar.update(task, advance=amount, note=note)
                if not self.console.is_terminal and now - said >= _SECONDS_BETWEEN_LINES:
                    said = now
                    self.say(f"{what}: {done:,} of {total:,} {unit}, {note}")

            yield advance
