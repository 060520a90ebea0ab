"""Files in the layout of DeepSEA (Zhou & Troyanskaya 2015): sequences and 0 or 1 for each of 919 labels.

    train.mat    MATLAB 7.3, which is HDF5: trainxdata [bases, 4, rows] one-hot, traindata [labels, rows]
    valid.mat    MATLAB 5: validxdata [rows, 4, bases], validdata [rows, labels]; test.mat likewise
    *.h5, *.hdf5 plain HDF5: x or sequences, y or targets, their axes in one of these orders
    *.csv        a row a line: the sequence, then a 0 or 1 per label; perhaps a header (GENA-LM's form)

The four channels are A, G, C, T, as in the published files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.files import ending_of, read_lines
from bigbird.errors import DataError, require
from bigbird.tokenizers import clean_dna

CHANNELS = "AGCT"
GROUPS = (("DHS", 125), ("TF", 690), ("Histone", 104))  # of the 919 labels, in their order

_HDF5_MAGIC = b"\x89HDF"
_PAIRS = (
    ("trainxdata", "traindata"),
    ("validxdata", "validdata"),
    ("testxdata", "testdata"),
    ("x", "y"),
    ("sequences", "targets"),
)


class DeepSeaRows(NamedTuple):
    """Rows of a file.

    sequence  letters of a row
    truth     bool [num_labels] of a row
    header    names of the labels where the file has them
    """

    num_rows: int
    num_labels: int
    sequence: Callable[[int], str]
    truth: Callable[[int], NDArray[np.bool_]]
    header: tuple[str, ...] = ()


def is_deepsea(path: Path) -> bool:
    """Whether a file has this layout: by its ending, of a table by its first line with values."""
    if ending_of(path) != ".csv":
        return ending_of(path) in (".mat", ".h5", ".hdf5")
    first = [line for _, line in zip(range(2), (line for _, line in read_lines(path) if line.strip()), strict=False)]
    return any(_is_row(line) for line in first)


def read_deepsea(path: Path, *, channels: str = CHANNELS) -> DeepSeaRows:
    """Open a file; rows of HDF5 are read when asked for, those of the other kinds are in memory."""
    ending = ending_of(path)
    if ending == ".csv":
        return _from_table(path)
    if ending == ".mat" and not _is_hdf5(path):
        return _from_arrays(path, _matlab_5(path), channels)
    if ending in (".mat", ".h5", ".hdf5"):
        return _from_arrays(path, _hdf5(path), channels)
    raise DataError(f"{path}: a file in DeepSEA's layout ends in .mat, .h5, .hdf5 or .csv (and may be gzip, .csv.gz)")


def label_names(num_labels: int, names: Sequence[str] = ()) -> tuple[str, ...]:
    """A distinct name per label; of 919 it begins with its group, "DHS:", "TF:" or "Histone:".

    names  in the labels' order; one that comes again gets a number: "TF:GM12878_CTCF_None", "TF:GM12878_CTCF_None#2"
    """
    if names and len(names) != num_labels:
        raise DataError(f"there are {num_labels} labels and {len(names)} names; give a name for each, in their order")
    plain = list(names) or [str(number + 1) for number in range(num_labels)]
    if num_labels == sum(count for _, count in GROUPS):
        groups = [group for group, count in GROUPS for _ in range(count)]
        plain = [name if ":" in name else f"{group}:{name}" for group, name in zip(groups, plain, strict=True)]
    seen: Counter[str] = Counter()
    distinct = []
    for name in plain:
        seen[name] += 1
        distinct.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(distinct)


def read_names(path: Path) -> tuple[str, ...]:
    """One name per line, as in Kipoi's predictor_names.txt; of several columns the last counts."""
    return tuple(line.split()[-1] for _, line in read_lines(path) if line.strip())


def _is_row(line: str) -> bool:
    sequence, _, rest = line.partition(",")
    letters = sequence.strip().strip('"')
    return len(letters) >= 20 and not set(letters.upper()) - set("ACGTN") and set(rest.split(",")) <= {"0", "1"}


