"""What a run tells: one JSON line per event in metrics.jsonl, and a progress bar or plain lines on the console."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bigbird.tasks import Estimate

METRICS_FILE = "metrics.jsonl"
_SECONDS_BETWEEN_LINES = 30  # on a console that is no terminal


class Reporter:
    """Writes `folder`/metrics.jsonl and shows progress; use as a context."""

    def __init__(self, folder: Path, *, num_steps: int, first_step: int, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._path = folder / METRICS_FILE
        folder.mkdir(parents=True, exist_ok=True)
        _forget_from(self._path, first_step)
        self._num_steps = num_steps
        self._said = time.monotonic()
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=num_steps, completed=first_step, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """One optimizer step is done; `step` counts from 1."""
        self._write({"event": "step", "step": step, **values})
        note = f"loss {values['loss']:.4f}  {values['tokens_per_second']:,.0f} tokens/s"
        self._bar.update(self._task, completed=step, note=note)
        if not self.console.is_terminal and time.monotonic() - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self.say(f"step {step} of {self._num_steps}  {note}")

    def evaluation(self, step: int, scores: Mapping[str, Estimate]) -> None:
        """The validation records were scored."""
        values = {name: _json_estimate(score) for name, score in scores.items()}
        self._write({"event": "evaluation", "step": step, **values})
        shown = "  ".join(f"{name} {score.value:.4f}" for name, score in scores.items())
        self.say(f"after step {step}: {shown}")

    def say(self, text: str) -> None:
        """Print a line without disturbing the bar."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)

    def _write(self, event: Mapping[str, object]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(event) + "\n")


def _json_estimate(score: Estimate) -> list[float | None]:
    return [None if math.isnan(part) else part for part in score]


def _forget_from(path: Path, step: int) -> None:
    """Drop what was written after the step a run resumes from."""
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        if kept != lines:
            path.write_text("".join(kept))
