"""What can be done to each layer of an encoder without changing its results: less memory, or more speed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bigbird.errors import ConfigError
from bigbird.model.encoder import encoder_of


def apply_block_options(model: nn.Module, *, checkpoint_activations: bool, compile_layers: bool) -> None:
    """Change in place how the layers of `model` are computed.

    checkpoint_activations  a layer keeps its input alone and is computed again when gradients are; bit-equal, dropout
                            included, since PyTorch's generator is put back where it stood
    compile_layers          by torch.compile, one layer at a time: all layers share one compiled function

    Weights keep their names. Raises ConfigError when torch.compile has no compiler to work with.
    """
    for layer in encoder_of(model).layers:
        forward: Callable[..., Tensor] = layer.forward
        if compile_layers:
            forward = compiled(forward, layer)
        if checkpoint_activations:
            forward = partial(checkpoint, forward, use_reentrant=False)
        # On the layer itself, not its class, and beneath its hooks: those of FSDP gather weights before they are used.
        layer.forward = forward


def compiled(forward: Callable[..., Tensor], layer: nn.Module) -> Callable[..., Tensor]:
    """`forward`, compiled when `layer` trains; evaluation, with its many lengths, is computed as ever."""
    # fallback_random: dropout draws from PyTorch's generator as it does uncompiled, so a run's losses stay its own.
    faster = torch.compile(forward, dynamic=True, options={"fallback_random": True})

    def chosen(*arguments: Any) -> Tensor:
        result: Tensor = (faster if layer.training else forward)(*arguments)
        return result

    return chosen


def check_compiler(device: torch.device) -> None:
    """Raise unless torch.compile can make machine code for `device` here."""
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            raise ConfigError(
                "training.compile needs Triton, which is not installed; install it (pip install triton) or set "
                "training.compile=false"
            )
        return
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")  # as PyTorch looks for it
    if shutil.which(compiler) is None:
        raise ConfigError(
            f"training.compile needs a C++ compiler and there is no {compiler} here; install one (apt install g++), "
            f"name it in the environment variable CXX, or set training.compile=false"
        )
