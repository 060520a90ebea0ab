"""`bigbird bench attention`: attention alone, ours and the others', over growing lengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bigbird.attention import PatternSpec, block_sparse_attention
from bigbird.bench.contenders import (
    CANNOT,
    CONTENDERS,
    OURS,
    Attend,
    Contender,
    Dtype,
    Shape,
    dense_operations,
    in_one_line,
    useful_operations,
)
from bigbird.bench.memory import peak_of
from bigbird.bench.timing import Timing, first_call, in_turn, matmul_rate
from bigbird.errors import ConfigError, WrongAnswer
from bigbird.machine import check_memory

_CHECKED_LENGTH = 1024
Pass = Literal["forward", "forward and backward"]
PASSES: tuple[Pass, ...] = ("forward", "forward and backward")


@dataclass(frozen=True, kw_only=True)
class AttentionBench:
    """What to measure.

    lengths          in tokens
    contenders       names, or the beginnings of names; () for everybody
    rounds           measurements of each, taken in turn
    seconds_limit    who needs longer for one call at one length takes no part in longer ones
    memory           also measure how much memory a call needs, each in a process of its own
    """

    lengths: tuple[int, ...] = (1024, 2048, 4096, 8192, 16384)
    dtype: Dtype = "float32"
    num_heads: int = 12
    head_dim: int = 64
    spec: PatternSpec = field(default_factory=PatternSpec)
    contenders: tuple[str, ...] = ()
    rounds: int = 7
    seconds_limit: float = 5.0
    memory: bool = True

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 1 or self.rounds < 1:
            raise ConfigError(f"lengths and rounds must be at least 1, got {list(self.lengths)} and {self.rounds}")
        for name in ("num_heads", "head_dim"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.seconds_limit < math.inf:
            raise ConfigError(f"seconds_limit must be a finite number of seconds above 0, got {self.seconds_limit}")
        for name in self.contenders:
            if not any(known.startswith(name) for known in CONTENDERS):
                raise ConfigError(f"contender {name!r} is unknown; there are {', '.join(CONTENDERS)}")

    def chosen(self) -> list[Contender]:
        """Those who are to take part."""
        wanted = self.contenders or ("",)
        return [c for name, c in CONTENDERS.items() if any(name.startswith(beginning) for beginning in wanted)]

    def shape(self, length: int) -> Shape:
        """One call."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return Shape(
            length=length,
            num_heads=self.num_heads,
            head_dim=self.head_dim,
            dtype=self.dtype,
            device=device,
            spec=self.spec,
        )


def run(config: AttentionBench, *, say: Callable[[str], None]) -> dict[str, object]:
    """Check everybody, then time and weigh those who are right."""
    _check_room(config)
    able = dict(_checked(config, say))
    results: list[dict[str, object]] = []
    device = config.shape(1).device
    limit = matmul_rate(getattr(torch, config.dtype), device)
    still = {name: set(PASSES) for name in able}
    for length in sorted(config.lengths):
        shape = config.shape(length)
        timed: dict[str, set[Pass]] = {name: set() for name in able}
        for kind in PASSES:
            runs = dict(_runs({name: able[name] for name in able if kind in still[name]}, shape, kind, say))
            runs, slow = _tried(runs, config.seconds_limit, f"{length:,} tokens, {kind}", say)
            for name in slow:
                still[name].discard(kind)
            for name, timing in in_turn(runs, rounds=config.rounds, say=say).items():
                timed[name].add(kind)
                results.append(_result(able[name], shape, kind, timing))
                say(_line(results[-1]))
        if config.memory and device == "cpu":
            results += _weighed(able, timed, shape, say)
    if not results:
        raise ConfigError(
            f"nothing was timed: nobody takes part, or nobody is done within seconds_limit {config.seconds_limit:g}; "
            f"the lines above name each one's reason"
        )
    return {
        "machine_limit": {"operations_per_second": limit._asdict(), "what": "matrix product, 2048 x 2048"},
        "results": results,
    }


def _check_room(config: AttentionBench) -> None:
    for shape in (replace(config.shape(_CHECKED_LENGTH), num_heads=2), config.shape(max(config.lengths))):
        check_memory(
            shape.least_bytes,
            f"one call at {shape.length:,} tokens, {shape.num_heads:,} heads of {shape.head_dim:,} and blocks of "
            f"{shape.spec.block_size:,}",
            device=shape.device,
            cure="Give smaller lengths, num_heads, head_dim or spec.block_size.",
        )


def _tried(
    runs: Mapping[str, Callable[[], object]], seconds_limit: float, when: str, say: Callable[[str], None]
) -> tuple[dict[str, Callable[[], object]], list[str]]:
    """Those who can do one call within the limit, and the names of those who need longer."""
    taken = {name: first_call(f"{when}: {name}", run_once, say=say) for name, run_once in runs.items()}
    slow = [name for name, seconds in taken.items() if seconds is not None and seconds > seconds_limit]
    for name in slow:
        say(f"{when}: {name} needs over {seconds_limit:g} s, left out from here")
    quick = {name: once for name, once in runs.items() if taken[name] is not None and name not in slow}
    return quick, slow


