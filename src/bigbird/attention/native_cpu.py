"""The C++ kernels for CPUs in `native/`: loaded with ctypes, offered to PyTorch as operators.

Nothing is compiled here: installing bigbird builds the libraries where there is a C++ compiler (`hatch_build.py`).
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from bigbird.attention import operators
from bigbird.attention.pattern import BlockPattern, opaque
from bigbird.errors import BackendUnavailable, ShapeError

# Fastest first; each is a library of its own, asked whether this processor has what it needs.
BUILDS = ("avx512_amx", "avx512_bf16", "avx512", "avx2", "generic")

_ABI = 5  # BIGBIRD_ABI in native/problem.h
_FOLDER = Path(__file__).with_name("native")
ELEMENTS = {torch.float32: 0, torch.bfloat16: 1}  # ElementType of native/problem.h


def why_not(q: Tensor, _pattern: BlockPattern, /) -> str | None:
    """Needs a CPU tensor of float32 or bfloat16, and the library."""
    if q.device.type != "cpu":
        return f"it computes on the CPU, the tensors are on {q.device}"
    if q.dtype not in ELEMENTS:
        return f"it computes in float32 and bfloat16, got {q.dtype}"
    return _reason() or None


def library() -> ctypes.CDLL | None:
    """The kernels of this machine, if there are any; `bigbird.model.activation` has one there too."""
    return _library_or_reason()[0]


def instruction_set() -> str | None:
    """Which of `BUILDS` serves this machine; None without a library."""
    return _library_or_reason()[2] or None


def forward(q: Tensor, k: Tensor, v: Tensor, *, pattern: BlockPattern, key_mask: Tensor | None, scale: float) -> Tensor:
    """See `api.block_sparse_attention`. Products of bfloat16 are summed in float32."""
    out: Tensor = torch.ops.bigbird.native_attention(q, k, v, *lists_of(pattern, key_mask, scale))[0]
    return out


def lists_of(pattern: BlockPattern, key_mask: Tensor | None, scale: float) -> tuple[Tensor | int | float | None, ...]:
    """What follows the tensors in both operators: a pattern's lists, the mask and three numbers."""
    lists = (pattern.row_starts, pattern.key_blocks, pattern.key_counts)
    return *lists, key_mask, pattern.block_size, scale, pattern.is_causal


@opaque
def _reason() -> str:
    return _library_or_reason()[1]


@lru_cache(maxsize=1)
def _library_or_reason() -> tuple[ctypes.CDLL | None, str, str]:
    """The library, why there is none, and the name of its build."""
    wanted = os.environ.get("BIGBIRD_NATIVE_ISA")
    if wanted and wanted not in BUILDS:
        return None, f"BIGBIRD_NATIVE_ISA must be one of {', '.join(BUILDS)}, got {wanted!r}", ""
    reason = f"its library is not built{f' for {wanted}' if wanted else ''}; {_CURE}"
    for build in (wanted,) if wanted else BUILDS:
        path = _FOLDER / f"libbigbird_native_{build}.so"
        if not path.is_file():
            continue
        try:
            library = ctypes.CDLL(str(path))
        except OSError as error:
            reason = f"{path} cannot be loaded: {error}"
            continue
        if library.bigbird_abi() != _ABI:
            return None, f"{path} was built from other sources; {_CURE}", ""
        if library.bigbird_runs_here():
            return library, "", build
        reason = f"this processor cannot run its build for {build}"
    return None, reason, ""


_CURE = "install a C++ compiler (Debian, Ubuntu: apt install g++) and install bigbird again"


class _Lists(NamedTuple):
    """What `lists_of` gives, named."""

    row_starts: Tensor
    key_blocks: Tensor
    key_counts: Tensor
    key_mask: Tensor | None
    block_size: int
    scale: float
    is_causal: bool


