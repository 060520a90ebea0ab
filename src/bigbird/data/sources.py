"""Where training records come from, in an order that depends on the seed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness
from bigbird.data.choice_questions import ChoiceQuestion
from bigbird.data.genome import Genome
from bigbird.data.long_short_questions import LongShortQuestion
from bigbird.data.multi_hop_questions import MultiHopQuestion
from bigbird.data.packing import TokenRow
from bigbird.data.questions import Question
from bigbird.data.records import Record, labels_of, read_records, stranded_labels
from bigbird.data.segment_pairs import PairRow
from bigbird.data.summaries import SummarizedDocument
from bigbird.errors import ConfigError
from bigbird.tokenizers import Tokenizer

Item = (
    Record | TokenRow | PairRow | Question | ChoiceQuestion | LongShortQuestion | MultiHopQuestion | SummarizedDocument
)  # what a source gives: records to be tokenized, or tokens of a prepared corpus


class RecordSource(Protocol):
    """Training records, one epoch after the other; the same (index, epoch) always gives the same record."""

    def __len__(self) -> int:
        """Records per epoch."""

    def record(self, index: int, *, epoch: int) -> Item:
        """Record `index` as it looks in `epoch`; sources may show another crop, strand or negative each time."""


class Datasets(NamedTuple):
    """What a run learns from.

    validation  items as the source gives them
    labels      all labels the training records carry, in order of name
    corpus      gives clean DNA pieces for training a tokenizer, called only when one is wanted
    tokenizer   the one the data was cut into tokens with; None when a run is free to choose
    block_size  of the model that rows of tokens are packed for; 0 when any can read the data
    longest     tokens of the longest example in rows, special tokens included; 0 when any length can be read
    sha256      of the manifest of a prepared corpus, which a resumed run must find again; "" without one
    notes       what a model trained on it must know to be used, such as how long its windows were
    """

    train: RecordSource
    validation: Sequence[Any]
    labels: tuple[str, ...]
    corpus: Callable[[], Iterable[str]]
    tokenizer: Tokenizer | None = None
    block_size: int = 0
    longest: int = 0
    sha256: str = ""
    notes: Mapping[str, Any] = MappingProxyType({})


class DataConfig(Protocol):
    """A frozen dataclass that says where the data lies."""

    def open(self) -> Datasets:
        """Open and check everything, before any work is done."""


def check_seed(seed: int) -> None:
    """Raise for a seed that is no key of `randomness`."""
    if not 0 <= seed < 2**63:
        raise ConfigError(f"data.seed must be from 0 to 2**63 - 1, got {seed}")


def check_files(config: object, what: str, example: str) -> None:
    """Raise unless a data config names both its files; `what` they hold, and the name of one as an example."""
    for name in ("train", "validation"):
        if not getattr(config, name):
            raise ConfigError(f"data.{name} is not set; give a file {what}: --set data.{name}={example}")


def check_least(config: object, **least: float) -> None:
    """Raise for the first of the named settings of a data config that is below its least value."""
    for name, value in least.items():
        given = getattr(config, name)
        if not value <= given < float("inf"):
            raise ConfigError(f"data.{name} must be at least {value}, got {given}")


def shuffled(source: RecordSource, position: int, *, seed: int) -> Item:
    """The record at `position` in the endless shuffled series of epochs."""
    epoch, place = divmod(position, len(source))
    return source.record(int(_order(len(source), seed, epoch)[place]), epoch=epoch)


@lru_cache(maxsize=4)
def _order(length: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return randomness.permutation(length, seed, epoch)


@dataclass(frozen=True)
class FixedRecords:
    """The same records every epoch, or on a strand drawn anew for each record and epoch.

    A label changes sides with the strand when its counterpart occurs too, as promoter+ and promoter- do.
    """

    records: Sequence[Record]
    seed: int = 0
    augment: Literal["none", "reverse-complement"] = "none"

    def __len__(self) -> int:
        return len(self.records)

    def record(self, index: int, *, epoch: int) -> Record:
        """See `RecordSource`."""
        record = replace(self.records[index], draw=randomness.derived_seed(self.seed, epoch, index))
        flipped = self.augment != "none" and randomness.uniform(self.seed, epoch, index) < 0.5
        return record.on_other_strand(stranded=self._stranded) if flipped else record

    @cached_property
    def _stranded(self) -> frozenset[str]:
        return stranded_labels(labels_of(self.records))


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

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def open(self) -> Datasets:
        """See `DataConfig`."""
        for name in ("train", "validation"):
            if not getattr(self, name):
                raise ConfigError(
                    f"data.{name} is not set; give a file of labelled records, for example --set data.{name}=…"
                )
        genome = Genome.open(self.genome) if self.genome else None
        train, validation = (
            read_records(Path(path), genome=genome, asked="data.genome") for path in (self.train, self.validation)
        )
        return Datasets(
            FixedRecords(train, seed=self.seed, augment=self.augment),
            validation,
            labels_of(train),
            lambda: (record.sequence for record in train),
        )
