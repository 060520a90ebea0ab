"""Pages in files that are larger than memory, and runs that learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from bigbird.data.drawn_questions import DrawnQuestions
from bigbird.data.files import is_gzip, open_binary
from bigbird.data.json_files import entry_of_line
from bigbird.data.long_short_questions import LongShortQuestion
from bigbird.data.natural_questions_files import question_of, read_natural_questions
from bigbird.data.sources import Datasets, check_files, check_seed
from bigbird.errors import DataError


class QuestionFile(Sequence[LongShortQuestion]):
    """The questions of a plain .jsonl file, each read when it is asked for; only where they begin is in memory.

    Natural Questions' training questions would take some 70 GB.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places, self._numbers = _lines(path)
        if not len(self._places):
            raise DataError(f"{path} holds no entries")

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> LongShortQuestion: ...
    @overload
    def __getitem__(self, index: slice) -> list[LongShortQuestion]: ...
    def __getitem__(self, index: int | slice) -> LongShortQuestion | list[LongShortQuestion]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        with open_binary(self.path) as file:
            file.seek(int(self._places[index]))
            return question_of(entry_of_line(file.readline(), f"{self.path}:{self._numbers[index]}"))


def open_natural_questions(path: Path) -> Sequence[LongShortQuestion]:
    """The questions of a file, read one by one from a plain one; a gzip one has to be held in memory whole."""
    try:
        return list(read_natural_questions(path)) if is_gzip(path) else QuestionFile(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None


@dataclass(frozen=True, kw_only=True)
class LongShortData:
    """Questions about pages, in files of Natural Questions' form, original or simplified (`read_natural_questions`).

    train, validation  paths; plain .jsonl is read a question at a time, .jsonl.gz is held in memory
    """

    train: str = ""
    validation: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def open(self) -> Datasets:
        """See `DataConfig`."""
        check_files(self, "of questions in Natural Questions' form", "FILE.jsonl")
        train, validation = (open_natural_questions(Path(path)) for path in (self.train, self.validation))
        return Datasets(
            DrawnQuestions(train, self.seed), validation, (), lambda: (question.document for question in train)
        )


def _lines(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each line begins that holds more than blanks, in bytes, and its number from 1."""
    places, numbers, place = [], [], 0
    with open_binary(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                places.append(place)
                numbers.append(number)
            place += len(line)
    return np.array(places, np.int64), np.array(numbers, np.int64)
