"""Questions in files, and runs that learn from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from bigbird import randomness
from bigbird.data import question_lines
from bigbird.data.files import ending_of
from bigbird.data.questions import Question
from bigbird.data.sources import Datasets, check_files, check_least, check_seed
from bigbird.data.squad_files import read_squad
from bigbird.errors import ConfigError, DataError

_EXAMPLE = '{"question": "When does it end?", "document": "… ends on 1 May.", "answers": [[10, 15]]}'


def read_questions(path: Path) -> list[Question]:
    """Questions of a file, plain or gzip: .jsonl is this package's own form (`question_lines`), .json is SQuAD's.

    Questions about one document share its memory.
    """
    readers = {".jsonl": question_lines.read_questions, ".json": read_squad}
    if ending_of(path) not in readers:
        raise DataError(
            f"{path}: questions are read from .jsonl files, a line such as {_EXAMPLE}, and from .json files of SQuAD's "
            f"form; both also .gz"
        )
    documents: dict[str, str] = {}
    questions = [
        replace(one, document=documents.setdefault(one.document, one.document))
        for one in readers[ending_of(path)](path)
    ]
    if not questions:
        raise DataError(f"{path} holds no questions")
    return questions


@dataclass(frozen=True)
class QuestionSource:
    """The same questions every epoch, of those without an answer a share, drawn anew each time.

    impossible_share  of the questions without an answer that an epoch shows. In another's place stands one of the
                      questions with an answer, drawn too
    """

    questions: Sequence[Question]
    seed: int = 0
    impossible_share: float = 1.0

    def __len__(self) -> int:
        return len(self.questions)

    def record(self, index: int, *, epoch: int) -> Question:
        """See `RecordSource`."""
        question = self.questions[index]
        is_left_out = randomness.uniform(self.seed, epoch, index, 1) >= self.impossible_share
        if question.is_impossible and is_left_out:
            question = self._answered(epoch, index) or question
        return replace(question, draw=randomness.derived_seed(self.seed, epoch, index))

    def _answered(self, epoch: int, index: int) -> Question | None:
        """One of the questions with an answer; None when a hundred draws find none."""
        drawn = (int(randomness.integers(0, len(self), self.seed, epoch, index, 2, attempt)) for attempt in range(100))
        return next((self.questions[place] for place in drawn if not self.questions[place].is_impossible), None)


@dataclass(frozen=True, kw_only=True)
class QuestionData:
    """Questions about documents in files that `read_questions` reads.

    train, validation  paths
    impossible_share   of the training questions without an answer that an epoch shows, drawn anew each time; where
                       they are most, as in contracts, a reader else learns to say "no answer" and little more
    """

    train: str = ""
    validation: str = ""
    impossible_share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_least(self, impossible_share=0)
        if self.impossible_share > 1:
            raise ConfigError(f"data.impossible_share must be from 0 to 1, got {self.impossible_share}")

    def open(self) -> Datasets:
        """See `DataConfig`."""
        check_files(self, "of questions", "FILE.jsonl")
        train, validation = (read_questions(Path(path)) for path in (self.train, self.validation))
        return Datasets(
            QuestionSource(train, self.seed, self.impossible_share),
            validation,
            (),
            lambda: {question.document: None for question in train},
            notes=MappingProxyType({}),
        )
