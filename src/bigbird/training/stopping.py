"""SIGTERM and Ctrl-C: the first asks a run to stop after its step, a second one ends the process at once."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SAME_REQUEST_SECONDS = 1.0  # `timeout` and torchrun send a process one request more than once, at the same moment


class Interrupted(Exception):
    """Raised out of a block that `StopRequests.interrupting` marks as one that may be left; caught by who marked it."""


class StopRequests:
    """Notices the signals that ask a run to stop; use as a context around it.

    Python lets the main thread alone receive signals; in another thread nothing is noticed and signals do what they
    did before. The main thread takes a signal up between two operations, and one of them, the computation of a step's
    gradients, may last; a thread watches too, so that a second request need not wait for it.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._may_interrupt = False
        self._restore = ExitStack()

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in _SIGNALS:
            self._restore.callback(signal.signal, number, signal.signal(number, self._receive))
        ours, theirs = socket.socketpair()
        watcher = threading.Thread(target=_leave_at_the_second, args=(ours,), name="stopping", daemon=True)
        theirs.setblocking(False)  # Python writes each signal's number to it at once, whatever the main thread does
        self._restore.callback(watcher.join)
        self._restore.callback(theirs.close)
        self._restore.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False))
        watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore.close()

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
        if self.is_requested:
            return
        self.signal_number = number
        if self._may_interrupt:
            raise Interrupted


def _leave_at_the_second(signals: socket.socket) -> None:
    """End the process when a second request comes; return when nobody is going to send one."""
    first = 0.0
    with signals:
        while received := signals.recv(1):
            if received[0] not in _SIGNALS:
                continue
            first = first or time.monotonic()
            if time.monotonic() - first > _SAME_REQUEST_SECONDS:
                os._exit(128 + received[0])  # what is half-written has a temporary name, and the next start removes it
