"""Questions put to one document: answers with their page and the sentence that says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from bigbird.data.sentences import Sentences, Span
from bigbird.documents.document_text import DocumentText
from bigbird.errors import ConfigError


class FoundText(Protocol):
    """An answer: characters [start, end) of the text that was asked, and a calibrated probability."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def end(self) -> int: ...  # noqa: D102
    @property
    def score(self) -> float: ...  # noqa: D102


class FoundTexts(Protocol):
    """The answers to one question, best first, and the probability that the text holds none."""

    @property
    def answers(self) -> Sequence[FoundText]: ...  # noqa: D102
    @property
    def no_answer(self) -> float: ...  # noqa: D102


class AsksText(Protocol):
    """What puts questions to a text: a `Reader`, or whatever answers as one does."""

    def ask_all(self, text: str, questions: Sequence[str], *, top_k: int = 3) -> Iterator[FoundTexts]:
        """Answer the questions in their order."""


class AskedQuestion(NamedTuple):
    """A question and the short name it goes by in lists and tables."""

    name: str
    question: str


@dataclass(frozen=True, kw_only=True)
class AskConfig:
    """How questions are put.

    top_k      answers to each question, at most
    threshold  probability of there being no answer from which "no answer found" is said
    """

    top_k: int = 3
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.top_k < 1:
            raise ConfigError(f"top_k must be at least 1, got {self.top_k}")
        if not 0 < self.threshold <= 1:
            raise ConfigError(
                f"threshold is the probability from which no answer counts as found, above 0 up to 1, got "
                f"{self.threshold}"
            )


class LocatedAnswer(NamedTuple):
    """An answer and where it stands.

    start, end  characters [start, end) of the document
    score       calibrated probability
    page        counted from 1; None where the format knows no pages
    evidence    characters of the sentence around it, or of the sentences it reaches over
    """

    text: str
    start: int
    end: int
    score: float
    page: int | None
    evidence: Span


class Answered(NamedTuple):
    """What a document says to a question.

    answers    best first; also where none counts as found
    no_answer  probability that the document holds no answer
    is_found   whether the best one counts, by the threshold
    """

    asked: AskedQuestion
    answers: tuple[LocatedAnswer, ...]
    no_answer: float
    is_found: bool


def put_questions(
    reader: AsksText, document: DocumentText, questions: Sequence[AskedQuestion], config: AskConfig
) -> Iterator[Answered]:
    """Answer the questions one after the other, in their order."""
    sentences = Sentences(document.text)
    found = reader.ask_all(document.text, [asked.question for asked in questions], top_k=config.top_k)
    for asked, texts in zip(questions, found, strict=True):
        answers = tuple(_located(answer, document, sentences) for answer in texts.answers)
        is_found = bool(answers) and texts.no_answer < config.threshold
        yield Answered(asked, answers, float(texts.no_answer), is_found)


def _located(found: FoundText, document: DocumentText, sentences: Sentences) -> LocatedAnswer:
    assert document.text[found.start : found.end] == found.text
    return LocatedAnswer(
        text=found.text,
        start=found.start,
        end=found.end,
        score=float(found.score),
        page=document.page(found.start),
        evidence=sentences.around(found.start, found.end),
    )


def as_json(answered: Answered, document: DocumentText) -> dict[str, Any]:
    """One question and its answers as plain JSON values."""
    return {
        "name": answered.asked.name,
        "question": answered.asked.question,
        "is_found": answered.is_found,
        "no_answer": answered.no_answer,
        "answers": [_answer_json(answer, document.text) for answer in answered.answers],
    }


def _answer_json(answer: LocatedAnswer, text: str) -> dict[str, Any]:
    start, end = answer.evidence
    return answer._asdict() | {"evidence": {"text": text[start:end], "start": start, "end": end}}
