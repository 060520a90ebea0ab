"""Where training records come from, in an order that depends on the seed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness
from bigbird.data.genome import Genome
from bigbird.data.records import Record, read_records
from bigbird.errors import ConfigError


class RecordSource(Protocol):
    """Training records, one epoch after the other; the same (index, epoch) always gives the same record."""

    def __len__(self) -> int:
        """Records per epoch."""

    def record(self, index: int, *, epoch: int) -> Record:
        """Record `index` as it looks in `epoch`; sources may show another crop, strand or negative each time."""


class Datasets(NamedTuple):
    """What a run learns from.

    labels  all labels the training records carry, in order of name
    corpus  gives clean DNA pieces for training a tokenizer, called only when one is wanted
    """

    train: RecordSource
    validation: Sequence[Record]
    labels: tuple[str, ...]
    corpus: Callable[[], Iterable[str]]


class DataConfig(Protocol):
    """A frozen dataclass that says where the data lies."""

    def open(self) -> Datasets:
        """Open and check everything, before any work is done."""


def shuffled(source: RecordSource, position: int, *, seed: int) -> Record:
    """The record at `position` in the endless shuffled series of epochs."""
    epoch, place = divmod(position, len(source))
    return source.record(int(_order(len(source), seed, epoch)[place]), epoch=epoch)


@lru_cache(maxsize=4)
def _order(length: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return randomness.permutation(length, seed, epoch)


@dataclass(frozen=True)
class FixedRecords:
    """The same records every epoch, or on a strand drawn anew for each record and epoch."""

    records: Sequence[Record]
    seed: int = 0
    augment: Literal["none", "reverse-complement"] = "none"

    def __len__(self) -> int:
        return len(self.records)

    def record(self, index: int, *, epoch: int) -> Record:
        """See `RecordSource`."""
        record = replace(self.records[index], draw=randomness.derived_seed(self.seed, epoch, index))
        flipped = self.augment != "none" and randomness.uniform(self.seed, epoch, index) < 0.5
        return record.on_other_strand() if flipped else record


@dataclass(frozen=True, kw_only=True)
class FileData:
    """Labelled DNA in files that `read_records` reads.

    train, validation  paths
    genome             FASTA the files' places refer to, when they hold places
    augment            "reverse-complement" shows each training record on either strand
    """

    train: str = ""
    validation: str = ""
    genome: str = ""
    augment: Literal["none", "reverse-complement"] = "reverse-complement"
    seed: int = 0

    def open(self) -> Datasets:
        """See `DataConfig`."""
        for name in ("train", "validation"):
            if not getattr(self, name):
                raise ConfigError(
                    f"data.{name} is not set; give a file of labelled records, for example --set data.{name}=…"
                )
        genome = Genome.open(self.genome) if self.genome else None
        train, validation = (read_records(Path(path), genome=genome) for path in (self.train, self.validation))
        return Datasets(
            FixedRecords(train, seed=self.seed, augment=self.augment),
            validation,
            tuple(sorted({label for record in train for label in (*record.labels, *(s.label for s in record.spans))})),
            lambda: (record.sequence for record in train),
        )
