"""What a run tells: events in metrics.jsonl, and a progress bar or plain lines on the console."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bigbird.tasks import Estimate
from bigbird.tasks.metrics import headline
from bigbird.training import metrics_file
from bigbird.training.memory_used import memory_used
from bigbird.training.metrics_file import METRICS_FILE
from bigbird.training.smoothing import Smoothed
from bigbird.training.tensorboard import TensorBoard

__all__ = ["METRICS_FILE", "Reporter"]

_SECONDS_BETWEEN_LINES = 30  # on a console that is no terminal
_BAR_COLUMNS, _LEAST_BAR_WIDTH = 16, 100  # narrower terminals have the figures and no bar
_COUNTED = ("loss", "bits_per_letter", "tokens_per_second")


class Reporter:
    """Writes `folder`/metrics.jsonl and shows progress; use as a context.

    first_step   steps done before: 0, or those of the state a run resumes from
    letter       what tokens stand for, in words: "base", "character"
    tensorboard  write the figures for TensorBoard too
    """

    def __init__(
        self,
        folder: Path,
        *,
        num_steps: int,
        first_step: int,
        console: Console | None = None,
        letter: str = "letter",
        tensorboard: bool = False,
    ) -> None:
        self.console = console or Console(stderr=True)
        self._path = folder / METRICS_FILE
        folder.mkdir(parents=True, exist_ok=True)
        metrics_file.forget_after(self._path, first_step)
        self._tensorboard = TensorBoard(folder, first_step=first_step) if tensorboard else None
        self._num_steps, self._first_step, self._letter = num_steps, first_step, letter
        self._smoothed = {name: Smoothed() for name in _COUNTED}
        self._began = self._said = time.monotonic()
        self._has_written = False
        self._bar = Progress(
            *((TextColumn("training"), BarColumn(_BAR_COLUMNS)) if self.console.width >= _LEAST_BAR_WIDTH else ()),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
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
        if self._tensorboard is not None:
            self._tensorboard.close()

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """One optimizer step is done; `step` counts from 1. `bits_per_letter` is there for tasks that have it."""
        used = memory_used()
        memory = {"peak_memory_bytes": used.peak} | ({"gpu_peak_memory_bytes": used.gpu_peak} if used.gpu_peak else {})
        self._write({"event": "step", "step": step, **values, **memory})
        if self._tensorboard is not None:
            self._tensorboard.write("train", step, {**values, **memory})
        for name in _COUNTED:
            if name in values:
                self._smoothed[name].add(values[name])
        if self.console.is_terminal:
            self._bar.update(self._task, completed=step, note=fitted(self._pieces(step), self._room_for_note()))
        elif time.monotonic() - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self.say("  ".join((f"step {step} of {self._num_steps}", *(text for _, text in self._pieces(step)))))

    def evaluation(self, step: int, scores: Mapping[str, Estimate]) -> None:
        """The validation records were scored."""
        self._write({"event": "evaluation", "step": step, **{name: list(score) for name, score in scores.items()}})
        if self._tensorboard is not None:
            self._tensorboard.write("validation", step, {name: score.value for name, score in scores.items()})
        shown = headline(scores)
        words = [f"{name} {score.value:.4f}" for name, score in shown.items()]
        rest = [f"and {len(scores) - len(shown)} more in {METRICS_FILE}"] if len(shown) < len(scores) else []
        self.say(f"after step {step}: {'  '.join([*words, *rest])}")

    def say(self, text: str) -> None:
        """Print a line without disturbing the bar."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=not self.console.is_terminal)

    def _pieces(self, step: int) -> list[tuple[int, str]]:
        """(importance, text) of what is shown of a step, in the order of the line."""
        used, now = memory_used(), {name: smoothed.value for name, smoothed in self._smoothed.items()}
        pieces = [(0, f"loss {now['loss']:.4f}")]
        if self._smoothed["bits_per_letter"].count:
            pieces.append((2, f"{now['bits_per_letter']:.3f} bits/{self._letter}"))
        pieces.append((3, f"{now['tokens_per_second']:,.0f} tok/s"))
        pieces.append((4, f"{used.resident / 2**30:.1f}/{used.peak / 2**30:.1f} GiB"))
        if used.gpu_peak:
            pieces.append((5, f"GPU peak {used.gpu_peak / 2**30:.1f}"))
        return [*pieces, (1, f"{self._time_left(step)} left")]

    def _time_left(self, step: int) -> timedelta:
        """At the pace since this process began, evaluations and saving included."""
        pace = (time.monotonic() - self._began) / max(1, step - self._first_step)
        return timedelta(seconds=round(pace * (self._num_steps - step)))

    def _room_for_note(self) -> int:
        bar = len("training ") + _BAR_COLUMNS + 1 if self.console.width >= _LEAST_BAR_WIDTH else 0
        return self.console.width - bar - (2 * len(str(self._num_steps)) + 2)

    def _write(self, event: Mapping[str, object]) -> None:
        """Write an event, before the first one that the process has begun: a run that is refused writes nothing."""
        if not self._has_written:
            self._has_written = True
            metrics_file.append(self._path, self._beginning())
        metrics_file.append(self._path, event)

    def _beginning(self) -> dict[str, object]:
        return {
            "event": "resume" if self._first_step else "start",
            "step": self._first_step,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "num_steps": self._num_steps,
            "letter": self._letter,
        }


def fitted(pieces: Sequence[tuple[int, str]], width: int) -> str:
    """The texts of (importance, text), 0 the most important, as many as fit into one line of `width` characters."""
    kept = list(pieces)
    while len(kept) > 1 and len("  ".join(text for _, text in kept)) > width:
        kept.remove(max(kept))
    return "  ".join(text for _, text in kept)
