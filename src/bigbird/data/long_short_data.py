"""Pages in files that are larger than memory, and runs that learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bigbird.data.drawn_questions import DrawnQuestions
from bigbird.data.files import is_gzip
from bigbird.data.line_file import LineFile
from bigbird.data.long_short_questions import LongShortQuestion
from bigbird.data.natural_questions_files import question_of, read_natural_questions
from bigbird.data.sources import Datasets, check_files, check_seed
from bigbird.errors import DataError


def open_natural_questions(path: Path) -> Sequence[LongShortQuestion]:
    """The questions of a file, read one by one from a plain one; a gzip one has to be held in memory whole.

    Natural Questions' training questions would take some 70 GB.
    """
    try:
        return list(read_natural_questions(path)) if is_gzip(path) else LineFile(path, question_of)
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
