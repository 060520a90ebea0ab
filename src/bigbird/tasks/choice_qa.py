"""Answers chosen among candidates, by a document of any length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bigbird.data.choice_questions import ChoiceQuestion
from bigbird.data.sources import Item
from bigbird.errors import ConfigError, DataError
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import CandidateScorer
from bigbird.tasks.base import Batch, Example, Loss, Purpose, device_of, in_batches, packed
from bigbird.tasks.choice_scores import choice_accuracy
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.span_windows import SpanWindows, document_tokens, kept, reader_tokenizer, with_global_question
from bigbird.tokenizers import Encoding, TextTokenizer, Tokenizer

_SHOWN = 2  # kind of windows, for draws


class ChoiceAnswer(NamedTuple):
    """How likely each candidate of a question is the right one, in their order."""

    probabilities: tuple[float, ...]

    @property
    def best(self) -> int:
        """The likeliest candidate's number, from 0; of equals the first."""
        return int(np.argmax(self.probabilities))


@dataclass(frozen=True, kw_only=True)
class ChoiceQA:
    """Which of several candidates answers a question about a document (WikiHop: Welbl et al. 2018).

        [CLS] question [SEP] candidate 0 [SEP] candidate 1 … [SEP] document or a window of it [SEP]
                       ~~~~~~~~~~~~~~~~~ ~~~~~~~~~~~~~~~~~
                        one logit each: the mean of these tokens' vectors, through a linear layer

    max_length   tokens of a window; a longer document is read in several, each with the question and all candidates
    overlap      tokens of the document that neighbouring windows share
    max_windows  that training shows of a question at a time, drawn anew every epoch

    Question and candidates are global, all of them, as the paper (Zaheer et al. 2020, appendix E.2) and Longformer have
    it (Beltagy et al. 2020). These mark each candidate with tokens they add to the vocabulary and read it off its mark.
    A published vocabulary has no such tokens to spare; so the separator, which every family has and no text can spell,
    stands before each candidate, and a candidate's vector is the mean of its own tokens and that mark.

    A candidate's logit is the mean of those of all windows, and probabilities are the softmax over candidates
    (Longformer's rule). The loss is the cross-entropy of each window by itself, since a batch may end between two of
    them. Where a candidate stands twice, either is right.

    Question and candidates are never cut, nor is a candidate left out: when they leave no room for the document, that
    is an error which tells how many tokens they have. WikiHop's most, 79 candidates, take some 500 tokens.
    """

    max_length: int = 4096
    overlap: int = 128
    max_windows: int = 2

    def __post_init__(self) -> None:
        if self.max_windows < 1:
            raise ConfigError(f"task.max_windows must be at least 1, got {self.max_windows}")
        if not 0 <= self.overlap < self.max_length / 2:
            raise ConfigError(
                f"task.overlap must be from 0 to less than half of task.max_length ({self.max_length}), got "
                f"{self.overlap}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """None: each question has candidates of its own."""
        return ()

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        return CandidateScorer(replace(config, pattern=replace(config.pattern, global_at="start")))

    def check(self, questions: Iterable[ChoiceQuestion], tokenizer: Tokenizer) -> None:
        """Raise unless all questions can be learned from."""
        for question in questions:
            _check_known(question)
            self._prompt(question, reader_tokenizer(tokenizer))

    def encode(self, record: Item, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:
        """See `Task`. Of an example bins are the candidates, targets are 1 for the right one: [candidates]."""
        if not isinstance(record, ChoiceQuestion):
            raise DataError(
                f"candidates are chosen for questions that have some, got a {type(record).__name__}; give a file of "
                f"WikiHop's form"
            )
        known = reader_tokenizer(tokenizer)
        prompt = self._prompt(record, known)
        document = document_tokens(record.document, known)
        if not document.may_answer.any():
            raise DataError(f"the document of question {record.name or record.question!r} holds no text")
        windows = SpanWindows(known, self.max_length, self.overlap)
        firsts = windows.places(len(document.encoding.ids), windows.room(prompt.tokens))
        if purpose == "train":
            _check_known(record)
            firsts = kept(firsts, self.max_windows, record.draw, _SHOWN)
        targets = np.array([bool(record.answer) and one == record.answer for one in record.candidates], np.float32)
        return [prompt.marked(windows.example(document, prompt.tokens, index, first), targets) for first in firsts]

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`. Targets: [candidates of all examples]."""
        return packed(examples, block_size=block_size)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Cross-entropy over the candidates of each window; one target per window."""
        logits = _of_windows(_scored(model, batch).float(), batch)
        total = torch.stack(
            [_choice_loss(*pair) for pair in zip(logits, _of_windows(batch.targets, batch), strict=True)]
        )
        return Loss(total.sum(), torch.tensor(len(logits), device=total.device))

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[ChoiceAnswer]:
        """See `Task`."""
        rows = [row for some in in_batches(examples) for row in self._logits(model, some, block_size)]
        pairs = zip(examples, rows, strict=True)
        return [
            decoded([logits for _, logits in windows]) for _, windows in groupby(pairs, key=lambda pair: pair[0].record)
        ]

    def score(self, predictions: Sequence[ChoiceAnswer], records: Sequence[ChoiceQuestion]) -> dict[str, Estimate]:
        """How often the right candidate is chosen."""
        chosen = [question.candidates[one.best] for one, question in zip(predictions, records, strict=True)]
        return {"accuracy": choice_accuracy(records, chosen)}

    def _logits(self, model: nn.Module, examples: Sequence[Example], block_size: int) -> list[NDArray[np.float64]]:
        batch = self.collate(examples, block_size=block_size).to(device_of(model))
        return [row.double().cpu().numpy() for row in _of_windows(_scored(model, batch), batch)]

    def _prompt(self, question: ChoiceQuestion, tokenizer: TextTokenizer) -> _Prompt:
        """Question and candidates; raises where they cannot be read, or leave no room for the document."""
        if not question.question.strip():
            raise DataError(f"question {question.name!r} is empty; it needs a text")
        prompt = _Prompt.of(question, tokenizer)
        room = SpanWindows(tokenizer, self.max_length, self.overlap).room(prompt.tokens)
        if room <= self.overlap:
            raise DataError(
                f"question {question.name or question.question!r} and its {len(question.candidates)} candidates have "
                f"{len(prompt.tokens.ids):,} tokens, which leaves no room for new text in windows of "
                f"{self.max_length:,} that share {self.overlap:,}; give a greater task.max_length or a smaller "
                f"task.overlap. Candidates are never left out"
            )
        return prompt


class _Prompt(NamedTuple):
    """What every window of a question begins with, behind its first token.

    tokens  the question, then each candidate behind a separator
    bins    int64, the candidate of each token; -1 for the question
    """

    tokens: Encoding
    bins: NDArray[np.int64]

    @classmethod
    def of(cls, question: ChoiceQuestion, tokenizer: TextTokenizer) -> _Prompt:
        # Pairs of bytes spell a word that follows another with its space: as the document does, where it is sought.
        space = " " if tokenizer.family.kind == "byte pairs" else ""
        texts = [question.question, *(space + candidate for candidate in question.candidates)]
        asked, *candidates = (one.ids for one in tokenizer.encode_batch(texts, read_symbols=False))
        mark = np.array([tokenizer.special_id("[SEP]")], np.int64)
        runs = [asked, *(np.concatenate((mark, ids)) for ids in candidates)]
        bins = np.repeat(np.arange(-1, len(candidates)), [len(run) for run in runs])
        ids = np.concatenate(runs)
        return cls(Encoding(ids, np.zeros_like(ids), np.zeros_like(ids)), bins)

    def marked(self, window: Example, targets: NDArray[np.float32]) -> Example:
        """The window with its candidates as bins, and all before the document global."""
        bins = np.full(len(window.token_ids), -1)
        bins[1 : 1 + len(self.bins)] = self.bins
        window = with_global_question(window)
        return window._replace(targets=targets, weights=np.ones_like(targets), bins=bins)


def decoded(windows: Sequence[NDArray[np.float64]]) -> ChoiceAnswer:
    """The answer out of the logits of every window, float64 [candidates] each."""
    mean = np.mean(windows, axis=0)
    shares = np.exp(mean - mean.max())
    return ChoiceAnswer(tuple((shares / shares.sum()).tolist()))


def _scored(model: nn.Module, batch: Batch) -> Tensor:
    logits: Tensor = model(batch.token_ids, batch.layout, batch.bins, token_types=batch.token_types)
    return logits


def _of_windows(values: Tensor, batch: Batch) -> list[Tensor]:
    """[candidates of all windows] -> those of each."""
    assert batch.bins is not None
    return list(values.split(list(batch.bins.counts)))


def _choice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """[candidates], [candidates] -> a number."""
    return logits.logsumexp(0) - logits.masked_fill(targets <= 0, -torch.inf).logsumexp(0)


def _check_known(question: ChoiceQuestion) -> None:
    if not question.answer:
        raise DataError(
            f"question {question.name!r} does not tell which candidate is right, so nothing can be learned from it; "
            f"give its answer"
        )
