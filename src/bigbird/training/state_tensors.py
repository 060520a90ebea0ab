"""Named tensors as a safetensors file, written piece by piece.

The library's own writer makes one more copy of each tensor, tells a full disk without its error number, and the file
would have to be read again for its SHA-256. The layout is simple: eight bytes with the length of the header, the
header as JSON (name → type, shape, place), the numbers (https://github.com/huggingface/safetensors#format). Reading is
the library's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file
from torch import Tensor

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ALIGNMENT = 8


class Writable(Protocol):
    """Something that takes bytes."""

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""


def write_tensors(file: Writable, tensors: Mapping[str, Tensor]) -> None:
    """Write CPU tensors; the widest numbers come first, so that each tensor lies at a multiple of its numbers' size."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        tensor = tensors[name]
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        file.write(_bytes_of(tensors[name]))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, in memory of their own: the file may go."""
    return {name: tensor.clone() for name, tensor in load_file(path).items()}


def _bytes_of(tensor: Tensor) -> memoryview:
    """The numbers of a tensor in order, not copied unless they lie scattered."""
    flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")
