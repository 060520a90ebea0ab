"""Our models as programs of torch.export, for any batch and any length."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from bigbird.errors import ConfigError
from bigbird.interop.export_module import PaddedModel
from bigbird.model.encoder import encoder_of
from bigbird.model.published_heads import SpanReader


def export_program(
    model: nn.Module, *, max_length: int | None = None, token_types: bool | None = None
) -> ExportedProgram:
    """The model as a program in PyTorch's own operators, for the CPU, in float32.

    Called as program.module()(token_ids, key_mask) or (…, token_types), with any batch and any length; inputs
    and results are those of the ONNX file (`bigbird.interop.onnx`), as are the arguments. The model itself stays as it
    is; float32 weights on the CPU are shared with it.
    """
    PaddedModel.names_of_outputs(model)  # whether it can be exported at all
    config = encoder_of(model).config
    if max_length is not None and not 1 <= max_length <= config.max_length:
        raise ConfigError(f"max_length must be from 1 to the model's own {config.max_length}, got {max_length}")
    takes_types = takes_token_types(model, token_types)
    padded = PaddedModel(plain_copy(model), max_length=max_length or config.max_length).eval()
    sample = torch.zeros(3, 5, dtype=torch.int64)  # sizes that no dimension of a model is mistaken for
    inputs = (sample, torch.ones_like(sample, dtype=torch.bool), *([sample.clone()] if takes_types else []))
    sizes = {0: Dim("batch"), 1: Dim("length")}
    names = ("token_ids", "key_mask", "token_types")
    shapes = {name: sizes if name != "token_types" or takes_types else None for name in names[: len(inputs)]}
    with quiet(), torch.no_grad():
        program: ExportedProgram = torch.export.export(padded, inputs, dynamic_shapes=shapes, strict=False)
    return _without_our_operators(program)


def takes_token_types(model: nn.Module, wanted: bool | None) -> bool:
    """Whether token types are an input of the exported model."""
    has_types = encoder_of(model).config.num_token_types > 0
    if wanted and not has_types:
        raise ConfigError("token_types=True, but the model has no token types. Leave it out.")
    return has_types and not isinstance(model, SpanReader) if wanted is None else wanted


@contextmanager
def quiet() -> Iterator[None]:
    """What exporters say of themselves concerns nobody: their warnings and log lines stay out; errors are raised."""
    level = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)


def plain_copy(model: nn.Module) -> nn.Module:
    """In float32 on the CPU and in evaluation mode; modules of its own, so that the caller's keep their mode."""
    tensors = [*model.parameters(), *model.buffers()]
    if all(x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors):
        return copy.deepcopy(model, {id(x): x for x in tensors}).eval()
    return copy.deepcopy(model).float().cpu().eval()


def _without_our_operators(program: ExportedProgram) -> ExportedProgram:
    """Our operators replaced by PyTorch's of the same meaning, in place."""
    for node in program.graph.nodes:
        if node.target is torch.ops.bigbird.linear.default:
            node.target = torch.ops.aten.linear.default
        elif node.target is torch.ops.bigbird.gelu_tanh.default:
            node.target, node.kwargs = torch.ops.aten.gelu.default, {"approximate": "tanh"}
    program.graph_module.recompile()
    return program
