"""Files of a folder in the Hub's layout, written by anybody: looked at before anything large is read."""

from __future__ import annotations

import json
import math
import re
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bigbird.checkpoint import CONFIG_FILE, WEIGHTS_FILE
from bigbird.errors import CheckpointError
from bigbird.interop import hub_download

INDEX_FILE = "model.safetensors.index.json"
PICKLE_FILE = "pytorch_model.bin"

TYPES = {"F32": torch.float32, "F64": torch.float64, "BF16": torch.bfloat16, "F16": torch.float16}

_MOST_BYTES = 4 * 2**20  # of a config, an index or a header; those of bigbird-roberta-large have some 50,000
_SHARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.safetensors")
_DTYPE = re.compile(r"[A-Z0-9_]{1,16}")
_MOST_SIDES, _LONGEST_SIDE = 8, 2**63 - 1  # of a tensor; no weights have more than four
_MOST_LETTERS = 300  # of another library's error, which repeats names out of the file


class StoredTensor(NamedTuple):
    """Where a tensor lies, and what its file's header says of it."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Its size in memory."""
        return math.prod(self.shape) * (TYPES[self.dtype].itemsize if self.dtype in TYPES else 1)


def find_folder(path: str | Path, *, pickles: bool = False) -> Path:
    """The path itself, if there is a folder; else OWNER/NAME or OWNER/NAME@REVISION of the Hub, downloaded.

    pickles  bring pytorch_model.bin from the Hub, and no safetensors file
    """
    folder = Path(path)
    if (folder / CONFIG_FILE).is_file():
        return folder
    named = hub_download.hub_name(str(path)) if isinstance(path, str) and not folder.exists() else None
    if named is not None:
        folder = hub_download.download(named, pickles=pickles)
        if (folder / CONFIG_FILE).is_file():
            return folder
    what = f"has no {CONFIG_FILE}" if folder.is_dir() else "is no folder"
    raise CheckpointError(
        f"{path} {what}. Give a folder with {CONFIG_FILE} and {WEIGHTS_FILE}; a model of the Hub comes with: "
        f"hf download OWNER/MODEL --local-dir FOLDER"
    )


def read_json(path: Path) -> dict[str, Any]:
    """An object of names; nothing is too deep, too long or said twice."""
    check_place(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CheckpointError(f"{path} has {path.stat().st_size:,} bytes; at most {_MOST_BYTES:,} are read")
        return _parsed(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """All tensors of model.safetensors, or of the files that its index names."""
    if (folder / WEIGHTS_FILE).is_file():
        return _tensors_of(folder / WEIGHTS_FILE)
    if (folder / INDEX_FILE).is_file():
        return _indexed(folder)
    if (folder / PICKLE_FILE).is_file():
        raise CheckpointError(
            f"{folder} has its weights in {PICKLE_FILE} alone, a pickle, which can run code when it is read. Turn "
            f"it into a safe one with: bigbird convert --from-bin {folder} NEW_FOLDER"
        )
    raise CheckpointError(
        f"{folder} has neither {WEIGHTS_FILE} nor {INDEX_FILE}. A model that has {PICKLE_FILE} alone becomes a safe "
        f"one with: bigbird convert --from-bin MODEL NEW_FOLDER"
    )


def read_tensors(stored: Iterable[StoredTensor]) -> list[Tensor]:
    """Their values, in the given order, all finite where they are of a type that a model can have."""
    wanted = list(stored)
    values: dict[StoredTensor, Tensor] = {}
    for path in dict.fromkeys(tensor.path for tensor in wanted):
        try:
            with safe_open(path, framework="pt") as file:
                values.update({item: file.get_tensor(item.name) for item in wanted if item.path == path})
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path} cannot be read: {printable(str(error), _MOST_LETTERS)}") from None
    for item, value in values.items():
        if item.dtype in TYPES and not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{item.path}: the tensor {item.name} holds NaN or infinity; the file is damaged")
    return [values[item] for item in wanted]


def _indexed(folder: Path) -> dict[str, StoredTensor]:
    index = folder / INDEX_FILE
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index}: weight_map must name the file of every tensor")
    for file in places.values():
        if not isinstance(file, str) or not _SHARD.fullmatch(file):
            raise CheckpointError(
                f"{index}: {str(file)[:200]!r} is not the name of a .safetensors file in the folder; nothing elsewhere "
                f"is read"
            )
    found: dict[str, StoredTensor] = {}
    for file in dict.fromkeys(places.values()):
        for name, tensor in _tensors_of(folder / file).items():
            if places.get(name) != file:
                raise CheckpointError(f"{folder / file}: {INDEX_FILE} does not say that {name[:200]!r} is in this file")
            found[name] = tensor
    lost = sorted(places.keys() - found.keys())
    if lost:
        raise CheckpointError(f"{folder / places[lost[0]]}: {lost[0][:200]!r} is not in it, but {INDEX_FILE} says so")
    return found


def _tensors_of(path: Path) -> dict[str, StoredTensor]:
    check_place(path)
    try:
        header = _header(path)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    return {name: _tensor(path, name, entry) for name, entry in header.items() if name != "__metadata__"}


def _header(path: Path) -> dict[str, Any]:
    """The names, types and shapes at the start of a safetensors file (8 bytes of length, then JSON)."""
    with path.open("rb") as file:
        first = file.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= _MOST_BYTES:
            raise ValueError(f"its header is said to have {length:,} bytes; at most {_MOST_BYTES:,} are read")
        text = file.read(length)
    if len(text) < length:
        raise ValueError(f"it ends within its header of {length:,} bytes")
    return _parsed(text)


def _tensor(path: Path, name: str, entry: object) -> StoredTensor:
    fields = entry if isinstance(entry, dict) else {}
    dtype, shape = fields.get("dtype"), fields.get("shape")
    if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype) or not isinstance(shape, list):
        raise CheckpointError(f"{path}: the header's entry for {name[:200]!r} has no dtype or no shape")
    if len(shape) > _MOST_SIDES or not all(type(side) is int and 0 <= side <= _LONGEST_SIDE for side in shape):
        raise CheckpointError(
            f"{path}: the header's entry for {name[:200]!r} has no possible shape; at most {_MOST_SIDES} whole numbers "
            f"are read"
        )
    return StoredTensor(path, name, dtype, tuple(shape))


def check_place(path: Path) -> None:
    """Refuse what a link leads out of the folder, and what is no file, a pipe, which would be waited for.

    The Hub's cache keeps its files in `blobs`, two levels up.
    """
    try:
        target, folder = path.resolve(), path.parent.resolve()
    except (OSError, RuntimeError):  # RuntimeError up to Python 3.12
        raise CheckpointError(f"{path} is a link that leads back to itself; copy the file itself there") from None
    if target.exists() and not target.is_file():
        raise CheckpointError(f"{path} is no ordinary file, so it is not opened; copy the file itself there")
    blobs = folder.parents[1] / "blobs" if folder.parent.name == "snapshots" else folder
    if target.parent not in (folder, blobs):
        raise CheckpointError(f"{path} is a link to {target}, outside the folder; copy the file itself there")


def _parsed(text: bytes) -> dict[str, Any]:
    values = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite)
    if not isinstance(values, dict):
        raise ValueError("it holds no object of names")
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {twice[:200]!r} stands twice in one object")
    return values


def _refused(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"it holds {text[:50]}, which no number here can be")
    return value


def printable(text: str, most: int) -> str:
    """The beginning of a stranger's text in one line, without anything that a terminal obeys."""
    return repr(text[:most])[1:-1]
