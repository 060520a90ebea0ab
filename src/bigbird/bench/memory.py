"""How much memory one call needs: measured in a process of its own, where nothing else has been.

python -m bigbird.bench.memory attention CONTENDER LENGTH SHAPE     prints the bytes by which the process's peak grew
python -m bigbird.bench.memory layer CONTENDER LENGTH MODELBENCH    (the last is JSON)
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from bigbird import config as configs
from bigbird.attention import PatternSpec
from bigbird.bench.contenders import CONTENDERS, Shape

if TYPE_CHECKING:
    from bigbird.bench.model import ModelBench

Call = Callable[[], object]


def peak_of(what: Literal["attention", "layer"], name: str, length: int, settings: Shape | ModelBench) -> int | None:
    """Bytes by which one forward (and, where there is one, backward) pass raises the peak of a new process.

    `settings` describe everything but the length. The input does not count, what is returned does. None when the call
    failed.
    """
    values = json.dumps(configs.to_json(settings))
    command = [sys.executable, "-m", "bigbird.bench.memory", what, name, str(length), values]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(found.stdout.split()[-1]) if found.returncode == 0 else None


def _attention(name: str, length: int, values: Mapping[str, Any]) -> Call:
    contender, shape = CONTENDERS[name], replace(configs.from_json(Shape, values, source="shape"), length=length)
    qkv = shape.tensors(requires_grad=contender.can_learn)
    grad = torch.ones_like(qkv[0])
    attend = contender.prepare(shape)

    def call() -> object:
        out = attend(*qkv)
        return torch.autograd.grad(out, qkv, grad) if contender.can_learn else out

    return call


def _layer(name: str, length: int, values: Mapping[str, Any]) -> Call:
    from bigbird.bench.model import ModelBench, layers  # noqa: PLC0415  bench.model calls this module

    config = configs.from_json(ModelBench, values, source="settings")
    (subject,) = (s for s in layers(config, length, lambda _: None) if s.name == name)
    assert subject.learn is not None
    return subject.learn


def growth(call: Call) -> int:
    """Bytes by which one call raises the peak of this process above what it holds now."""
    before = _begin()
    call()
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


def _first_length(values: Mapping[str, Any], length: int) -> int:
    """Tokens of a first call, which loads whatever is loaded once: as few as every contender can do."""
    spec = configs.from_json(PatternSpec, values["spec"], source="spec")
    num_blocks = spec.window_blocks + spec.global_blocks + spec.random_blocks
    return min(length, max(1, num_blocks) * spec.block_size)


def main(what: str, name: str, length: int, settings: str) -> int:
    """Growth of this process's peak."""
    prepare, values = {"attention": _attention, "layer": _layer}[what], json.loads(settings)
    prepare(name, _first_length(values, length), values)()
    return growth(prepare(name, length, values))


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))  # noqa: T201
