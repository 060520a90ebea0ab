"""SIGTERM and Ctrl-C: the first asks a run to stop after its step, a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from bigbird.errors import BigBirdError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SAME_REQUEST_SECONDS = 1.0  # `timeout` and torchrun send a process one request more than once, at the same moment


class Interrupted(BigBirdError):
    """Raised out of a block that `StopRequests.interrupting` marks as one that may be left at any point."""


class StopRequests:
    """Notices the signals that ask a run to stop; use as a context around it.

    Python lets the main thread alone receive signals; in another thread nothing is noticed and signals do what they
    did before.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._since = 0.0
        self._may_interrupt = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def is_requested(self) -> bool:
        """True once a signal has come."""
        return self.signal_number != 0

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """A block that changes nothing and may take long: a request raises `Interrupted` out of it."""
        self._may_interrupt = True
        try:
            if self.is_requested:
                raise Interrupted
            yield
        finally:
            self._may_interrupt = False

    def _receive(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.is_requested:
            if now - self._since > _SAME_REQUEST_SECONDS:
                os._exit(128 + number)  # what is half-written has a temporary name, and the next start removes it
            return
        self.signal_number, self._since = number, now
        if self._may_interrupt:
            raise Interrupted
