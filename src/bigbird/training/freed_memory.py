"""Freed memory that lies in pieces: given back before a run of many lengths outgrows what it was told to need."""

from __future__ import annotations

from collections.abc import Callable

from bigbird.machine import give_back_freed_memory
from bigbird.training.memory_used import memory_used

TOLERATED = 0.5  # of what a step uses in passing; giving back makes the next step slower by about a third


def _resident() -> int:
    return memory_used().resident


class FreedMemory:
    r"""Watches the memory of a process after each step.

    A step's tensors are freed, and the C library keeps their memory for the next step. When steps differ in length,
    what one leaves does not fit the next: a process of 1 GiB was seen to grow to 5 GiB in 2,000 steps. So all of it is
    given back when too much has piled up:

        bytes |            /|    /|           TOLERATED
              |   __/\__/\/ |/\/  |/\/        what a step uses in passing
              |___________________________    what stays
                steps       given back
    """

    def __init__(
        self, resident: Callable[[], int] = _resident, give_back: Callable[[], bool] = give_back_freed_memory
    ) -> None:
        self._resident, self._give_back = resident, give_back
        self._stays: int | None = None  # bytes after the last giving back
        self._in_passing = 0
        self._is_fresh = False

    def after_step(self) -> None:
        """Call when nothing of the step is held any more."""
        resident = self._resident()
        if self._stays is None or self._is_fresh:  # a step after giving back shows what a step uses in passing
            stays = self._release() if self._stays is None else self._stays
            self._in_passing, self._is_fresh = max(self._in_passing, resident - stays), False
        elif resident > self._stays + (1 + TOLERATED) * self._in_passing:
            self._release()

    def _release(self) -> int:
        self._give_back()
        self._stays, self._is_fresh = self._resident(), True
        return self._stays
