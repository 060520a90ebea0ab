"""A run in figures."""

from __future__ import annotations

import math
from statistics import median

from bigbird.training.run_record import RunRecord, number, value
from bigbird.training.smoothing import smoothed

Summary = dict[str, str | int | float | list[int] | None]


def headline(found: Summary) -> str:
    """One sentence on how far a run is and how good."""
    steps = f"step {found['last_step']:,}" + (f" of {found['num_steps']:,}" if found["num_steps"] else "")
    if found["best"] is None:
        return f"{found['name']}: at {steps}; not evaluated yet."
    watch = str(found["watch"]).replace("_", " ")
    return f"{found['name']}: at {steps}; best {watch} {found['best']:.4f} after step {found['best_step']:,}."


def summary(run: RunRecord) -> Summary:
    """The figures of a run by name; None for what its folder does not tell.

    train_loss, train_bits_per_letter  smoothed, at the last step
    best                               the watched metric of the kept model
    tokens_per_second                  median over steps
    seconds_in_steps                   without evaluations, saving and pauses
    """
    best = run.best_evaluation()
    speeds = [speed for event in run.steps if (speed := number(event, "tokens_per_second")) is not None]
    seconds = [number(event, "seconds") or 0.0 for event in run.steps]
    tokens = [(number(e, "tokens_per_second") or 0.0) * (number(e, "seconds") or 0.0) for e in run.steps]
    last = run.evaluations[-1] if run.evaluations else {}
    return {
        "name": run.name,
        "folder": str(run.folder),
        "recipe": _text(run.settings.get("recipe")),
        "num_weights": run.num_weights,
        "last_step": run.last_step,
        "num_steps": run.num_steps,
        "letter": run.letter,
        "watch": run.watch,
        "best_step": best["step"] if best else run.best_step,
        "best": value(best, run.watch) if best else None,
        "train_loss": _last_trend(run, "loss"),
        "train_bits_per_letter": _last_trend(run, "bits_per_letter"),
        "validation_loss": value(last, "loss"),
        "validation_bits_per_letter": value(last, "bits_per_letter"),
        "tokens_per_second": median(speeds) if speeds else None,
        "num_tokens": round(sum(tokens)) if run.steps else None,
        "seconds_in_steps": sum(seconds) if run.steps else None,
        "peak_memory_bytes": max((number(e, "peak_memory_bytes") or 0 for e in run.steps), default=0) or None,
        "skipped_steps": run.skipped,
        "resumed_after": [event["step"] for event in run.resumes],
    }


def _last_trend(run: RunRecord, name: str) -> float | None:
    trend = smoothed(number(event, name) for event in run.steps)
    return trend[-1] if trend and math.isfinite(trend[-1]) else None


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None
