"""How much memory this machine has left, asked before more than that is wanted."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from bigbird.errors import ConfigError

_MEMORY = Path("/proc/meminfo")
_CONTAINER_LIMITS = (  # cgroup 2 and 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_GIB = 2**30


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
