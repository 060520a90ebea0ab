"""The saved states of a run on disk: each written whole or not at all, checked before it is used, the last few kept.

    state/
    ├── step-000000100/            a state; its name is given only once everything in it is on the disk
    ├── step-000000200/
    ├── .step-000000300.part/      being written, or left over from a run that was killed
    └── .step-000000150.aside/     no longer wanted; removed once the next state is there

The newest state is the one with the highest number. There is no pointer to it: that would be one more file that could
be damaged, or disagree with what is there, while the renaming of the folder is the very moment a state comes to be.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from bigbird.data.files import sync
from bigbird.errors import CheckpointError, TrainingFailed
from bigbird.training.state_manifest import FileNote, Manifest, NotedFile, faults, noted_file, write_manifest

Write = Callable[[NotedFile], None]

_NAME = "step-"
_PART, _ASIDE = ".part", ".aside"


class StateStore:
    """The states in `folder`, of which the newest `keep` stay."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def steps(self) -> list[int]:
        """The steps of which there is a state, oldest first."""
        return _steps(self.folder)

    def of_step(self, step: int) -> Path:
        """The folder of a state."""
        return self.folder / _name_of(step)

    def write(self, step: int, files: Mapping[str, Write], *, num_bytes: int = 0) -> None:
        """Write a state aside, let it reach the disk, give it its name, then drop what is no longer wanted.

        num_bytes  about what it takes, told when the disk is full
        """
        part = self.folder / f".{_name_of(step)}{_PART}"
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            notes = _written(part, files)
            write_manifest(part, Manifest(self.of_step(step).name, notes))
            sync(part)
            self._commit(part, self.of_step(step))
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise TrainingFailed(self._not_written(step, error, num_bytes)) from error
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        for older in self.steps()[: -self.keep]:
            self._put_aside(older)
        self._remove_leftovers()

    def newest_sound(self, step: int | None = None) -> tuple[int, list[str]]:
        """The newest state that is as it was written, or that of `step`; and what is wrong with newer ones."""
        steps = self.steps()
        if not steps:
            raise CheckpointError(
                f"{self.folder} holds no saved state to resume from; begin a new run, in another folder if this one "
                f"holds what is left of an older"
            )
        if step is not None and step not in steps:
            raise CheckpointError(f"{self.folder} holds no state of step {step}; there are those of {_listed(steps)}")
        told: list[str] = []
        for number in reversed(steps) if step is None else [step]:
            found = self._faults(number)
            if not found:
                return number, told
            told.append(f"{self.of_step(number)} is damaged: {'; '.join(found)}")
        raise CheckpointError(f"{'. '.join(told)}. {self._instead(step)}")

    def clear_parts(self) -> None:
        """Remove states that a killed run left half-written; nobody else may be writing."""
        for path in self.folder.glob(f".{_NAME}*{_PART}"):
            shutil.rmtree(path)

    def forget_after(self, step: int) -> list[int]:
        """Put states of later steps aside, and say which; they go once the next state has been saved."""
        later = [number for number in self.steps() if number > step]
        for number in later:
            self._put_aside(number)
        return later

    def _faults(self, step: int) -> list[str]:
        folder = self.of_step(step)
        found = faults(folder)
        if found and _is_of_format_1(folder):
            raise CheckpointError(
                f"{folder} was saved by an older bigbird, without checksums, and this one does not resume from it. "
                f"Finish the run with the bigbird that began it, or begin a new one that starts from its best model: "
                f"--set start={self.folder.parent / 'model'}"
            )
        return found

    def _instead(self, step: int | None) -> str:
        others = [number for number in self.steps() if number != step]
        if step is not None and others:
            return f"There are the states of {_listed(others)} too."
        model = self.folder.parent / "model"
        return (
            f"No sound state is left to resume from. The best model so far is {model}; begin a new run in a new folder."
        )

    def _commit(self, part: Path, final: Path) -> None:
        if final.exists():  # the same step once more, now with its evaluation
            self._put_aside(int(final.name.removeprefix(_NAME)))
        part.rename(final)
        sync(self.folder)

    def _put_aside(self, step: int) -> None:
        """Hidden first, removed later: a half-removed state would look like a damaged one."""
        aside = self.folder / f".{_name_of(step)}{_ASIDE}"
        shutil.rmtree(aside, ignore_errors=True)
        self.of_step(step).rename(aside)

    def _remove_leftovers(self) -> None:
        for path in self.folder.glob(f".{_NAME}*"):
            if path.suffix in (_PART, _ASIDE):
                shutil.rmtree(path, ignore_errors=True)  # what stays is tried again after the next state

    def _not_written(self, step: int, error: OSError, num_bytes: int) -> str:
        steps = self.steps()
        last = f"The last good state is that of step {steps[-1]}" if steps else "There is no earlier state"
        there = next(place for place in (self.folder, *self.folder.absolute().parents) if place.exists())
        return (
            f"the state of step {step} could not be written to {self.folder}: {error.strerror or error} "
            f"(it takes about {num_bytes:,} bytes, {shutil.disk_usage(there).free:,} are free). {last}; make room and "
            f"go on with --resume"
        )


def has_state(folder: Path) -> bool:
    """True when there is a saved state, sound or not."""
    return bool(_steps(folder))


def _steps(folder: Path) -> list[int]:
    numbers = {path.name: path.name.removeprefix(_NAME) for path in folder.glob(f"{_NAME}*")}
    steps = {name: int(number) for name, number in numbers.items() if number.isdecimal()}
    return sorted(step for name, step in steps.items() if name == _name_of(step))


def _name_of(step: int) -> str:
    return f"{_NAME}{step:09d}"


def _written(folder: Path, files: Mapping[str, Write]) -> dict[str, FileNote]:
    notes: dict[str, FileNote] = {}
    for name, write in files.items():
        with noted_file(folder / name) as file:
            write(file)
        notes[name] = file.note
    return notes


def _is_of_format_1(folder: Path) -> bool:
    """States had no manifest, and the counters stood in state.json without a name around them."""
    try:
        values = json.loads((folder / "state.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and "step" in values


def _listed(steps: list[int]) -> str:
    return f"step {steps[0]}" if len(steps) == 1 else f"steps {', '.join(map(str, steps))}"
