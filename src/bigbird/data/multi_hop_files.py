"""Files of questions with supporting sentences, and runs that learn from them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bigbird import randomness
from bigbird.data.files import ending_of
from bigbird.data.hotpotqa_files import read_hotpotqa
from bigbird.data.multi_hop_questions import MultiHopQuestion
from bigbird.data.sources import Datasets, check_files, check_seed
from bigbird.errors import DataError

log = logging.getLogger(__name__)

_ENDINGS = (".json", ".jsonl")


def read_multi_hop(path: Path) -> list[MultiHopQuestion]:
    """All questions of a file in HotpotQA's format, see `read_hotpotqa`."""
    if ending_of(path) not in _ENDINGS:
        raise DataError(
            f"{path}: questions with supporting sentences are read from .json and .jsonl files in HotpotQA's format; "
            f"both also .gz"
        )
    return list(read_hotpotqa(path))


@dataclass(frozen=True)
class MultiHopSource:
    """The same questions every epoch; which windows of a long document are shown is drawn anew each time."""

    questions: Sequence[MultiHopQuestion]
    seed: int = 0

    def __len__(self) -> int:
        return len(self.questions)

    def record(self, index: int, *, epoch: int) -> MultiHopQuestion:
        """See `RecordSource`."""
        question = self.questions[index]
        return replace(question, asked=replace(question.asked, draw=randomness.derived_seed(self.seed, epoch, index)))


@dataclass(frozen=True, kw_only=True)
class MultiHopData:
    """Questions with supporting sentences in files that `read_multi_hop` reads.

    train, validation  paths
    """

    train: str = ""
    validation: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def open(self) -> Datasets:
        """See `DataConfig`."""
        check_files(self, "in HotpotQA's format", "FILE.json")
        train, validation = (read_multi_hop(Path(path)) for path in (self.train, self.validation))
        if nowhere := sum(_is_nowhere(question) for question in train):
            log.warning(
                "%s: the documents of %d of %d questions do not spell the answer; of these its kind and the supporting "
                "sentences are learned, no span",
                self.train,
                nowhere,
                len(train),
            )
        return Datasets(MultiHopSource(train, self.seed), validation, (), lambda: (one.asked.document for one in train))


def _is_nowhere(question: MultiHopQuestion) -> bool:
    return bool(question.asked.accepted) and not question.yes_no and not question.asked.answers
