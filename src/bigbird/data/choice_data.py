"""Runs that learn to choose among candidates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bigbird.data.drawn_questions import DrawnQuestions
from bigbird.data.sources import Datasets, check_files, check_seed
from bigbird.data.wikihop_files import read_wikihop


@dataclass(frozen=True, kw_only=True)
class ChoiceData:
    """Questions with candidates, in files of WikiHop's form (`read_wikihop`).

    train, validation  paths
    """

    train: str = ""
    validation: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def open(self) -> Datasets:
        """See `DataConfig`."""
        check_files(self, "of questions in WikiHop's form", "FILE.json")
        train, validation = (list(read_wikihop(Path(path))) for path in (self.train, self.validation))
        return Datasets(
            DrawnQuestions(train, self.seed), validation, (), lambda: (question.document for question in train)
        )
