"""The two files of a TensorFlow checkpoint: PREFIX.index and PREFIX.data-…, read by TensorFlow itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import CheckpointError, require

_MOST_INDEX_BYTES = 16 * 2**20  # bigbird-roberta-large with its optimizer's 2,400 variables has some 150,000


class Variable(NamedTuple):
    """What the index says of a variable."""

    shape: tuple[int, ...]
    dtype: str


class Bundle(Protocol):
    """Variables by name, read one at a time."""

    @property
    def variables(self) -> Mapping[str, Variable]:
        """All that the index lists."""

    @property
    def data_bytes(self) -> int:
        """Size of the files that hold the numbers."""

    def read(self, name: str) -> NDArray[Any]:
        """The numbers of one."""


def open_bundle(prefix: str | Path) -> Bundle:
    """The checkpoint of that prefix; `model.ckpt-0` for model.ckpt-0.index and model.ckpt-0.data-00000-of-00001."""
    place = Path(prefix)
    index = place.with_name(f"{place.name}.index")
    if not place.name or not index.is_file():
        given = f" ({place.name} is one of its files)" if place.suffix == ".index" or ".data-" in place.name else ""
        raise CheckpointError(
            f"{index} does not exist. Give what its files' names begin with{given}: model.ckpt-0 for "
            f"model.ckpt-0.index and model.ckpt-0.data-00000-of-00001"
        )
    if index.stat().st_size > _MOST_INDEX_BYTES:
        raise CheckpointError(f"{index} has {index.stat().st_size:,} bytes; at most {_MOST_INDEX_BYTES:,} are read")
    data = [path for path in place.parent.iterdir() if path.name.startswith(f"{place.name}.data-")]
    if not data:
        raise CheckpointError(f"{place}.data-00000-of-00001 does not exist beside {index.name}; copy it there")
    return _TensorFlowBundle(place, sum(path.stat().st_size for path in data))


class _TensorFlowBundle:
    """TensorFlow's CheckpointReader, with its errors in our words."""

    def __init__(self, place: Path, data_bytes: int) -> None:
        tensorflow: Any = require("tensorflow", extra="tensorflow", purpose="Reading a TensorFlow checkpoint")
        self._place = place
        self._failures = (tensorflow.errors.OpError, LookupError, OSError, RuntimeError, ValueError)
        self.data_bytes = data_bytes
        try:
            self._reader = tensorflow.train.load_checkpoint(str(place))
            shapes = self._reader.get_variable_to_shape_map()
            types = self._reader.get_variable_to_dtype_map()
        except self._failures as error:
            raise self._damaged("its index", error) from None
        self.variables = {name: Variable(tuple(shapes[name]), types[name].name) for name in sorted(shapes)}

    def read(self, name: str) -> NDArray[Any]:
        """The numbers of one variable."""
        try:
            return np.asarray(self._reader.get_tensor(name))
        except self._failures as error:
            raise self._damaged(name, error) from None

    def _damaged(self, what: str, error: Exception) -> CheckpointError:
        told = " ".join(str(error).split())[:300]
        return CheckpointError(
            f"{self._place}: TensorFlow cannot read {what}: {told}. Copy both files of the checkpoint anew."
        )
