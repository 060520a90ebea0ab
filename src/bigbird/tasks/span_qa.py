"""Answers to questions as spans of a document of any length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bigbird.attention.spec import GlobalAt
from bigbird.data.questions import Question
from bigbird.data.sources import Item
from bigbird.errors import ConfigError, DataError
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import SpanFinder
from bigbird.tasks.base import Batch, Example, Loss, Purpose, device_of, in_batches, packed
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.span_decoding import Decoding, SpanAnswers, decoded
from bigbird.tasks.span_loss import span_losses
from bigbird.tasks.span_scores import span_scores_of
from bigbird.tasks.span_windows import (
    Reading,
    check_sizes,
    kept,
    labelled,
    question_tokens,
    reader_tokenizer,
    reading_of,
    with_global_question,
)
from bigbird.tokenizers import Tokenizer

GlobalTokens = Literal["pattern", "question"]

_HAVING, _EMPTY = 0, 1  # kinds of windows, for draws


@dataclass(frozen=True, kw_only=True)
class SpanQA:
    """Where in a document the answer to a question stands, or that it has none.

        [CLS] question [SEP] document or a window of it [SEP]
          ^ no answer here   ^^^^^^^^^^^^^^^^^^^^^ starts and ends

    max_length          tokens of a window; a longer document is read in several
    overlap             tokens of the document that neighbouring windows share: at least max_answer_tokens, so that
                        every such answer stands whole in some window
    max_answer_tokens   of an answer that is given; longer labelled ones are learned, but cannot be given
    max_question_tokens a longer question is refused
    none_allowed        whether "no answer" may be the answer
    global_at           where the pattern's global blocks stand: "start" makes the question global, as the paper's ITC
                        (its first 128 tokens: two blocks of 64); "ends" leaves the pattern as published
    global_tokens       "pattern": as many global blocks as the pattern has, whatever the question's length; "question":
                        all tokens of each question, however many they are, in whole blocks
    max_answer_windows  windows with an answer that training shows of a question at a time, drawn anew every epoch
    max_empty_windows   windows without one, likewise; of a question without an answer one at least
    top_k               answers that a prediction has at most; they do not overlap
    temperature, no_answer_offset  of the probabilities, see `bigbird.tasks.span_calibration`

    The loss of a window is that of its start and of its end: the logarithm of the sum over all places less that of the
    sum over the right ones, whichever of them the model prefers (Clark & Gardner 2018, section 3.2, and TensorFlow
    Model Garden's BigBird for TriviaQA). The right place of a window without an answer is its first token.

    Offsets are characters of the document as it was given. An answer begins and ends with a token and never inside what
    people see as one character or at a blank; of a label that cuts a token the whole token is learned.
    """

    max_length: int = 4096
    overlap: int = 256
    max_answer_tokens: int = 128
    max_question_tokens: int = 128
    none_allowed: bool = True
    global_at: GlobalAt = "start"
    global_tokens: GlobalTokens = "pattern"
    max_answer_windows: int = 2
    max_empty_windows: int = 1
    top_k: int = 3
    temperature: float = 1.0
    no_answer_offset: float = 0.0

    def __post_init__(self) -> None:
        least = {"max_answer_tokens": 1, "max_question_tokens": 1, "top_k": 1, "max_answer_windows": 1}
        for name, value in (least | {"max_empty_windows": 0}).items():
            if getattr(self, name) < value:
                raise ConfigError(f"task.{name} must be at least {value}, got {getattr(self, name)}")
        check_sizes(
            max_length=self.max_length,
            overlap=self.overlap,
            max_answer_tokens=self.max_answer_tokens,
            max_question_tokens=self.max_question_tokens,
        )
        if self.global_tokens not in get_args(GlobalTokens):
            raise ConfigError(
                f"task.global_tokens must be one of {', '.join(get_args(GlobalTokens))}, got {self.global_tokens!r}"
            )
        if self.global_tokens == "question" and self.global_at != "start":
            raise ConfigError(
                f"task.global_tokens 'question' makes each question global, at the start, and task.global_at is "
                f"{self.global_at!r}; set task.global_at=start, or task.global_tokens=pattern"
            )
        if not 0 < self.temperature < float("inf") or not abs(self.no_answer_offset) < float("inf"):
            raise ConfigError(
                f"task.temperature must be above 0 and task.no_answer_offset a finite number, got {self.temperature} "
                f"and {self.no_answer_offset}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """None: answers are places."""
        return ()

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        return SpanFinder(replace(config, pattern=replace(config.pattern, global_at=self.global_at)))

    def check(self, questions: Iterable[Question], tokenizer: Tokenizer) -> None:
        """Raise unless all questions can be learned from."""
        seen: set[str] = set()
        for question in questions:
            _check_known(question)
            if question.question not in seen:
                self.check_question(question, tokenizer)
                seen.add(question.question)

    def check_question(self, question: Question, tokenizer: Tokenizer) -> None:
        """Raise unless the question, whatever its document, can be asked."""
        question_tokens(question, reader_tokenizer(tokenizer), most=self.max_question_tokens)

    def encode(self, record: Item, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:
        """See `Task`; what an example holds is told by `SpanWindows.example`."""
        if not isinstance(record, Question):
            raise DataError(f"answers are asked of questions, got a {type(record).__name__}; give a file of questions")
        reading = self._read(record, tokenizer)
        if purpose == "predict":
            return self._with_globals(reading.every_window(index))
        _check_known(record)
        having, empty, partial = labelled(reading, record, index)
        empty = empty if having or empty else partial
        num_empty = max(self.max_empty_windows, 0 if having else 1)
        shown = [
            *kept(having, self.max_answer_windows, record.draw, _HAVING),
            *kept(empty, num_empty, record.draw, _EMPTY),
        ]
        return self._with_globals(shown)

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`. Targets: [tokens of all examples, 2], weights: [tokens of all examples]."""
        return packed(examples, block_size=block_size)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """See the class; a mean of start and end, one target per window."""
        logits = batch.layout.unpack(model(batch.token_ids, batch.layout, token_types=batch.token_types))
        total = span_losses(logits, batch.targets, batch.weights, batch.layout.lengths).sum()
        return Loss(total, torch.tensor(len(batch.layout.lengths), device=total.device))

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[SpanAnswers]:
        """See `Task`."""
        pairs = zip(examples, self.logits(model, examples, block_size=block_size), strict=True)
        return [decoded(list(some), self.decoding) for _, some in groupby(pairs, key=lambda pair: pair[0].record)]

    def logits(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[NDArray[np.float64]]:
        """Logits of start and end, [length, 2] of each example."""
        return [row for batch in in_batches(examples) for row in self._logits(model, batch, block_size)]

    def score(self, predictions: Sequence[SpanAnswers], records: Sequence[Question]) -> dict[str, Estimate]:
        """SQuAD 2.0's exact match and F1, and whether it was told rightly that there is an answer; over documents."""
        return span_scores_of(predictions, records, none_allowed=self.none_allowed)

    @property
    def decoding(self) -> Decoding:
        """How logits become answers."""
        offset = self.no_answer_offset if self.none_allowed else -np.inf
        return Decoding(self.top_k, self.max_answer_tokens, 1 / self.temperature, offset)

    def _read(self, record: Question, tokenizer: Tokenizer) -> Reading:
        return reading_of(
            record,
            tokenizer,
            max_length=self.max_length,
            overlap=self.overlap,
            max_question_tokens=self.max_question_tokens,
        )

    def _with_globals(self, examples: Iterable[Example]) -> list[Example]:
        if self.global_tokens == "pattern":
            return list(examples)
        return [with_global_question(example) for example in examples]

    def _logits(self, model: nn.Module, examples: Sequence[Example], block_size: int) -> list[NDArray[np.float64]]:
        batch = self.collate(examples, block_size=block_size).to(device_of(model))
        logits = model(batch.token_ids, batch.layout, token_types=batch.token_types)
        rows = batch.layout.unpack(logits).double().cpu().numpy()
        return np.split(rows, np.cumsum([len(example.token_ids) for example in examples])[:-1])


def _check_known(question: Question) -> None:
    if not question.answers and not question.is_impossible:
        raise DataError(
            f"question {question.name!r} has no place of an answer, and nothing says that there is none; give answers "
            f"(character places in its document) or is_impossible"
        )
