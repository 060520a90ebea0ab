"""A trained reader: answers to questions about a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from bigbird.checkpoint import LoadedModel, load_model
from bigbird.data.questions import Question
from bigbird.errors import CheckpointError, ConfigError, DataError
from bigbird.interop.published_readers import load_reader
from bigbird.interop.starting import is_ours
from bigbird.predictor import Predictor
from bigbird.tasks import SpanQA


class FoundAnswer(NamedTuple):
    """Characters [start, end) of the text that was given, and the probability that they are the answer."""

    text: str
    start: int
    end: int
    score: float


class Answers(NamedTuple):
    """Answers that do not overlap, the best first, and the probability that the text holds none."""

    answers: tuple[FoundAnswer, ...]
    no_answer: float


class Reader:
    """Answers questions about texts of any length.

        reader = Reader.load("my-reader")
        reader.ask("The term ends on 1 May.", "When does it end?").answers[0]
        FoundAnswer(text='1 May', start=17, end=22, score=0.93)

    An answer depends on the text and the question alone, never on other questions or on earlier calls.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        if not isinstance(loaded.task, SpanQA):
            raise ConfigError(
                f"a reader needs a model that answers questions (task span-qa), got one for "
                f"{type(loaded.task).__name__}. Train one with bigbird train question_answering.spans"
            )
        self.loaded, self._task = loaded, loaded.task

    @classmethod
    def load(cls, model: str | Path, *, device: torch.device | str | None = None) -> Reader:
        """Load a model folder or a packaged model; `device` None takes the GPU if there is one, else the CPU.

        Also a reader of the Hub, a folder in its layout or OWNER/NAME[@REVISION], see `interop.published_readers`.
        """
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if is_ours(str(model)):
            loaded = load_model(model, device=chosen)
        else:
            loaded = load_reader(model)
            loaded.model.to(chosen)
        try:
            return cls(loaded)
        except ConfigError as error:
            raise CheckpointError(f"{model} is no reader: {error}") from None

    def ask(self, text: str, question: str, *, top_k: int = 3) -> Answers:
        """The best answers to a question, at most `top_k`; raises DataError when text or question is empty."""
        return next(self.ask_all(text, [question], top_k=top_k))

    def ask_all(self, text: str, questions: Sequence[str], *, top_k: int = 3) -> Iterator[Answers]:
        """As `ask`, for several questions about one text, which is turned into tokens once."""
        if isinstance(questions, str):
            raise DataError("ask_all takes a list of questions, got one text; use ask for a single question")
        if not text.strip():
            raise DataError("the text is empty; give one that holds something to read")
        task = replace(self._task, top_k=top_k)
        records = [Question(question=question, document=text, name=question) for question in questions]
        for record in records:
            task.check_question(record, self.loaded.tokenizer)
        for found in Predictor(replace(self.loaded, task=task)).predict(records):
            answers = tuple(FoundAnswer(text[start:end], start, end, score) for start, end, score in found.answers)
            yield Answers(answers, found.no_answer)
