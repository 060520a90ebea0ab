"""Activations of the feed-forward layers.

GELU's tanh form is a C++ kernel here: PyTorch's on a CPU rounds differently where a thread's share of the elements
ends, so that a document's last bits would depend on its neighbours, and takes several times as long.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bigbird.attention import native_cpu
from bigbird.attention.pattern import opaque

Activation = Literal["gelu", "gelu_tanh", "relu"]


def gelu_tanh(x: Tensor) -> Tensor:
    """X / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))), as BERT and BigBird compute GELU. Any shape."""
    if x.device.type != "cpu" or x.dtype not in native_cpu.ELEMENTS or not _has_kernel():
        return F.gelu(x, approximate="tanh")
    result: Tensor = torch.ops.bigbird.gelu_tanh(x)
    return result


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "gelu_tanh": gelu_tanh, "relu": F.relu}


@opaque
def _has_kernel() -> bool:
    return native_cpu.library() is not None


class _Gelu(ctypes.Structure):
    """`Gelu` of native/problem.h, field by field."""

    _fields_ = (
        ("element", ctypes.c_int32),
        ("num_threads", ctypes.c_int32),
        ("count", ctypes.c_int64),
        ("x", ctypes.c_void_p),
        ("grad_out", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
    )


torch.library.define("bigbird::gelu_tanh", "(Tensor x) -> Tensor")
torch.library.define("bigbird::gelu_tanh_backward", "(Tensor grad_out, Tensor x) -> Tensor")


def _forward(x: Tensor) -> Tensor:
    return _call(x, None)


def _backward(grad_out: Tensor, x: Tensor) -> Tensor:
    return _call(x, grad_out.contiguous())


def _call(x: Tensor, grad_out: Tensor | None) -> Tensor:
    x = x.contiguous()
    out = torch.empty_like(x)
    problem = _Gelu(
        element=native_cpu.ELEMENTS[x.dtype],
        num_threads=torch.get_num_threads(),
        count=x.numel(),
        x=x.data_ptr(),
        grad_out=None if grad_out is None else grad_out.data_ptr(),
        out=out.data_ptr(),
    )
    kernels = native_cpu.library()
    assert kernels is not None
    if kernels.bigbird_gelu(ctypes.byref(problem)):
        raise MemoryError("gelu: no memory left to start threads")
    return out


def _keep_for_backward(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _differentiate(ctx: Any, grad_out: Tensor) -> Tensor:
    (x,) = ctx.saved_tensors
    if grad_out.requires_grad:  # a second derivative is wanted, which only PyTorch's has
        result: Tensor = torch.ops.aten.gelu_backward(grad_out, x, approximate="tanh")
        return result
    result = torch.ops.bigbird.gelu_tanh_backward(grad_out, x)
    return result


torch.library.impl("bigbird::gelu_tanh", "CPU", _forward)
torch.library.impl("bigbird::gelu_tanh_backward", "CPU", _backward)
torch.library.register_fake("bigbird::gelu_tanh", lambda x: x.new_empty(x.shape))
torch.library.register_fake("bigbird::gelu_tanh_backward", lambda _, x: x.new_empty(x.shape))
torch.library.register_autograd("bigbird::gelu_tanh", _differentiate, setup_context=_keep_for_backward)
