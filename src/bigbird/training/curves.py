"""Pictures of runs: loss, learning rate, gradient norm and speed over steps."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

from bigbird.errors import require
from bigbird.training.metrics_file import Event
from bigbird.training.run_record import RunRecord, number, value
from bigbird.training.smoothing import smoothed

COLOURS = ("#0b6e99", "#c2571a", "#4a7c3a", "#7d5ba6", "#b03060", "#777777")  # told apart in grey, too
_MOST_POINTS = 2000  # a picture has no more columns than that

Points = list[tuple[int, float]]


def draw_curves(runs: Sequence[RunRecord]) -> str:
    """One SVG with four panels and a line per run; raises MissingDependency without matplotlib."""
    figure = require("matplotlib.figure", extra="plot", purpose="a picture").Figure(
        figsize=(12, 7.2), layout="constrained"
    )
    panels = figure.subplot_mosaic([["loss", "loss"], ["loss", "loss"], ["rate", "norm"], ["speed", "memory"]])
    for run, colour in zip(runs, _colours(len(runs)), strict=True):
        _draw_loss(panels["loss"], run, colour, is_alone=len(runs) == 1)
        _draw(panels["rate"], run.steps, "learning_rate", colour)
        _draw(panels["norm"], run.steps, "gradient_norm", colour, is_smoothed=True)
        _draw(panels["speed"], run.steps, "tokens_per_second", colour, is_smoothed=True)
        _draw(panels["memory"], run.steps, "peak_memory_bytes", colour, scale=2**-30)
    _finish(panels)
    if len(runs) > 1:
        panels["loss"].legend(frameon=False, fontsize=9)
    return _svg(figure)


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _draw_loss(axes: Any, run: RunRecord, colour: str, *, is_alone: bool) -> None:
    """Every step faint, the trend over it, validation with markers: bits per letter where the run has them."""
    train, validation = loss_points(run)
    if is_alone:
        axes.plot(*_columns(_thinned(train)), color=colour, alpha=0.25, linewidth=0.7, label="training, each step")
    trend = list(zip([step for step, _ in train], smoothed(found for _, found in train), strict=True))
    label = "training, smoothed" if is_alone else _plain(run.name)
    axes.plot(*_columns(_thinned(trend)), color=colour, linewidth=1.6, label=label, linestyle="-" if is_alone else ":")
    dots = COLOURS[1] if is_alone else colour
    axes.plot(
        *_columns(validation),
        color=dots,
        linewidth=1.2,
        marker="o",
        markersize=3.5,
        label="validation" if is_alone else None,
    )
    for step in run.skipped[:200]:
        axes.axvline(step, color="#b03060", linewidth=0.6, alpha=0.6)
    for event in run.resumes if is_alone else ():
        axes.axvline(event["step"], color="#777777", linewidth=0.6, linestyle=":")
    if is_alone:
        axes.legend(frameon=False, fontsize=9, ncols=3)
    axes.set_title(f"bits per {_plain(run.letter)}" if has_bits(run) else "loss", loc="left")
    _limit(axes, [found for _, found in trend] + [found for _, found in validation])


def _plain(text: str) -> str:
    """Text that matplotlib shows as it is: "$" begins a formula, and a label that begins with "_" is left out."""
    return f"\N{HAIR SPACE}{text}".replace("$", r"\$")


def has_bits(run: RunRecord) -> bool:
    """True when the run measures itself in bits per letter."""
    return any(number(event, "bits_per_letter") is not None for event in run.steps)


def loss_points(run: RunRecord) -> tuple[Points, Points]:
    """(step, value) of training and of validation: bits per letter where the run has them, else the loss."""
    name = "bits_per_letter" if has_bits(run) else "loss"
    return points(run.steps, lambda e: number(e, name)), points(run.evaluations, lambda e: value(e, name))


def points(events: Sequence[Event], read: Callable[[Event], float | None]) -> Points:
    """(step, figure) of the events that have it."""
    found = [(event["step"], read(event)) for event in events]
    return [(step, figure) for step, figure in found if figure is not None]


def _draw(
    axes: Any, events: Sequence[Event], name: str, colour: str, *, is_smoothed: bool = False, scale: float = 1.0
) -> None:
    found = [(step, scale * figure) for step, figure in points(events, lambda e: number(e, name))]
    faint = is_smoothed and len(found) > 20
    axes.plot(*_columns(_thinned(found)), color=colour, alpha=0.3 if faint else 1.0, linewidth=0.7 if faint else 1.2)
    if faint:
        trend = zip([step for step, _ in found], smoothed(figure for _, figure in found), strict=True)
        axes.plot(*_columns(_thinned(list(trend))), color=colour, linewidth=1.4)
    if is_smoothed:
        _limit(axes, [figure for _, figure in found], least=0.0)


def _limit(axes: Any, figures: Sequence[float], *, least: float | None = None) -> None:
    """Let single outliers run out of the picture rather than flatten everything else."""
    ordered = sorted(figures)
    if len(ordered) < 2:
        return
    low, high = ordered[0] if least is None else least, ordered[math.ceil(0.99 * (len(ordered) - 1))]
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    before = axes.get_ylim() if getattr(axes, "bigbird_limited", False) else (math.inf, -math.inf)
    axes.set_ylim(min(before[0], low - (room if least is None else 0)), max(before[1], high + room))
    axes.bigbird_limited = True


def _finish(panels: dict[str, Any]) -> None:
    titles = {
        "rate": "learning rate",
        "norm": "gradient norm",
        "speed": "tokens per second",
        "memory": "peak memory (GiB)",
    }
    for name, axes in panels.items():
        if name in titles:
            axes.set_title(titles[name], loc="left")
        axes.set_xlabel("step")
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    panels["memory"].set_ylim(0, 1.05 * panels["memory"].get_ylim()[1])


def _thinned(found: Points) -> Points:
    stride = math.ceil(len(found) / _MOST_POINTS) if found else 1
    return found[::stride] + (found[-1:] if found and (len(found) - 1) % stride else [])


def _columns(found: Points) -> tuple[list[int], list[float]]:
    return [step for step, _ in found], [figure for _, figure in found]


def _svg(figure: Any) -> str:
    """The picture as text that can stand in a page; the same for the same run."""
    backend = require("matplotlib", extra="plot", purpose="a picture")
    with backend.rc_context({"svg.hashsalt": "bigbird", "svg.fonttype": "path"}):
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
