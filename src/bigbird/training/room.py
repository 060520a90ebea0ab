"""Whether a run fits this machine: refused when it surely does not, warned of when it might not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from bigbird.checkpoint import empty_model
from bigbird.errors import ConfigError
from bigbird.machine import available_bytes, check_memory
from bigbird.model.encoder import EncoderConfig
from bigbird.tasks import AnyTask
from bigbird.training.memory_model import MemoryModel, Need

BYTES_PER_PARAMETER = 16  # in training: the weight, its gradient and AdamW's two averages, all float32
_GIB = 2**30
_SURELY = 0.85  # what the model foretells is measured to be within 15 %
_NAMES = {
    "process": "program",
    "state": "weights, gradients and optimizer",
    "saved": "states being saved",
    "activations": "activations",
    "gaps": "gaps between them",
}


def check_weights(task: AnyTask, encoder: EncoderConfig, device: torch.device) -> None:
    """Raise, before anything is built, when the weights alone cannot be trained on this machine."""
    described = (
        f"hidden_size {encoder.hidden_size:,}, inner_size {encoder.inner_size:,}, num_layers {encoder.num_layers:,}, "
        f"vocab_size {encoder.vocab_size:,}, max_length {encoder.max_length:,}"
    )
    try:
        num_parameters = _num_parameters(task, encoder)
    except ConfigError as error:
        if error.__cause__ is None:  # not PyTorch's complaint of a size, but a setting that a part of the model refuses
            raise
        raise ConfigError(f"no model can be that large ({described}): {error}. Give smaller sizes.") from None
    check_memory(
        BYTES_PER_PARAMETER * num_parameters,
        f"training a model of {num_parameters:,} parameters ({described})",
        device=str(device),
        cure="Give smaller sizes, for example --set start.encoder.hidden_size=256.",
    )


def told(model: MemoryModel, available: float | None, *, num_processes: int = 1) -> Iterator[str]:
    """Lines to print before the run: what it needs, and what to do when that is more than there is.

    available      bytes that new tensors can have; None when the system does not tell
    num_processes  of the run that share these bytes, each in need of as much

    Raises ConfigError when the run surely cannot fit.
    """
    need = model.need()
    who = "this run" if num_processes == 1 else f"each of the {num_processes} processes here"
    whose = "you have" if num_processes == 1 else "for each you have"
    parts = ", ".join(f"{_gib(size)} {_NAMES[name]}" for name, size in _parts(need) if size >= 0.05 * need.total)
    yield f"{who} needs about {_gib(need.total)} GiB of memory ({parts})"
    if available is None:
        return
    limit = available / num_processes + need.process  # what the program has is no longer available
    if need.total <= limit:
        return
    cures = [f"{setting} (about {_gib(cured.total)} GiB)" for setting, cured in model.cures(limit)]
    cure = f"Use {'; or '.join(cures)}." if cures else "Use a smaller model, or a machine with more memory."
    if _SURELY * need.certain > limit:
        raise ConfigError(
            f"{who} needs at least {_gib(need.certain)} GiB of memory, {_gib(limit)} GiB can be had. {cure}"
        )
    yield f"warning: {whose} {_gib(limit)} GiB, so it may be killed or slow to a crawl. {cure}"


def available_on(device: torch.device) -> int | None:
    """Bytes that new tensors can have; see `machine.available_bytes`."""
    return available_bytes("cpu" if device.type == "cpu" else str(device))


def _parts(need: Need) -> Iterator[tuple[str, float]]:
    for name in _NAMES:
        yield name, getattr(need, name)


def _gib(size: float) -> str:
    return f"{size / _GIB:,.1f}" if size >= 0.1 * _GIB else f"{size / _GIB:,.2f}"


def _num_parameters(task: AnyTask, encoder: EncoderConfig) -> int:
    """Layers are alike: the second tells what each further one adds."""
    one, two = (_num_parameters_with(task, replace(encoder, num_layers=num_layers)) for num_layers in (1, 2))
    return one + (encoder.num_layers - 1) * (two - one)


def _num_parameters_with(task: AnyTask, encoder: EncoderConfig) -> int:
    return sum(parameter.numel() for parameter in empty_model(lambda: task.build_model(encoder)).parameters())
