"""Before `auto` relies on the Triton backend it tries it out on small known problems, once in a process for each kind.

The Triton kernels were written where there was no GPU and have never run on one. So the first answer that a machine
gets from them is one whose truth is known: computed on the CPU by `gathered`, in float64.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from bigbird.attention import gathered, triton_gpu
from bigbird.attention.pattern import BlockPattern, lasting, opaque
from bigbird.attention.spec import PatternSpec

LENGTH = 2048  # tokens; the shortest whose global rows the kernels compute in pieces

# The error that is allowed, as a share of the largest number. Kernels in order stay about ten times below; one that
# reads a wrong block is as wrong as its results are large, and behind a mask stands NaN.
_TOLERANCE = {torch.float32: 3e-5, torch.float16: 5e-3, torch.bfloat16: 4e-2}

Attend = Callable[..., Tensor]
_Kind = tuple[torch.device, torch.dtype, int, int]

_findings: dict[_Kind, str] = {}
_said: set[tuple[_Kind, str]] = set()


@opaque
def why_not(device: torch.device, dtype: torch.dtype, head_dim: int, block_size: int, *, aloud: bool) -> str:
    """Why `auto` passes Triton over for such tensors, "" if it does not; aloud: warns, the first time.

    Tries it out where that was not done yet, except while a CUDA graph is captured, when nothing may be tried.
    """
    kind = (device, dtype, head_dim, block_size)
    if kind in _findings:
        finding = _findings[kind]
    elif device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        finding = "was not tried out before this CUDA graph was captured (call once outside of it)"
    else:
        finding = disagreement(triton_gpu.forward, device=device, dtype=dtype, head_dim=head_dim, block_size=block_size)
        _findings[kind] = finding
    if finding and aloud and (kind, finding) not in _said:
        _said.add((kind, finding))
        warnings.warn(
            f"block_sparse_attention: on {device} with {dtype}, head_dim {head_dim} and blocks of {block_size} the "
            f"triton backend {finding}; backend='auto' goes on with gathered, backend='triton' takes it all the same.",
            RuntimeWarning,
            stacklevel=2,
        )
    return finding


def disagreement(attend: Attend, *, device: torch.device, dtype: torch.dtype, head_dim: int, block_size: int) -> str:
    """How outputs or gradients of `attend` differ from the truth, or what it raises; "" when all is well."""
    with _undisturbed(device):
        for problem in _problems(head_dim, block_size):
            rounded = problem.rounded_to(dtype)
            right = _results(gathered.forward, rounded, torch.device("cpu"), torch.float64)
            try:
                found = [x.double().cpu() for x in _results(attend, rounded, device, dtype)]
            except Exception as failure:  # noqa: BLE001  whatever a compiler or driver raises, auto goes on and says it
                return f"raised {type(failure).__name__} on a small problem ({_first_line(failure)})"
            for name, value, true in zip(("outputs", "dq", "dk", "dv"), found, right, strict=True):
                error, largest = (float(x.abs().max()) for x in (value - true, true))
                if not error <= _TOLERANCE[dtype] * largest:  # NaN is not <= either
                    return (
                        f"gave wrong {name} on a small problem (off by {error:.1e} where the largest is {largest:.1e})"
                    )
    return ""


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Whoever infers, traces or exports at the moment: gradients are computed, and nobody writes down how."""
    with torch._C.DisableTorchFunction(), lasting(), torch.enable_grad(), torch.autocast(device.type, enabled=False):  # noqa: SLF001
        yield


class _Problem(NamedTuple):
    """q, k, v, grad_out: [batch, heads, length, head_dim]"""

    q: Tensor
    k: Tensor
    v: Tensor
    grad_out: Tensor
    pattern: BlockPattern
    key_mask: Tensor | None

    def rounded_to(self, dtype: torch.dtype) -> _Problem:
        """What a backend of that precision is given, and so what the truth is about."""
        q, k, v, grad_out = (x.to(dtype) for x in self[:4])
        return self._replace(q=q, k=k, v=v, grad_out=grad_out)


def _problems(head_dim: int, block_size: int) -> Iterator[_Problem]:
    """One whole, its heads with lists of their own; one ragged and masked, blocks counted more than once."""
    generator = torch.Generator().manual_seed(0)
    pattern = PatternSpec(block_size=block_size).build(num_blocks=LENGTH // block_size, num_heads=2)
    q, k, v, grad_out = torch.randn(4, 1, 2, LENGTH, head_dim, generator=generator)
    yield _Problem(q, k, v, grad_out, pattern, None)
    length = LENGTH + block_size // 2 + 1
    spec = PatternSpec(block_size=block_size, graph="transformers-eval")
    pattern = spec.build(num_blocks=spec.blocks_for(length), num_heads=2)
    q, k, v, grad_out = torch.randn(4, 2, 2, length, head_dim - 4, generator=generator)
    key_mask = torch.rand(2, length, generator=generator) < 0.8
    k, v = (x.masked_fill(~key_mask[:, None, :, None], torch.nan) for x in (k, v))
    yield _Problem(q, k, v, grad_out, pattern, key_mask)


def _results(attend: Attend, problem: _Problem, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Outputs and the gradients of q, k and v."""
    q, k, v, grad_out = (x.to(device, dtype) for x in problem[:4])
    inputs = [x.detach().requires_grad_() for x in (q, k, v)]
    key_mask = None if problem.key_mask is None else problem.key_mask.to(device)
    out = attend(*inputs, pattern=problem.pattern.to(device), key_mask=key_mask, scale=q.shape[3] ** -0.5)
    return out.detach(), *torch.autograd.grad(out, inputs, grad_out)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else "no message"
