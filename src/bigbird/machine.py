"""This machine: its processor, how much memory is left, and what becomes of memory that is given back."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import torch

from bigbird.errors import ConfigError

_PROCESSOR = Path("/proc/cpuinfo")
_MEMORY = Path("/proc/meminfo")
_CONTAINER_LIMITS = (  # cgroup 2 and 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_GIB = 2**30


def processor() -> dict[str, str]:
    """What Linux says of the first core: "vendor_id", "cpu family", "model name", "flags", ...; empty elsewhere."""
    if not _PROCESSOR.exists():
        return {}
    first, *_ = _PROCESSOR.read_text().split("\n\n")
    fields = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in fields}


def check_memory(num_bytes: float, what: str, *, device: str = "cpu", cure: str) -> None:
    """Raise when `what` needs more than is available; `num_bytes` is what it needs at the very least."""
    available = available_bytes(device)
    if available is not None and num_bytes > available:
        where = "" if device == "cpu" else f" on {device}"
        raise ConfigError(
            f"{what} needs {_in_gib(num_bytes)} of memory or more, {_in_gib(available)} are available{where}. {cure}"
        )


def available_bytes(device: str = "cpu") -> int | None:
    """What new tensors can have: the free memory of a GPU, or of this machine or container; None when nothing tells."""
    if device != "cpu":
        return torch.cuda.mem_get_info(device)[0]
    known = [size for size in (_of_machine(), *map(_of_container, _CONTAINER_LIMITS)) if size is not None]
    return min(known, default=None)


def _of_machine() -> int | None:
    if _MEMORY.exists():
        fields = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
        return 1024 * int(fields["MemAvailable"].split()[0])
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_container(limit: Path) -> int | None:
    text = limit.read_text().strip() if limit.exists() else ""
    return int(text) if text.isdecimal() else None  # "max": no limit


def _in_gib(num_bytes: float) -> str:
    return f"{num_bytes / _GIB:,.1f} GiB"


def keep_freed_memory() -> bool:
    """Let this process keep what its tensors give back, for the next ones; whether the C library could be told.

    glibc returns every large block to the system at once, and the next one costs a page fault per 4 KiB: a third of a
    training step on a CPU. Kept, the process's peak is up to a quarter higher. For programs, not for libraries:
    it holds for everything in the process. Nothing happens elsewhere than on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    is_told = any(mallopt(_M_MMAP_THRESHOLD, size) for size in (2**30, 2**25))  # older ones take 32 MiB at most
    return bool(is_told and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def give_back_freed_memory() -> bool:
    """Return to the system what tensors have given back and the C library keeps; whether it could be told to."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:
        trim(0)
    return trim is not None


def end_with(parent: int) -> None:
    """Let SIGTERM come to this process when its parent, of that number, ends, or has ended. On Linux; else nothing."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
