"""How much memory one call of a contender needs: run by `bench attention` in a process of its own.

python -m bigbird.bench.memory CONTENDER LENGTH DTYPE    prints the bytes by which the process's peak grew
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

from bigbird.bench.contenders import CONTENDERS, Shape


def peak_bytes(name: str, length: int, dtype: str) -> int:
    """Growth of the peak while one forward (and, where there is one, backward) pass runs, beyond its input tensors."""
    contender = CONTENDERS[name]
    small, shape = (Shape(length=n, dtype=dtype) for n in (512, length))  # type: ignore[arg-type]
    for one in (small, shape):  # the small call loads whatever is loaded once
        qkv = one.tensors(requires_grad=contender.can_learn)
        grad = torch.ones_like(qkv[0])
        attend = contender.prepare(one)
        before = _begin()
        out = attend(*qkv)
        if contender.can_learn:
            torch.autograd.grad(out, qkv, grad)
    return _peak() - before


def _begin() -> int:
    """Forget the peak so far, which importing PyTorch made; bytes in use now."""
    forget = Path("/proc/self/clear_refs")
    if not forget.exists():
        return _peak()
    forget.write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    print(peak_bytes(sys.argv[1], int(sys.argv[2]), sys.argv[3]))  # noqa: T201
