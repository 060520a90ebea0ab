"""Learning from files in DeepSEA's layout: any number of labels for the 200 bases in the middle of a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, overload

import numpy as np

from bigbird import randomness
from bigbird.data.deepsea_files import CHANNELS, DeepSeaRows, label_names, read_deepsea, read_names
from bigbird.data.genome_windows import check_set
from bigbird.data.records import Record, Span, stranded_labels
from bigbird.data.sources import Datasets, check_least, check_seed
from bigbird.errors import ConfigError, DataError

BIN_BP = 200
_CORPUS_ROWS = 4_000

Windows = Literal["centred", "5000+200+3000"]


@dataclass(frozen=True, kw_only=True)
class DeepSeaData:
    """DeepSEA's train, valid and test files, or others of their layout, see `deepsea_files`.

    train, validation  paths; rows of HDF5 are read as they are needed, others are held in memory
    names              file with a name per label; without one they are numbered. Labels of 919 are grouped: DHS, TF,
                       Histone
    windows            where the labelled 200 bases lie: "centred", or behind the first 5,000. Of its 8,000 bases
                       BigBird's paper says both (section 5 and figure 9)
    window_bp          bases around the labelled ones to keep; 0 keeps all. A model of bins needs whole bins on either
                       side, see `whole_bins`
    channels           order of the letters in one-hot arrays
    augment            "reverse-complement" shows each training row on either strand (DeepSEA's own file holds both)
    """

    train: str = ""
    validation: str = ""
    names: str = ""
    windows: Windows = "centred"
    window_bp: int = 0
    channels: str = CHANNELS
    augment: Literal["none", "reverse-complement"] = "reverse-complement"
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(self, window_bp=0)
        check_seed(self.seed)
        if 0 < self.window_bp < BIN_BP:
            raise ConfigError(f"data.window_bp must be 0 or at least the {BIN_BP} labelled bases, got {self.window_bp}")

    def open(self) -> Datasets:
        """See `DataConfig`."""
        check_set(self, train="train.mat", validation="valid.mat")
        train, validation = (self.records(Path(path)) for path in (self.train, self.validation))
        if train.labels != validation.labels:
            raise DataError(f"{self.train} and {self.validation} have different labels; give files of one data set")
        source = _Training(train, self.augment, self.seed)
        some = range(0, len(train), max(1, len(train) // _CORPUS_ROWS))
        return Datasets(source, validation, train.labels, lambda: (train[row].sequence for row in some))

    def records(self, path: Path, labels: Sequence[str] = ()) -> DeepSeaRecords:
        """The rows of a file; `labels` are those of a model, in its order."""
        rows = read_deepsea(path, channels=self.channels)
        if labels and len(labels) != rows.num_labels:
            raise DataError(
                f"{path} has {rows.num_labels} labels, the model {len(labels)}; they must be the same, in one order"
            )
        names = read_names(Path(self.names)) if self.names else rows.header
        return DeepSeaRecords(rows, tuple(labels) or label_names(rows.num_labels, names), path, self)


class DeepSeaRecords(Sequence[Record]):
    """Rows as records, made when asked for: labels of the whole, and the labelled 200 bases as spans."""

    def __init__(self, rows: DeepSeaRows, labels: tuple[str, ...], path: Path, config: DeepSeaData) -> None:
        self.labels = labels
        self.stranded = stranded_labels(labels)
        self._rows, self._path, self._config = rows, path, config

    def __len__(self) -> int:
        return self._rows.num_rows

    @overload
    def __getitem__(self, row: int) -> Record: ...
    @overload
    def __getitem__(self, row: slice) -> list[Record]: ...
    def __getitem__(self, row: int | slice) -> Record | list[Record]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        return self._record(row % len(self))

    def __iter__(self) -> Iterator[Record]:
        return (self._record(row) for row in range(len(self)))

    def _record(self, row: int) -> Record:
        whole = self._rows.sequence(row)
        sequence, first = _cut(whole, self._config, f"{self._path} row {row + 1}")
        labels = tuple(self.labels[column] for column in np.flatnonzero(self._rows.truth(row)))
        last = first + BIN_BP
        return Record(
            name=f"{self._path.name}:{row + 1}",
            sequence=sequence,
            labels=labels,
            spans=tuple(Span(first, last, label) for label in labels),
            ignored=tuple(part for part in ((0, first), (last, len(sequence))) if part[0] < part[1]),
        )


@dataclass(frozen=True)
class _Training:
    """A `RecordSource` of the rows, on either strand or as they are."""

    records: DeepSeaRecords
    augment: Literal["none", "reverse-complement"]
    seed: int

    def __len__(self) -> int:
        return len(self.records)

    def record(self, index: int, *, epoch: int) -> Record:
        """See `RecordSource`."""
        key = (self.seed, epoch, index)
        record = replace(self.records[index], draw=randomness.derived_seed(*key))
        is_turned = self.augment != "none" and randomness.uniform(*key) < 0.5
        return record.on_other_strand(stranded=self.records.stranded) if is_turned else record


def whole_bins(length: int) -> int:
    """The most bases around the labelled 200 in the middle of a sequence that are bins of 200: 7,800 of 8,000."""
    return (length - BIN_BP) // (2 * BIN_BP) * 2 * BIN_BP + BIN_BP


def _cut(sequence: str, config: DeepSeaData, source: str) -> tuple[str, int]:
    """The bases to keep, and where in them the labelled ones begin."""
    first = (len(sequence) - BIN_BP) // 2 if config.windows == "centred" else 5_000
    if not 0 <= first <= len(sequence) - BIN_BP:
        raise DataError(
            f"{source} has {len(sequence):,} bases; with data.windows={config.windows!r} the labelled {BIN_BP} "
            f"begin at base {first + 1:,}. Take the other of 'centred' and '5000+200+3000'"
        )
    if not config.window_bp:
        return sequence, first
    start = first - (config.window_bp - BIN_BP) // 2
    if start < 0 or start + config.window_bp > len(sequence):
        raise DataError(
            f"{source} has {len(sequence):,} bases, too few for data.window_bp={config.window_bp} around the labelled "
            f"ones; take less, or 0 for all"
        )
    return sequence[start : start + config.window_bp], first - start
