"""Questions in files, and runs that learn from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from bigbird import randomness
from bigbird.data.files import ending_of, read_lines
from bigbird.data.questions import AnswerSpan, Question
from bigbird.data.sources import Datasets, check_least, check_seed
from bigbird.errors import ConfigError, DataError

_NEEDED = ("question", "document")
_FIELDS = (*_NEEDED, "name", "title", "answers", "accepted", "is_impossible")
_EXAMPLE = '{"question": "When does it end?", "document": "… ends on 1 May.", "answers": [[10, 15]]}'


def read_questions(path: Path) -> list[Question]:
    """Read questions of a .jsonl file (may be gzip), a line each.

        {"question": …, "document": …, "answers": [[start, end], …]}

    `answers` are characters of the document, counted from 0, the end exclusive. Optional are `name`, `title` (of the
    document), `accepted` (answers as strings that scorers compare with) and `is_impossible` (there is no answer).
    """
    if ending_of(path) != ".jsonl":
        raise DataError(f"{path}: questions are read from .jsonl files (also .gz), a line such as {_EXAMPLE}")
    documents: dict[str, str] = {}  # many questions are asked about one: its text is in memory once
    questions = []
    for number, line in read_lines(path):
        if line.strip():
            question = _question(_object(line, f"{path}:{number}"), f"{path}:{number}")
            questions.append(replace(question, document=documents.setdefault(question.document, question.document)))
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
        for name in ("train", "validation"):
            if not getattr(self, name):
                raise ConfigError(f"data.{name} is not set; give a file of questions: --set data.{name}=FILE.jsonl")
        train, validation = (read_questions(Path(path)) for path in (self.train, self.validation))
        return Datasets(
            QuestionSource(train, self.seed, self.impossible_share),
            validation,
            (),
            lambda: {question.document: None for question in train},
            notes=MappingProxyType({}),
        )


def _object(line: str, source: str) -> Mapping[str, object]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError also of a number of thousands of digits
        raise DataError(f"{source}: not valid JSON: {error}") from None
    if not isinstance(row, dict) or not set(_NEEDED) <= set(row) <= set(_FIELDS):
        has = f"it has {', '.join(map(repr, row)) or 'none'}" if isinstance(row, dict) else f"it is {row!r:.40}"
        raise DataError(f"{source}: a question needs {' and '.join(_NEEDED)}, and may have {_OPTIONAL}; {has}")
    return row


_OPTIONAL = ", ".join(_FIELDS[len(_NEEDED) :])


def _question(row: Mapping[str, object], source: str) -> Question:
    texts = {name: _text(row.get(name, ""), name, source) for name in ("question", "document", "name", "title")}
    is_impossible = row.get("is_impossible", False)
    if not isinstance(is_impossible, bool):
        raise DataError(f"{source}: is_impossible must be true or false, got {is_impossible!r:.60}")
    accepted = row.get("accepted", [])
    if not isinstance(accepted, list) or not all(isinstance(answer, str) for answer in accepted):
        raise DataError(f"{source}: accepted must be a list of texts, got {accepted!r:.60}")
    texts["name"] = texts["name"] or source
    answers = tuple(_places(row.get("answers", []), source))
    try:
        return Question(
            question=texts["question"],
            document=texts["document"],
            name=texts["name"],
            title=texts["title"],
            answers=answers,
            accepted=tuple(accepted),
            is_impossible=is_impossible,
        )
    except DataError as error:
        raise DataError(f"{source}: {error}") from None


def _text(value: object, name: str, source: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{source}: {name} must be text, got {value!r:.60}")
    return value


def _places(value: object, source: str) -> Iterator[AnswerSpan]:
    rows = value if isinstance(value, list) else [value]
    for row in rows:
        if not isinstance(row, list) or len(row) != 2 or not all(type(place) is int for place in row):
            raise DataError(f"{source}: answers must be a list of [start, end], characters, got {value!r:.60}")
        yield AnswerSpan(*row)
