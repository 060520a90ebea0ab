"""What a run's folder tells of the run: its settings, curves, model and mishaps. Reads only, and never fails for a
run that is unfinished, was killed, or has just begun.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigbird.checkpoint import CONFIG_FILE, WEIGHTS_FILE
from bigbird.errors import DataError
from bigbird.tasks.metrics import LOWER_IS_BETTER
from bigbird.training import metrics_file
from bigbird.training.metrics_file import METRICS_FILE, Event

RUN_FILE, MODEL_FOLDER = "run.json", "model"
_MOST_HEADER_BYTES = 2**27
_LARGEST = 1e100  # of a figure: room for sums and products of them in float64


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as its folder tells it.

    settings         run.json; empty when it cannot be read
    steps            events of steps, in order, each step once
    evaluations      events of evaluations, likewise
    starts, resumes  events of when the run was begun and taken up again
    best_step        of the model that is kept; None before there is one
    num_weights      of that model; None before there is one
    remarks          what is missing or damaged, in words
    """

    name: str
    folder: Path
    settings: Mapping[str, Any]
    steps: list[Event]
    evaluations: list[Event]
    starts: list[Event]
    resumes: list[Event]
    best_step: int | None
    num_weights: int | None
    remarks: tuple[str, ...]

    @property
    def num_steps(self) -> int | None:
        """Steps the run is to take; None when nothing tells."""
        told = [event.get("num_steps") for event in (*self.starts, *self.resumes)]
        wanted = _training(self.settings).get("num_steps", told[-1] if told else None)
        return wanted if isinstance(wanted, int) else None

    @property
    def last_step(self) -> int:
        """The last step that is known to be done."""
        return max((event["step"] for event in (*self.steps, *self.evaluations)), default=0)

    @property
    def skipped(self) -> list[int]:
        """Steps that changed nothing because their loss or gradient was not finite."""
        return [e["step"] for e in self.steps if number(e, "loss") is None or number(e, "gradient_norm") is None]

    @property
    def letter(self) -> str:
        """What tokens stand for: "base", "character" or, when nothing tells, "letter"."""
        told = [event["letter"] for event in (*self.starts, *self.resumes) if isinstance(event.get("letter"), str)]
        return told[-1] if told else "letter"

    @property
    def watch(self) -> str:
        """The metric that decides which model is kept."""
        watched = _training(self.settings).get("watch", "loss")
        return watched if isinstance(watched, str) else "loss"

    def best_evaluation(self) -> Event | None:
        """The evaluation at which the watched metric was best."""
        known = [(value(e, self.watch), e) for e in self.evaluations]
        usable = [(found, event) for found, event in known if found is not None]
        lower = self.watch.partition("/")[0] in LOWER_IS_BETTER
        return min(usable, key=lambda pair: pair[0] if lower else -pair[0])[1] if usable else None


def read_run(folder: Path) -> RunRecord:
    """The record of the run in `folder`; raises DataError when that is no run's folder."""
    if not folder.is_dir():
        raise DataError(f"{folder} is {'a file' if folder.exists() else 'not there'}; name the folder of a run")
    if not any((folder / name).exists() for name in (RUN_FILE, METRICS_FILE)):
        raise DataError(
            f"{folder} holds neither {RUN_FILE} nor {METRICS_FILE}, so it is no run's folder; name the folder that was "
            f"given to `bigbird train` with --out"
        )
    remarks: list[str] = []
    settings = _object(folder / RUN_FILE, remarks)
    events, num_damaged = metrics_file.read(folder / METRICS_FILE)
    if num_damaged:
        remarks.append(f"{METRICS_FILE}: {num_damaged} line(s) could not be read and are left out")
    best_step, num_weights = _kept_model(folder / MODEL_FOLDER, remarks)
    return RunRecord(
        name=folder.resolve().name,
        folder=folder,
        settings=settings,
        steps=list(metrics_file.of_kind(events, "step")),
        evaluations=list(metrics_file.of_kind(events, "evaluation")),
        starts=[event for event in events if event["event"] == "start"],
        resumes=[event for event in events if event["event"] == "resume"],
        best_step=best_step,
        num_weights=num_weights,
        remarks=tuple(remarks),
    )


def number(event: Event, name: str) -> float | None:
    """A figure of an event; None when it is missing, null, no number, or too large for one that was measured."""
    found = event.get(name)
    if not isinstance(found, int | float) or isinstance(found, bool) or not -_LARGEST < found < _LARGEST:
        return None
    return float(found)


def value(evaluation: Event, metric: str, place: int = 0) -> float | None:
    """A metric of an evaluation; at places 1 and 2 the ends of its interval."""
    found = evaluation.get(metric)
    return number({"value": found[place]}, "value") if isinstance(found, list) and len(found) > place else None


def _training(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    found = settings.get("training")
    return found if isinstance(found, Mapping) else {}


def _kept_model(folder: Path, remarks: list[str]) -> tuple[int | None, int | None]:
    """The step of the best model and its number of weights, as far as its files tell."""
    if not folder.is_dir():
        return None, None
    notes = _object(folder / CONFIG_FILE, remarks).get("notes")
    step = notes.get("step") if isinstance(notes, dict) else None
    return step if isinstance(step, int) else None, _num_weights(folder / WEIGHTS_FILE, remarks)


def _num_weights(path: Path, remarks: list[str]) -> int | None:
    """Read off the shapes at the head of a safetensors file."""
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(size, _MOST_HEADER_BYTES)))
        shapes = [tensor["shape"] for name, tensor in header.items() if name != "__metadata__"]
        return sum(int(math.prod(shape)) for shape in shapes)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, struct.error):
        remarks.append(f"{MODEL_FOLDER}/{path.name} cannot be read, so the model's size is not known")
        return None


def _object(path: Path, remarks: list[str]) -> dict[str, Any]:
    """A JSON object; empty, with a remark, when the file holds none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no JSON"
        remarks.append(f"{path.name} cannot be read ({reason})")
        return {}
    if not isinstance(found, dict):
        remarks.append(f"{path.name} holds no settings")
        return {}
    return found