class View(ctypes.Structure):
    """`TensorView` of native/problem.h, field by field."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("batch", ctypes.c_int64),
        ("head", ctypes.c_int64),
        ("row", ctypes.c_int64),
    )


class _Problem(ctypes.Structure):
    """`Problem` of native/problem.h, field by field."""

    _fields_ = (
        ("element", ctypes.c_int32),
        ("num_threads", ctypes.c_int32),
        *((name, ctypes.c_int64) for name in ("batch", "heads", "query_length", "key_length", "head_dim")),
        *((name, ctypes.c_int64) for name in ("block_size", "is_causal", "num_lists")),
        *((name, ctypes.c_void_p) for name in ("row_starts", "key_blocks", "key_counts", "key_mask")),
        ("scale", ctypes.c_float),
        *((name, View) for name in ("q", "k", "v", "out")),
        ("softmax", ctypes.c_void_p),
        *((name, View) for name in ("grad_out", "grad_q", "grad_k", "grad_v")),
    )


def _forward(q: Tensor, k: Tensor, v: Tensor, *lists: Any) -> tuple[Tensor, Tensor]:
    out, softmax = _forward_results(q, k, v, *lists)
    _call("bigbird_forward", {"q": q, "k": k, "v": v, "out": out}, softmax, _Lists(*lists))
    return out, softmax


def _forward_results(q: Tensor, _k: Tensor, _v: Tensor, *_lists: Any) -> tuple[Tensor, Tensor]:
    return _result_like(q), q.new_empty((*q.shape[:3], 2), dtype=torch.float32)


def _backward(
    grad_out: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, softmax: Tensor, *lists: Any
) -> tuple[Tensor, Tensor, Tensor]:
    gradients = _backward_results(grad_out, q, k, v)
    views = {"q": q, "k": k, "v": v, "out": out, "grad_out": grad_out}
    views |= dict(zip(("grad_q", "grad_k", "grad_v"), gradients, strict=True))
    _call("bigbird_backward", views, softmax, _Lists(*lists))
    return gradients


def _backward_results(
    _grad_out: Tensor, q: Tensor, k: Tensor, v: Tensor, *_others: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return _result_like(q), _result_like(k), _result_like(v)


def _result_like(x: Tensor) -> Tensor:
    """Room for a result, ordered as x in memory unless that scatters head_dim, which the library writes whole."""
    result = torch.empty_like(x)
    is_whole = result.stride(3) == 1 or x.shape[3] == 1
    return result if is_whole else torch.empty_like(x, memory_format=torch.contiguous_format)


operators.register(
    "native_attention",
    numbers="int block_size, float scale, bool is_causal",
    devices=("CPU",),
    forward=_forward,
    forward_results=_forward_results,
    backward=_backward,
    backward_results=_backward_results,
)


class _Facts(NamedTuple):
    """What a check needs to know of a list; `version` counts the changes PyTorch made to it in place."""

    version: int
    smallest: int
    largest: int
    is_ascending: bool


_known_facts = WeakTensorKeyDictionary()  # a pattern serves many calls; its lists are looked through once


def _facts(x: Tensor) -> _Facts:
    version = -1 if x.is_inference() else x._version  # noqa: SLF001  (an inference tensor does not count)
    known: _Facts | None = _known_facts.get(x)
    if known is None or known.version != version or version < 0:
        smallest, largest = (int(bound) for bound in x.aminmax()) if len(x) else (0, 0)
        known = _Facts(version, smallest, largest, bool((x.diff() >= 0).all()))
        _known_facts[x] = known
    return known


def _check_lists(lists: _Lists, heads: int, num_query_blocks: int, num_key_blocks: int) -> None:
    """The library trusts addresses and numbers; a pattern may have been made by hand."""
    starts, blocks, counts = lists[:3]
    if {x.dtype for x in (starts, blocks, counts)} != {torch.int64}:
        raise ShapeError("a pattern's row_starts, key_blocks and key_counts must be int64")
    if len(counts) != len(blocks):
        raise ShapeError(f"a pattern needs a count for each key block, got {len(counts)} for {len(blocks)}")
    if len(starts) not in (num_query_blocks + 1, heads * num_query_blocks + 1):
        raise ShapeError(
            f"a pattern's row_starts must hold {num_query_blocks + 1} numbers, or {heads * num_query_blocks + 1} where "
            f"heads differ, got {len(starts)}"
        )
    rows, seen = _facts(starts), _facts(blocks)
    if not rows.is_ascending or rows.smallest != 0 or rows.largest != len(blocks):
        raise ShapeError(
            f"a pattern's row_starts must ascend from 0 to {len(blocks)}, the number of key_blocks; got "
            f"numbers from {rows.smallest} to {rows.largest}"
        )
    if len(blocks) and not 0 <= seen.smallest <= seen.largest < num_key_blocks:
        raise ShapeError(
            f"a pattern's key_blocks must be from 0 to {num_key_blocks - 1}, got {seen.smallest} to {seen.largest}"
        )
    if len(counts) and _facts(counts).smallest < 1:
        raise ShapeError(f"a pattern's key_counts must be at least 1, got {_facts(counts).smallest}")


def _call(function: str, views: dict[str, Tensor], softmax: Tensor, lists: _Lists) -> None:
    library, reason, _ = _library_or_reason()
    if library is None:
        raise BackendUnavailable(f"attention backend 'native' cannot serve this call: {reason}")
    # Kept in variables until the call is over: the library gets bare addresses.
    views = {name: x if x.stride(3) == 1 or x.shape[3] == 1 else x.contiguous() for name, x in views.items()}
    # A key block is read many times; between other heads' rows nearly each of its rows would lie in a page of its own.
    views |= {name: views[name].contiguous() for name in ("k", "v") if views[name].stride(2) != views[name].shape[3]}
    starts, blocks, counts = (x.contiguous() for x in (lists.row_starts, lists.key_blocks, lists.key_counts))
    mask = None if lists.key_mask is None else lists.key_mask.contiguous()
    q, k = views["q"], views["k"]
    num_query_blocks = -(-q.shape[2] // lists.block_size)
    _check_lists(lists, q.shape[1], num_query_blocks, -(-k.shape[2] // lists.block_size))
    problem = _Problem(
        element=ELEMENTS[q.dtype],
        num_threads=torch.get_num_threads(),
        batch=q.shape[0],
        heads=q.shape[1],
        query_length=q.shape[2],
        key_length=k.shape[2],
        head_dim=q.shape[3],
        block_size=lists.block_size,
        is_causal=lists.is_causal,
        num_lists=(len(starts) - 1) // num_query_blocks,
        row_starts=starts.data_ptr(),
        key_blocks=blocks.data_ptr(),
        key_counts=counts.data_ptr(),
        key_mask=None if mask is None else mask.data_ptr(),
        scale=lists.scale,
        softmax=softmax.data_ptr(),
        **{name: View(x.data_ptr(), *x.stride()[:3]) for name, x in views.items()},
    )
    if getattr(library, function)(ctypes.byref(problem)):
        raise MemoryError("block_sparse_attention: no memory left for the kernels' scratch space")
