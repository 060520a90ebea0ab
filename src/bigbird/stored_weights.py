"""Weights in fewer bytes than they are computed with: half precision, or eight bits a number.

    float16, bfloat16    every tensor in that type
    int8                 matrices as whole numbers from -127 to 127 with one float16 scale for each row, beside them
                         under NAME.scale; everything else as float16

        [ 0.50 -0.25 ]        [ 127 -64 ]    [0.003937]        the largest of a row becomes 127; a number moves by half
        [ 2.00  0.10 ]   ->   [ 127   6 ]    [0.015747]        a scale at most, 0.4 % of the row's largest

All are read back as float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from bigbird.errors import CheckpointError

STORED_TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "int8": torch.int8}
SCALE = ".scale"

_MOST = 127


def stored(weights: Mapping[str, Tensor], stored_as: str) -> dict[str, Tensor]:
    """The tensors to write for `weights`; what float16 cannot hold becomes infinity."""
    if stored_as != "int8":
        return {name: tensor.to(STORED_TYPES[stored_as]) for name, tensor in weights.items()}
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if tensor.ndim == 2:
            found[name], found[name + SCALE] = _in_rows(tensor.float())
        else:
            found[name] = tensor.half()
    return found


def restored(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The weights that a file of type int8 stands for, all as float32."""
    whole = {name for name, tensor in weights.items() if tensor.dtype == torch.int8}
    found = {name: tensor for name, tensor in weights.items() if name.removesuffix(SCALE) not in whole}
    for name in whole:
        scale = weights.get(name + SCALE)
        if scale is None or scale.dtype != torch.float16 or scale.shape != weights[name].shape[:1]:
            given = "missing" if scale is None else f"{str(scale.dtype).removeprefix('torch.')} {list(scale.shape)}"
            raise CheckpointError(
                f"{path}: the tensor {name}{SCALE} must hold one float16 for each row of {name} "
                f"({list(weights[name].shape)}), it is {given}"
            )
        found[name] = weights[name].float() * scale.float()[:, None]
    return {name: tensor.float() for name, tensor in found.items()}


def _in_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers and the scale of each row; a row too small for float16's scale becomes 0."""
    scale = (matrix.abs().amax(1) / _MOST).half()
    # rounded down, a scale would leave the largest beyond 127, where it is cut: by half a thousandth of itself
    numbers = (matrix / scale.float().clamp(min=torch.finfo(torch.float16).tiny)[:, None]).round()
    return torch.where(scale[:, None] > 0, numbers, 0).clamp(-_MOST, _MOST).to(torch.int8), scale
