"""The same figures for TensorBoard, beside metrics.jsonl."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bigbird.errors import require

TENSORBOARD_FOLDER = "tensorboard"


def check_tensorboard() -> None:
    """Raise, before any work is done, when TensorBoard is not installed."""
    require("tensorboard", extra="tensorboard", purpose="training.tensorboard")


class TensorBoard:
    """Writes scalars into `folder`/tensorboard. What an earlier part of the run wrote after `first_step` is hidden."""

    def __init__(self, folder: Path, *, first_step: int) -> None:
        check_tensorboard()
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  needs the optional package

        purge_step = first_step + 1 if first_step else None
        self._writer: Any = SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=purge_step)

    def write(self, group: str, step: int, values: Mapping[str, float]) -> None:
        """One point for each value that is a number, named group/name."""
        for name, value in values.items():
            if math.isfinite(value):
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Write what is still held back."""
        self._writer.close()
