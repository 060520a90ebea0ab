"""metrics.jsonl: what happened in a run, one JSON object per line. docs/reporting.md describes every event."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bigbird.data.files import written_whole
from bigbird.errors import DataError

METRICS_FILE = "metrics.jsonl"
_LAST_STEP = 2**53  # beyond it a picture's float64 tells no two steps apart

Event = dict[str, Any]


class Events(NamedTuple):
    """What a metrics file holds. `num_damaged` lines could not be read: half written, or not JSON."""

    events: list[Event]
    num_damaged: int


def append(path: Path, event: Mapping[str, object]) -> None:
    """Write one more event. JSON has no number for NaN and infinity: they become null."""
    line = json.dumps({name: _strict(value) for name, value in event.items()}, allow_nan=False)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def read(path: Path) -> Events:
    """All events of a file, in its order; none when there is no file.

    A run that was killed may leave half a line; what cannot be read is counted and passed over.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return Events([], 0)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    found = [_parsed(line) for line in text.splitlines() if line.strip()]
    events = [event for event in found if event is not None]
    return Events(events, len(found) - len(events))


def forget_after(path: Path, step: int) -> None:
    """Drop what was written after the step a run resumes from, and half a line that a kill left."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and _is_until(_parsed(line), step)]
    if kept != lines:
        with written_whole(path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")


def of_kind(events: list[Event], kind: str) -> Iterator[Event]:
    """The events of one kind; of a step that is told twice, the later."""
    latest = {event["step"]: event for event in events if event["event"] == kind}
    yield from (latest[step] for step in sorted(latest))


def _is_until(event: Event | None, step: int) -> bool:
    return event is not None and event["step"] <= step


def _parsed(line: str) -> Event | None:
    """An event, or None for what is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_event = isinstance(event, dict) and isinstance(event.get("event"), str)
    is_event = is_event and isinstance(event.get("step"), int) and not isinstance(event["step"], bool)
    return event if is_event and 0 <= event["step"] <= _LAST_STEP else None


def _strict(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _strict(part) for name, part in value.items()}
    return [_strict(part) for part in value] if isinstance(value, list | tuple) else value
