"""Saves a run's state in the background, and finds the one to go on from."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from bigbird.training.distributed import Ranks
from bigbird.training.engine_state import Tensors
from bigbird.training.resumed_metrics import cut_to, position_of
from bigbird.training.state import Progress, State, read_state
from bigbird.training.state_store import StateStore


class Layout(Protocol):
    """Where weights and optimizer lie; all processes of a run call the same methods.

    Whole tensors, on the CPU, by name: process 0 has them, the others hand over and get an empty dict.
    """

    def weights(self) -> Tensors:
        """Copies of the weights."""

    def optimizer_tensors(self) -> Tensors:
        """Copies of the optimizer's state."""

    def put_back(self, *, weights: Tensors, optimizer_tensors: Tensors) -> None:
        """The reverse."""


class Resumed(NamedTuple):
    """Where a run goes on.

    metrics_bytes  the size metrics.jsonl had then
    told           what is wrong with newer states that were passed over
    """

    progress: Progress
    metrics_bytes: int
    told: list[str]


class StateKeeper:
    """The states of one run; use as a context around its steps.

    A state is copied to CPU memory, which takes no longer than the copy, and written by a thread while the run goes on.
    One is written at a time: the next save waits for it. What goes wrong in the thread is raised by the next call.
    All processes of a run call the same methods; process 0 alone reads and writes.
    """

    def __init__(self, store: StateStore, layout: Layout, ranks: Ranks, *, metrics: Path) -> None:
        """`metrics` is the run's metrics.jsonl, which goes back with the rest."""
        self._store, self._layout, self._ranks, self._metrics = store, layout, ranks, metrics
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="saving")
        self._pending: Future[None] | None = None
        self._saved: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._worker:  # its thread ends here, whatever is raised
            if error is None:
                self.wait()
            elif self._pending is not None and (failure := self._pending.exception()) is not None:
                error.add_note(str(failure))  # the first thing that went wrong is the one to be told

    def begin(self) -> None:
        """Clear away what a run left that was killed before its first state."""
        self._ranks.on_first(lambda: self._clear_the_way(None))

    def resume(self, step: int | None = None) -> Resumed:
        """Put the newest sound state, or that of `step`, into the model and the optimizer.

        Then states of later steps go, and so does what metrics.jsonl says of them.
        """
        weights: Tensors = {}  # filled in process 0
        optimizer: Tensors = {}

        def read() -> Resumed:
            number, told = self._store.newest_sound(step)
            state = read_state(self._store.of_step(number))
            weights.update(state.weights)
            optimizer.update(state.optimizer)
            return Resumed(state.progress, state.metrics_bytes, told)

        resumed = self._ranks.on_first(read)
        self._layout.put_back(weights=weights, optimizer_tensors=optimizer)
        self._saved = replace(resumed.progress)
        self._ranks.on_first(lambda: self._clear_the_way(resumed))
        return resumed

    def save(self, progress: Progress) -> None:
        """Save the run as it is now, unless that has been done."""
        if progress == self._saved:
            return
        self.wait()  # before copying: two copies may be more than there is room for
        weights, optimizer = self._layout.weights(), self._layout.optimizer_tensors()
        self._saved = replace(progress)
        if self._ranks.is_first:
            position = position_of(self._metrics)
            state = State(progress=self._saved, metrics_bytes=position, weights=weights, optimizer=optimizer)
            self._pending = self._worker.submit(self._write, state)

    @property
    def has_failed(self) -> bool:
        """True when a state could not be written, which `wait` raises."""
        return self._pending is not None and self._pending.done() and self._pending.exception() is not None

    def wait(self) -> None:
        """Until the last state is on the disk; raises, in every process, what went wrong."""
        self._ranks.on_first(self._last_written)

    def _last_written(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(self, state: State) -> None:
        self._store.write(state.progress.step, state.files(), num_bytes=state.num_bytes)

    def _clear_the_way(self, resumed: Resumed | None) -> None:
        self._store.clear_parts()
        if resumed is not None:
            self._store.forget_after(resumed.progress.step)
        if missing := cut_to(self._metrics, 0 if resumed is None else resumed.metrics_bytes):
            assert resumed is not None
            resumed.told.append(missing)
