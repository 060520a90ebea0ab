"""Matrix products of the layers.

PyTorch hands float32 products to MKL, which uses half the width of an AMD processor's vectors. Where such a processor
computes at full width (Zen 5), oneDNN, which PyTorch brings too, is about twice as fast, and float32 products go there,
forward and backward. Everything else is `torch.nn.functional.linear`. (docs/log.md, 2026-11-25)
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bigbird import machine
from bigbird.attention.pattern import opaque

_ZEN_5 = 26  # its family, as the processor tells it


class Linear(nn.Linear):
    """`nn.Linear` with the faster products: [..., in_features] -> [..., out_features]."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name callers of nn.Linear may use
        """[..., in_features] -> [..., out_features]."""
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """X @ weight.T + bias:  [..., in], [out, in], [out] -> [..., out]."""
    if not _is_for_onednn(x, weight, bias):
        return F.linear(x, weight, bias)
    product: Tensor = torch.ops.bigbird.linear(x, weight, bias)
    return product


def _is_for_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    return (
        x.dtype == weight.dtype == torch.float32
        and (bias is None or bias.dtype == torch.float32)
        and x.device.type == weight.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and type(weight) in (Tensor, nn.Parameter)  # what is sharded or quantised knows its own products
        and _has_onednn()
    )


@opaque
def _has_onednn() -> bool:
    return _is_wide_amd() and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


@lru_cache(maxsize=1)
def _is_wide_amd() -> bool:
    fields = machine.processor()
    is_amd = fields.get("vendor_id") == "AuthenticAMD" and int(fields.get("cpu family", 0)) >= _ZEN_5
    return is_amd and torch.backends.cpu.get_cpu_capability() == "AVX512"


torch.library.define("bigbird::linear", "(Tensor x, Tensor weight, Tensor? bias) -> Tensor")


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not x.numel():
        return F.linear(x, weight, bias)
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # noqa: SLF001 - what torch.compile calls
    return product


def _product_shape(x: Tensor, weight: Tensor, _bias: Tensor | None) -> Tensor:
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


def _keep_for_backward(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs[:2])


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    x, weight = ctx.saved_tensors
    needs_x, needs_weight, needs_bias = ctx.needs_input_grad
    rows = grad.reshape(-1, grad.shape[-1])
    return (
        linear(grad, weight.t()) if needs_x else None,
        linear(rows.t(), x.reshape(-1, x.shape[-1]).t()) if needs_weight else None,
        rows.sum(0) if needs_bias else None,
    )


torch.library.impl("bigbird::linear", "CPU", _product)
torch.library.register_fake("bigbird::linear", _product_shape)
torch.library.register_autograd("bigbird::linear", _differentiate, setup_context=_keep_for_backward)
