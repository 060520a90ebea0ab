"""Weights and optimizer state as plain named tensors, whatever layout they have while the run computes.

What is spread over processes is put together in process 0 one tensor at a time, and is spread again when it is put
back, so a state saved by any number of processes goes on with any other number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from bigbird.errors import CheckpointError
from bigbird.training.distributed import Ranks

Tensors = dict[str, Tensor]


class _Kind(NamedTuple):
    """Of a tensor that process 0 is about to send."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype


def weights_of(module: nn.Module, ranks: Ranks) -> Tensors:
    """Copies of all weights, whole and on the CPU, in process 0; nothing in the others. All processes must call it."""
    return _copied(module.state_dict().items(), ranks)


def optimizer_tensors_of(module: nn.Module, optimizer: torch.optim.Optimizer, ranks: Ranks) -> Tensors:
    """The same of the optimizer's state. Names: the weight's and the optimizer's own, "encoder.x.weight/exp_avg"."""
    return _copied(_optimizer_state(module, optimizer), ranks)


def put_back(
    module: nn.Module, optimizer: torch.optim.Optimizer, ranks: Ranks, *, weights: Tensors, optimizer_tensors: Tensors
) -> None:
    """The reverse: `weights` and `optimizer_tensors` are read in process 0 alone. All processes must call it.

    Raises CheckpointError, in every process, when names, shapes or dtypes are not those of this model.
    """
    places = dict(module.state_dict())
    parameters = dict(module.named_parameters())
    kinds = ranks.on_first(lambda: (_kinds(weights), _kinds(optimizer_tensors)))
    _check_weights(kinds[0], places)
    _check_optimizer(kinds[1], parameters)
    with torch.no_grad():
        for kind in kinds[0]:
            places[kind.name].copy_(_laid_out(_sent(weights, kind, ranks), places[kind.name]))
    fused = any(group.get("fused") for group in optimizer.param_groups)
    optimizer.state.clear()
    for kind in kinds[1]:
        name, _, key = kind.name.rpartition("/")
        parameter, tensor = parameters[name], _sent(optimizer_tensors, kind, ranks)
        is_on_cpu = key == "step" and not fused  # where PyTorch's optimizers look for it
        optimizer.state[parameter][key] = tensor.clone() if is_on_cpu else _laid_out(tensor, parameter)


def _copied(tensors: Iterable[tuple[str, Tensor]], ranks: Ranks) -> Tensors:
    copies: Tensors = {}
    for name, tensor in tensors:
        whole = tensor.detach()
        whole = whole.full_tensor() if isinstance(whole, DTensor) else whole
        if ranks.is_first:
            copies[name] = whole.to("cpu", copy=True).contiguous()
    return copies


def _optimizer_state(module: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    """In the order of the weights, which is the same in every process."""
    for name, parameter in module.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            yield f"{name}/{key}", torch.as_tensor(value)


def _kinds(tensors: Tensors) -> list[_Kind]:
    return [_Kind(name, tuple(tensor.shape), tensor.dtype) for name, tensor in sorted(tensors.items())]


def _check_weights(kinds: list[_Kind], places: Mapping[str, Tensor]) -> None:
    given = {kind.name: (kind.shape, kind.dtype) for kind in kinds}
    expected = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in places.items()}
    for name in sorted({*given, *expected}):
        if given.get(name) != expected.get(name):
            raise CheckpointError(
                f"the saved weights are not this model's: {name} is {given.get(name, 'missing')}, expected "
                f"{expected.get(name, 'nothing of that name')}"
            )


def _check_optimizer(kinds: list[_Kind], parameters: Mapping[str, Tensor]) -> None:
    for kind in kinds:
        name, _, key = kind.name.rpartition("/")
        if name not in parameters:
            raise CheckpointError(f"the saved optimizer state is not this model's: it has no weight {name!r} ({key})")


def _sent(tensors: Tensors, kind: _Kind, ranks: Ranks) -> Tensor:
    """Process 0's tensor, on the CPU, in every process."""
    tensor = tensors[kind.name].cpu().contiguous() if ranks.is_first else torch.empty(kind.shape, dtype=kind.dtype)
    if ranks.count > 1:
        dist.broadcast(tensor, src=0)
    return tensor


def _laid_out(tensor: Tensor, place: Tensor) -> Tensor:
    """`tensor` where `place` lies, and spread over the processes as it is."""
    on_device = tensor.to(place.device, copy=True)
    if isinstance(place, DTensor) and tensor.shape == place.shape:
        # src_data_rank None: every process has the whole tensor and keeps its own part of it
        return distribute_tensor(on_device, place.device_mesh, place.placements, src_data_rank=None)
    return on_device