def _from_table(path: Path) -> DeepSeaRows:
    header: tuple[str, ...] = ()
    sequences: list[str] = []
    truths: list[NDArray[np.bool_]] = []
    for number, line in read_lines(path):
        if not line.strip():
            continue
        if not _is_row(line):
            if sequences or header:
                raise DataError(f"{path}:{number}: a row must be a sequence and a 0 or 1 for each label")
            header = tuple(cell.strip().strip('"') for cell in line.split(",")[1:])
            continue
        letters, _, cells = line.partition(",")
        truth = np.frombuffer(cells.encode(), np.uint8)[::2] == ord("1")
        if truths and len(truth) != len(truths[0]):
            raise DataError(f"{path}:{number}: this row has {len(truth)} labels, the first one {len(truths[0])}")
        sequences.append(clean_dna(letters.strip().strip('"'), source=f"{path}:{number}").sequence)
        truths.append(truth)
    if not sequences:
        raise DataError(f"{path} holds no rows of a sequence and labels")
    if header and len(header) != len(truths[0]):
        raise DataError(f"{path}: the header names {len(header)} labels, the rows have {len(truths[0])}")
    return DeepSeaRows(len(sequences), len(truths[0]), sequences.__getitem__, truths.__getitem__, header)


def _is_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(520)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    return head.startswith(_HDF5_MAGIC) or head[512:516] == _HDF5_MAGIC  # MATLAB writes 512 bytes of its own before


def _matlab_5(path: Path) -> dict[str, Any]:
    io = require("scipy.io", extra="deepsea", purpose="a MATLAB file")
    try:
        arrays: dict[str, Any] = io.loadmat(path)
    except (ValueError, TypeError, NotImplementedError, OSError) as error:
        raise DataError(f"{path} is no readable MATLAB file: {error}. Copy or download it again") from None
    return arrays


def _hdf5(path: Path) -> Any:
    h5py = require("h5py", extra="deepsea", purpose="an HDF5 file (MATLAB 7.3 is one)")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path} is no readable HDF5 file: {error}. Copy or download it again") from None


def _from_arrays(path: Path, arrays: Any, channels: str) -> DeepSeaRows:
    if sorted(channels) != sorted("ACGT"):
        raise DataError(f"channels must be the letters A, C, G and T in the order of the file, got {channels!r}")
    pair = next((pair for pair in _PAIRS if pair[0] in arrays and pair[1] in arrays), None)
    if pair is None:
        known = " or ".join(" and ".join(pair) for pair in _PAIRS)
        raise DataError(f"{path} must hold {known}; it holds {_shown(arrays)}")
    x, y = arrays[pair[0]], arrays[pair[1]]
    axes = _axes(x.shape, y.shape)
    if axes is None:
        raise DataError(
            f"{path}: {pair[0]} {list(x.shape)} and {pair[1]} {list(y.shape)} must have as many rows, and one axis of "
            f"{pair[0]} the 4 letters"
        )
    rows, letters, label_rows = axes
    num_rows, num_labels = x.shape[rows], y.shape[1 - label_rows]
    codes = np.frombuffer((channels + "N").encode(), np.uint8)

    def sequence(row: int) -> str:
        one_hot = np.moveaxis(np.asarray(x[_at(row, rows, 3)]), letters - (letters > rows), 0)
        known = one_hot.astype(bool)
        numbers = np.where(known.sum(0) == 1, known.argmax(0), 4)  # none or several letters: not known
        return codes[numbers].tobytes().decode()

    def truth(row: int) -> NDArray[np.bool_]:
        return np.asarray(y[_at(row, label_rows, 2)]).astype(bool)

    return DeepSeaRows(num_rows, num_labels, sequence, truth)


def _at(row: int, axis: int, num_axes: int) -> tuple[int | slice, ...]:
    place: list[int | slice] = [slice(None)] * num_axes
    place[axis] = row
    return tuple(place)


def _axes(x: Sequence[int], y: Sequence[int]) -> tuple[int, int, int] | None:
    """The axis of the rows and of the letters in x, and of the rows in y; None when they do not go together."""
    for rows, letters, label_rows in ((0, 1, 0), (0, 2, 0), (2, 1, 1)):
        if len(x) == 3 and len(y) == 2 and x[letters] == 4 and x[rows] == y[label_rows]:
            return rows, letters, label_rows
    return None


def _shown(arrays: Iterable[str]) -> str:
    return ", ".join(name for name in arrays if not name.startswith("__")) or "nothing"
