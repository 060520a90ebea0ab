"""Position tables for longer documents: learned rows are repeated, sinusoids go on.

learned    a b c d   ->  a b c d a b c d a …
sinusoids  0 1 2 3   ->  0 1 2 3 4 5 6 7 8 …
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bigbird.model.embeddings import SinusoidalPositions

_CLOSE = 1e-3  # angles that a library computed in float32 are off by 2e-4 at position 4,096


def repeated(table: Tensor, wanted: int) -> Tensor:
    """[length, hidden] -> [wanted, hidden], its rows one after the other and again from the first."""
    return table.repeat(math.ceil(wanted / len(table)), 1)[:wanted].contiguous()


def sinusoids(wanted: int, hidden_size: int, dtype: torch.dtype) -> Tensor:
    """Pegasus' rows, [wanted, hidden]."""
    rows: Tensor = SinusoidalPositions(hidden_size)(torch.arange(wanted))
    return rows.to(dtype)


def is_sinusoidal(table: Tensor) -> bool:
    """Whether [length, hidden] holds Pegasus' rows, as far as its number type can."""
    difference = (table.float() - sinusoids(len(table), table.shape[1], torch.float32)).abs().max()
    return bool(difference <= max(_CLOSE, torch.finfo(table.dtype).eps))


def longer(table: Tensor, wanted: int) -> tuple[Tensor, str]:
    """[length, hidden] -> [wanted, hidden], beginning with its own rows, and how the others were made."""
    length = len(table)
    if wanted == length:
        return table, f"its {length} rows as they are"
    if is_sinusoidal(table):
        return torch.cat(
            (table, sinusoids(wanted, table.shape[1], table.dtype)[length:])
        ), f"its {length} sinusoids continued to {wanted}"
    return repeated(table, wanted), f"its {length} rows repeated to {wanted}"
