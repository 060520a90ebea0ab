"""How a backend's kernels become operators of PyTorch: opaque to compilers, differentiable once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_LISTS = "Tensor row_starts, Tensor key_blocks, Tensor key_counts, Tensor? key_mask"

Forward = Callable[..., tuple[Tensor, Tensor]]
Backward = Callable[..., tuple[Tensor, Tensor, Tensor]]


def register(
    name: str,
    *,
    devices: Sequence[str],
    numbers: str,
    forward: Forward,
    forward_results: Forward,
    backward: Backward,
    backward_results: Backward,
) -> None:
    """Offer torch.ops.bigbird.<name> and <name>_backward, with the derivative of the first by the second.

    devices           dispatch keys the functions serve: "CPU", "CUDA"
    numbers           what follows the lists, as PyTorch's schemas write it: "int block_size, float scale"
    forward           (q, k, v, *lists) -> (out, softmax); softmax is what the backward pass needs of the weights
    backward          (grad_out, q, k, v, out, softmax, *lists) -> gradients of q, k and v
    ..._results       the same signatures; only room for the results, laid out as they will be

    lists: row_starts, key_blocks, key_counts of a pattern, key_mask or None, then the numbers.
    """
    first, second = f"bigbird::{name}", f"bigbird::{name}_backward"
    torch.library.define(first, f"(Tensor q, Tensor k, Tensor v, {_LISTS}, {numbers}) -> (Tensor, Tensor)")
    torch.library.define(
        second,
        f"(Tensor grad_out, Tensor q, Tensor k, Tensor v, Tensor out, Tensor softmax, {_LISTS}, {numbers}) "
        f"-> (Tensor, Tensor, Tensor)",
    )
    for device in devices:
        torch.library.impl(first, device, forward)
        torch.library.impl(second, device, backward)
    torch.library.register_fake(first, forward_results)
    torch.library.register_fake(second, backward_results)
    gradients = getattr(torch.ops.bigbird, f"{name}_backward")

    def differentiate(ctx: Any, grad_out: Tensor, _grad_softmax: Tensor) -> tuple[Tensor | None, ...]:
        found = gradients(grad_out, *ctx.saved_tensors, *ctx.numbers)
        return *found, None, None, None, None, *(None for _ in ctx.numbers)

    def refuse(_ctx: Any, *_gradients: Tensor) -> None:
        raise RuntimeError(f"attention has no second derivative; the gradients of {name} cannot be differentiated")

    torch.library.register_autograd(first, differentiate, setup_context=_keep_for_backward)
    torch.library.register_autograd(second, refuse, setup_context=_keep_nothing)


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    q, k, v, row_starts, key_blocks, key_counts, key_mask, *ctx.numbers = inputs
    ctx.save_for_backward(q, k, v, *output, row_starts, key_blocks, key_counts, key_mask)
    ctx.mark_non_differentiable(output[1])


def _keep_nothing(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """There is nothing to keep for a derivative that is refused."""
