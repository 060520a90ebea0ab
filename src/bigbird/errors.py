"""Every error bigbird raises on purpose. Each message says what was given, what is allowed and how to mend it.

BigBirdError
├── InputError            a caller's mistake; the command line prints it in one line and exits with 2
│   ├── ShapeError        a tensor, length or device that does not fit
│   ├── ConfigError       a setting that is unknown, ill-typed or contradicts another
│   ├── DataError         a file or record that cannot be used (names the file and, where it can, the line)
│   └── CheckpointError   a model folder that is incomplete or damaged
├── BackendUnavailable    an attention backend was asked for by name and cannot serve the call
├── WrongAnswer           ours disagrees with the specification, so nothing is measured
├── TrainingFailed        a run that cannot go on; its saved state holds the weights of its last good step
├── RunStopped            a run that a signal ended; its state is saved. Exit code 143 (SIGTERM) or 130 (Ctrl-C)
└── MissingDependency     an optional package is absent; the message holds the install command
"""

from __future__ import annotations

import importlib
from types import ModuleType


class BigBirdError(Exception):
    """Base of all errors raised on purpose by this package."""


class InputError(BigBirdError, ValueError):
    """A caller's mistake."""


class ShapeError(InputError):
    """A tensor, length or device that does not fit."""


class ConfigError(InputError):
    """A setting that is unknown, ill-typed or contradicts another."""


class DataError(InputError):
    """A file or record that cannot be used."""


class CheckpointError(InputError):
    """A model folder that is incomplete or damaged."""


class BackendUnavailable(BigBirdError, RuntimeError):
    """An attention backend was asked for by name and cannot serve the call."""


class WrongAnswer(BigBirdError, RuntimeError):
    """An implementation disagrees with the specification."""


class TrainingFailed(BigBirdError, RuntimeError):
    """A run that cannot go on."""


class RunStopped(BigBirdError):
    """A run that a signal ended, as was asked of it."""

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number  # what a shell makes of a signal


class MissingDependency(BigBirdError, ImportError):
    """An optional package is not installed."""


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional `module`, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependency(
            f"{purpose} needs {package}, which is not installed. Run: pip install 'bigbird[{extra}]'"
        ) from error
