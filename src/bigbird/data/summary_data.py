"""Runs that learn to sum documents up."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bigbird import config, randomness
from bigbird.data.sources import Datasets, check_files, check_seed
from bigbird.data.summaries import SummarizedDocument
from bigbird.data.summary_files import OWN_FIELDS, SummaryFields, open_summaries

NOTE = "fields"  # of a model: names that differ from `OWN_FIELDS`

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SummarySource:
    """The same documents every epoch; of several summaries the one to learn is drawn anew each time."""

    documents: Sequence[SummarizedDocument]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.documents)

    def record(self, index: int, *, epoch: int) -> SummarizedDocument:
        """See `RecordSource`."""
        one = self.documents[index]
        chosen = int(randomness.integers(0, len(one.summaries), self.seed, epoch, index, 1))
        draw = randomness.derived_seed(self.seed, epoch, index)
        return replace(one, summaries=(one.summaries[chosen],), draw=draw)


@dataclass(frozen=True, kw_only=True)
class SummaryData:
    """Documents with summaries in files that `read_summaries` reads.

    train, validation  paths; plain .jsonl is read an item at a time, all else is held in memory
    fields             under which names both files hold what
    """

    train: str = ""
    validation: str = ""
    fields: SummaryFields = field(default_factory=SummaryFields)
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def open(self) -> Datasets:
        """See `DataConfig`."""
        check_files(self, "of documents with summaries", "FILE.jsonl")
        train, validation = (open_summaries(Path(path), self.fields) for path in (self.train, self.validation))
        learned = {_digest(one) for one in train}
        if known := sum(_digest(one) in learned for one in validation):
            log.warning(
                "%s: the texts of %d of %d items are learned from too, which flatters their scores; part the files by "
                "document",
                self.validation,
                known,
                len(validation),
            )
        names = {name: value for name, value in asdict(self.fields).items() if value != getattr(OWN_FIELDS, name)}
        return Datasets(
            SummarySource(train, self.seed),
            validation,
            (),
            lambda: (one.document for one in train),
            notes={NOTE: names} if names else {},
        )


def noted_fields(notes: Mapping[str, Any]) -> SummaryFields:
    """Under which names the files held what that a model was trained on; `notes` are the model's."""
    return config.from_json(SummaryFields, notes.get(NOTE, {}), source="the model's notes")


def _digest(one: SummarizedDocument) -> bytes:
    return hashlib.blake2b(one.document.encode("utf-8", "surrogatepass"), digest_size=16).digest()
