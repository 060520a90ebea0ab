"""The processes of one run, each with one device: who they are, and the little they tell one another.

`torchrun`, or `bigbird train --processes N`, starts them and says in their environment who each is (RANK, WORLD_SIZE,
LOCAL_RANK); a process that nobody told is alone. On GPUs gradients and weights travel by NCCL, everything on CPUs by
Gloo. Objects are pickled by PyTorch on their way between the processes of one run; no pickle is ever a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from bigbird.errors import ConfigError, TrainingFailed
from bigbird.machine import end_with

Value = TypeVar("Value")

LAUNCHER = "BIGBIRD_LAUNCHER"  # environment variable: number of the process that `--processes` started, their parent

_LOST = ("onnection closed", "onnection reset", "roken pipe", "remote process", "eer closed")  # Gloo's and NCCL's words


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """One process among those of a run. Every method but `is_first` must be called by all of them, in one order.

    rank    from 0; process 0 alone writes files and speaks
    count   of processes
    device  this process' own
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """True for the process that writes and speaks."""
        return self.rank == 0

    def summed(self, *values: float) -> list[float]:
        """Each value summed over the processes, in float64."""
        if self.count == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(totals)
        return [float(total) for total in totals]

    def any_of(self, flag: bool) -> bool:
        """True when the flag is set in at least one process."""
        return self.summed(float(flag))[0] > 0

    def all_of(self, flag: bool) -> bool:
        """True when the flag is set in every process."""
        return not self.any_of(not flag)

    def gathered(self, values: Sequence[Value]) -> list[Value]:
        """The values of a share, `values` standing at places rank, rank + count, …, put together again everywhere."""
        if self.count == 1:
            return list(values)
        shares: list[Sequence[Value]] = [()] * self.count
        dist.all_gather_object(shares, list(values))
        total = sum(map(len, shares))
        return [shares[place % self.count][place // self.count] for place in range(total)]

    def on_first(self, function: Callable[[], Value]) -> Value:
        """What `function` gives in process 0; an error it raises there is raised in every process."""
        if self.count == 1:
            return function()
        outcome: list[tuple[Value | None, Exception | None]] = [(None, None)]
        if self.is_first:
            try:
                outcome = [(function(), None)]
            except Exception as error:  # noqa: BLE001  raised again below, here and everywhere
                outcome = [(None, error)]
        dist.broadcast_object_list(outcome, src=0)
        value, failure = outcome[0]
        if failure is not None:
            raise failure
        return value  # type: ignore[return-value]  # a Value unless there was an error

    def from_first(self, value: Value) -> Value:
        """The value that process 0 has."""
        return self.on_first(lambda: value)


ALONE = Ranks()


def alone() -> Ranks:
    """One process, with the GPU if there is one."""
    return Ranks(device=torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def processes_here() -> int:
    """Processes of the run on this machine, itself included."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def joined() -> Iterator[Ranks]:
    """This process as one of a run: alone, or connected with the others until the block ends."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or not dist.is_available():
        yield alone()
        return
    if LAUNCHER in os.environ:
        end_with(int(os.environ[LAUNCHER]))
    device = _own_device()
    store, rank, count = next(rendezvous("env://"))
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=_of_this_start(store), rank=rank, world_size=count)
    try:
        yield Ranks(rank=dist.get_rank(), count=count, device=device)
    except RuntimeError as error:
        if any(words in str(error) for words in _LOST):
            raise TrainingFailed(
                f"process {dist.get_rank()} of the run lost another one, whose own last words say why; start the run "
                f"again with --resume"
            ) from error
        raise
    finally:
        dist.destroy_process_group()


def _of_this_start(store: Any) -> Any:
    """The place where processes leave one another their addresses, without those of a start that failed.

    On one machine `torchrun` keeps the place when it starts the processes again (seen with PyTorch 2.13, where they
    then look for those that are gone). With several machines it makes a new one, and counts starts on each by itself.
    """
    if os.environ.get("LOCAL_WORLD_SIZE") != os.environ["WORLD_SIZE"]:
        return store
    return dist.PrefixStore(  # type: ignore[attr-defined]  # PyTorch exports it, its types do not
        f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store
    )


def _own_device() -> torch.device:
    """The GPU of this process' place on its machine."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    place, available = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if place >= available:
        raise ConfigError(
            f"{place + 1} or more processes were started on a machine with {available} GPUs; start at most one per "
            f"GPU, for example torchrun --nproc-per-node {available}"
        )
    torch.cuda.set_device(place)
    return torch.device("cuda", place)
