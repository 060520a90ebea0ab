"""`bigbird train --processes N`: the run's processes on this machine, through PyTorch's own launcher."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from bigbird.training.distributed import LAUNCHER

_SPOKEN = "bigbird: "  # how the command line begins the one line it says of a mistake
_LINES_OF_A_TRACEBACK = 60
_SECONDS_TO_SAVE = 120  # after a signal; then the launcher kills


def launch(num_processes: int, arguments: Sequence[str]) -> int:
    """Run `bigbird ARGUMENTS` in `num_processes` processes and return the exit code of the first that failed, or 0.

    Process 0 has this terminal. What another one says is shown only when it is the one that failed. SIGTERM and SIGINT
    are passed on to all, which have _SECONDS_TO_SAVE, and give 143 and 130. When this process itself is killed, SIGTERM
    comes to all of them (Linux).
    """
    _silence_the_launcher()
    os.environ[LAUNCHER] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // num_processes)))
    with tempfile.TemporaryDirectory(prefix="bigbird-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_processes,
            run_id="bigbird",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            shutdown_timeout=_SECONDS_TO_SAVE,
            logs_specs=DefaultLogsSpecs(folder, redirects=dict.fromkeys(range(1, num_processes), Std.ALL)),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "bigbird", *arguments)
        except ChildFailedError as error:
            return _told(error.failures, Path(folder))
        except SignalException as stop:
            return 128 + stop.sigval
        finally:
            del os.environ[LAUNCHER]  # whoever starts processes after us is the parent of his own
    return 0


def _silence_the_launcher() -> None:
    """What PyTorch's launcher logs is said here, in one line. Each of its loggers has a level of its own."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _told(failures: Mapping[int, ProcessFailure], folder: Path) -> int:
    """Say why the run ended, unless process 0 has said it, and return the exit code."""
    # Who is stopped by SIGTERM (143 if it saves), or loses another one (1), is the victim of the one that failed first.
    rank = min(failures, key=lambda rank: (failures[rank].exitcode in (1, 143, -signal.SIGTERM), rank))
    code = failures[rank].exitcode
    if code < 0:
        name = signal.Signals(-code).name
        hint = " (the machine may have run out of memory)" if -code == signal.SIGKILL else ""
        _say(f"{_SPOKEN}process {rank} of the run was ended by {name}{hint}")
        return 128 - code
    if rank > 0:
        _say(_last_words(rank, folder))
    return code


def _last_words(rank: int, folder: Path) -> str:
    """The line a mistake was told in, or the traceback of an error nobody foresaw."""
    lines = [line for path in folder.glob(f"*/attempt_0/{rank}/stderr.log") for line in path.read_text().splitlines()]
    spoken = [line for line in lines if line.startswith(_SPOKEN)]
    if spoken:
        return f"{_SPOKEN}process {rank}: {spoken[-1].removeprefix(_SPOKEN)}"
    return "\n".join([*lines[-_LINES_OF_A_TRACEBACK:], f"{_SPOKEN}process {rank} of the run failed, see above"])


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201
