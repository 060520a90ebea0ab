"""How much memory one call needs: measured in a process of its own, where nothing else has been.

python -m bigbird.bench.memory attention CONTENDER LENGTH DTYPE    prints the bytes by which the process's peak grew
python -m bigbird.bench.memory layer CONTENDER LENGTH DTYPE
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bigbird.bench.contenders import CONTENDERS, Shape

_SMALL = 512  # tokens of a first call, which loads whatever is loaded once


def peak_of(what: str, name: str, length: int, dtype: str) -> int | None:
    """Bytes by which one forward (and, where there is one, backward) pass raises the peak of a new process.

    Its input does not count, what it returns does. None when the call failed.
    """
    command = [sys.executable, "-m", "bigbird.bench.memory", what, name, str(length), dtype]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(found.stdout.split()[-1]) if found.returncode == 0 else None


def _attention(name: str, length: int, dtype: Any) -> Callable[[], object]:
    contender, shape = CONTENDERS[name], Shape(length=length, dtype=dtype)
    qkv = shape.tensors(requires_grad=contender.can_learn)
    grad = torch.ones_like(qkv[0])
    attend = contender.prepare(shape)

    def call() -> object:
        out = attend(*qkv)
        return torch.autograd.grad(out, qkv, grad) if contender.can_learn else out

    return call


def _layer(name: str, length: int, dtype: Any) -> Callable[[], object]:
    from bigbird.bench.model import ModelBench, layers  # noqa: PLC0415  bench.model calls this module

    (subject,) = (s for s in layers(ModelBench(dtype=dtype), length, lambda _: None) if s.name == name)
    assert subject.learn is not None
    return subject.learn


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


def main(what: str, name: str, length: int, dtype: str) -> int:
    """Growth of this process's peak."""
    prepare = {"attention": _attention, "layer": _layer}[what]
    prepare(name, _SMALL, dtype)()
    call = prepare(name, length, dtype)
    before = _begin()
    call()
    return _peak() - before


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))  # noqa: T201