def _checked(config: AttentionBench, say: Callable[[str], None]) -> Iterator[tuple[str, Contender]]:
    """The contenders whose answers and gradients are right; ours must be."""
    for contender in config.chosen():
        try:
            error, allowed = _worst_error(contender, replace(config.shape(_CHECKED_LENGTH), num_heads=2))
        except CANNOT as reason:
            say(f"{contender.name} takes no part: {in_one_line(reason)}")
            continue
        if error <= allowed:
            say(f"{contender.name}: correct at {_CHECKED_LENGTH} tokens (error {error:.1e}, allowed {allowed:.1e})")
            yield contender.name, contender
        elif contender.name in OURS:
            raise WrongAnswer(f"{contender.name} is wrong (error {error:.1e}, allowed {allowed:.1e}): nothing is timed")
        else:
            say(f"{contender.name} is not timed: error {error:.1e}, allowed {allowed:.1e}")


def _worst_error(contender: Contender, shape: Shape) -> tuple[float, float]:
    """Largest error of outputs and gradients against float64, and twice that of dense PyTorch in this precision."""
    attend = contender.prepare(shape)
    low = shape.tensors(requires_grad=contender.can_learn)
    exact = [x.detach().double().requires_grad_(contender.can_learn) for x in low]
    plain = [x.detach().clone().requires_grad_(contender.can_learn) for x in low]

    def specification(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if contender.pattern is None:
            return F.scaled_dot_product_attention(q, k, v)
        return block_sparse_attention(q, k, v, pattern=contender.pattern(shape), backend="reference")

    right = _outputs(specification, exact, contender.can_learn)
    reference = _outputs(specification, plain, contender.can_learn)
    ours = _outputs(attend, low, contender.can_learn)
    errors = [
        (float((value.double() - true).abs().max()), 2 * float((other.double() - true).abs().max()))
        for value, other, true in zip(ours, reference, right, strict=True)
    ]
    floor = 4 * torch.finfo(low[0].dtype).eps
    error, allowed = max(errors, key=lambda pair: pair[0] - pair[1])
    return error, allowed + floor


def _outputs(attend: Attend, qkv: Sequence[Tensor], can_learn: bool) -> list[Tensor]:
    out = attend(*qkv)
    if not can_learn:
        return [out]
    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(out.device, out.dtype)
    return [out.detach(), *torch.autograd.grad(out, list(qkv), grad)]


def _runs(
    able: Mapping[str, Contender], shape: Shape, kind: Pass, say: Callable[[str], None]
) -> Iterator[tuple[str, Callable[[], object]]]:
    learns = kind != "forward"
    qkv = shape.tensors(requires_grad=learns)
    grad = torch.randn(qkv[0].shape, generator=torch.Generator().manual_seed(1)).to(qkv[0].device, qkv[0].dtype)
    for name, contender in able.items():
        if learns and not contender.can_learn:
            continue
        try:
            yield name, _once(contender.prepare(shape), qkv, grad if learns else None)
        except CANNOT as reason:
            say(f"{shape.length:,} tokens: {name} takes no part: {in_one_line(reason)}")


def _once(attend: Attend, qkv: Sequence[Tensor], grad: Tensor | None) -> Callable[[], object]:
    if grad is None:
        return lambda: attend(*qkv)
    return lambda: torch.autograd.grad(attend(*qkv), list(qkv), grad)


def _result(contender: Contender, shape: Shape, kind: Pass, timing: Timing) -> dict[str, object]:
    useful = (
        dense_operations(shape)
        if contender.pattern is None
        else useful_operations(contender.pattern(shape), shape.head_dim)
    )
    useful *= 1.0 if kind == "forward" else 3.5
    return {
        "contender": contender.name,
        "length": shape.length,
        "pass": kind,
        "seconds": timing.seconds._asdict(),
        "times_the_first": timing.times_the_first._asdict(),
        "operations_per_second": float(f"{useful / timing.seconds.median:.4g}"),
    }


def _line(result: Mapping[str, Any]) -> str:
    return (
        f"{result['length']:>7,} tokens, {result['pass']}: {result['contender']:34} "
        f"{1e3 * result['seconds']['median']:9.1f} ms  {result['times_the_first']['median']:7.2f} x the first  "
        f"{result['operations_per_second'] / 1e9:7.0f} GFLOP/s"
    )


def _weighed(
    able: Mapping[str, Contender], timed: Mapping[str, set[Pass]], shape: Shape, say: Callable[[str], None]
) -> Iterator[dict[str, object]]:
    for name in able:
        kind: Pass = "forward and backward" if able[name].can_learn else "forward"
        if kind in timed[name]:
            peak = peak_of("attention", name, shape.length, shape)
            if peak is None:
                say(f"{shape.length:>7,} tokens, {kind}: the memory of {name} could not be measured")
            else:
                say(f"{shape.length:>7,} tokens, {kind}: {name:34} {peak / 2**20:9.0f} MiB more at its peak")
                yield {"contender": name, "length": shape.length, "pass": kind, "peak_bytes": peak}
