"""Answers that are put together from several sentences of a document, with these sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bigbird.attention import DocumentLayout
from bigbird.attention.spec import GlobalAt
from bigbird.data.multi_hop_questions import MultiHopQuestion
from bigbird.data.sources import Item
from bigbird.errors import ConfigError, DataError
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import EvidenceReader
from bigbird.tasks.base import Batch, Example, Loss, Purpose, device_of, in_batches, packed
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.multi_hop_decoding import MultiHopReading, WindowLogits, reading
from bigbird.tasks.multi_hop_scores import multi_hop_scores
from bigbird.tasks.multi_hop_windows import (
    KIND,
    KINDS,
    SUPPORT,
    every_window,
    labelled_windows,
    sentence_bins,
    sentences_of,
)
from bigbird.tasks.span_loss import span_losses
from bigbird.tasks.span_windows import check_sizes, kept, question_tokens, reader_tokenizer, reading_of
from bigbird.tokenizers import Tokenizer

_EVIDENCE, _EMPTY = 0, 1  # kinds of windows, for draws


@dataclass(frozen=True, kw_only=True)
class MultiHopQA:
    """A question answered by a span of its document or by yes or no, and the sentences that support the answer.

        [CLS] question [SEP] sentence sentence sentence … [SEP]
          ^ span, yes or no  ^^^^^^^^^^^^^^^^^^^^^^^^^^ starts and ends; of each sentence, whether it supports

    max_length           tokens of a window; a longer document is read in several
    overlap              tokens of the document that neighbouring windows share: at least max_answer_tokens, so that
                         every such answer stands whole in some window; so does a sentence of up to so many
    max_answer_tokens    of a span that is given; longer labelled ones are learned, but cannot be given
    max_question_tokens  a longer question is refused
    global_at            where the pattern's global blocks stand, see `SpanQA`
    max_evidence_windows windows with an answer or a supporting sentence that training shows of a question at a time,
                         drawn anew every epoch
    max_empty_windows    windows without either, likewise; where no window has one, one at least
    support_threshold    probability from which a sentence is said to support the answer
    least_support        sentences that are said to support it in any case, the likeliest; questions of HotpotQA have
                         two or more

    The loss of a window is the mean of three: that of the span, see `SpanQA`; that of the answer's kind, cross entropy;
    and that of its sentences, the mean of their binary cross entropies. Each window of a question has the question's
    kind; one without its span, as all of a yes or no, has its first token in the span's place. What nobody knows is
    not learned: the span of an answer that the document does not spell, and sentences where no facts are named.

    Zaheer et al. 2020, appendix E.2, on the tasks of Yang et al. 2018 (arXiv 1809.09600). How windows become one answer
    is told in `multi_hop_decoding`.
    """

    max_length: int = 4096
    overlap: int = 256
    max_answer_tokens: int = 64
    max_question_tokens: int = 256
    global_at: GlobalAt = "start"
    max_evidence_windows: int = 4
    max_empty_windows: int = 1
    support_threshold: float = 0.5
    least_support: int = 2

    def __post_init__(self) -> None:
        least = {"max_answer_tokens": 1, "max_question_tokens": 1, "max_evidence_windows": 1}
        for name, value in (least | {"max_empty_windows": 0, "least_support": 0}).items():
            if getattr(self, name) < value:
                raise ConfigError(f"task.{name} must be at least {value}, got {getattr(self, name)}")
        check_sizes(
            max_length=self.max_length,
            overlap=self.overlap,
            max_answer_tokens=self.max_answer_tokens,
            max_question_tokens=self.max_question_tokens,
        )
        if not 0 < self.support_threshold <= 1:
            raise ConfigError(f"task.support_threshold must be above 0 and at most 1, got {self.support_threshold}")

    @property
    def labels(self) -> tuple[str, ...]:
        """None: answers are places, kinds and sentences."""
        return ()

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        config = replace(config, pattern=replace(config.pattern, global_at=self.global_at))
        return EvidenceReader(config, num_kinds=len(KINDS))

    def check(self, questions: Iterable[MultiHopQuestion], tokenizer: Tokenizer) -> None:
        """Raise unless all questions can be learned from."""
        known = reader_tokenizer(tokenizer)
        for question in questions:
            _check_known(question)
            question_tokens(question.asked, known, most=self.max_question_tokens)

    def encode(self, record: Item, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:
        """See `Task`; what an example holds is told by `labelled_windows` and `SpanWindows.example`."""
        if not isinstance(record, MultiHopQuestion):
            raise DataError(
                f"answers with supporting sentences are asked of questions with sentences, got a "
                f"{type(record).__name__}; give a file in HotpotQA's format"
            )
        tokens = reading_of(
            record.asked,
            tokenizer,
            max_length=self.max_length,
            overlap=self.overlap,
            max_question_tokens=self.max_question_tokens,
        )
        if purpose == "predict":
            return every_window(tokens, record, index)
        _check_known(record)
        windows = labelled_windows(tokens, record, index)
        evidence = [example for example in windows if _has_evidence(example)]
        empty = [example for example in windows if not _has_evidence(example)]
        draw, num_empty = record.asked.draw, max(self.max_empty_windows, 0 if evidence else 1)
        shown = [
            *kept(evidence, self.max_evidence_windows, draw, _EVIDENCE),
            *kept(empty, num_empty, draw, _EMPTY),
        ]
        return sorted(shown, key=lambda example: example.first_token)

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`. Targets: [tokens of all examples, 4], weights: [tokens of all examples], bins: sentences."""
        batch = packed([example._replace(bins=None) for example in examples], block_size=block_size)
        assert isinstance(batch.layout, DocumentLayout)
        return batch._replace(bins=sentence_bins(examples, batch.layout))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """See the class; one target per window."""
        layout = batch.layout
        logits = model(batch.token_ids, layout, batch.bins, token_types=batch.token_types)
        of_spans = span_losses(layout.unpack(logits.ends), batch.targets[:, :2], batch.weights, layout.lengths)
        lengths = torch.tensor(layout.lengths, device=batch.targets.device)
        kinds = batch.targets[lengths.cumsum(0) - lengths, KIND].long()
        of_kinds = F.cross_entropy(logits.kinds.float(), kinds, reduction="sum")
        total = (of_spans.sum() + of_kinds + _support_loss(logits.support.float(), batch)) / 3
        return Loss(total, torch.tensor(len(layout.lengths), device=total.device))

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[MultiHopReading]:
        """See `Task`."""
        pairs = [pair for some in in_batches(examples) for pair in self._logits(model, some, block_size)]
        return [
            reading(
                list(some),
                max_answer_tokens=self.max_answer_tokens,
                support_threshold=self.support_threshold,
                least_support=self.least_support,
            )
            for _, some in groupby(pairs, key=lambda pair: pair[0].record)
        ]

    def score(self, predictions: Sequence[MultiHopReading], records: Sequence[MultiHopQuestion]) -> dict[str, Estimate]:
        """HotpotQA's exact match and F1 of answers, of supporting facts and of both together; over documents."""
        answers = [said.answer_to(question) for said, question in zip(predictions, records, strict=True)]
        scores = multi_hop_scores(records, answers)
        return {
            f"{what}_{figure}": value
            for what, figures in scores._asdict().items()
            for figure, value in (("exact_match", figures.exact), ("f1", figures.f1))
        }

    def _logits(
        self, model: nn.Module, examples: Sequence[Example], block_size: int
    ) -> Iterator[tuple[Example, WindowLogits]]:
        batch = self.collate(examples, block_size=block_size).to(device_of(model))
        logits = model(batch.token_ids, batch.layout, batch.bins, token_types=batch.token_types)
        ends, kinds, support = (x.double().cpu().numpy() for x in (batch.layout.unpack(logits.ends), *logits[1:]))
        tokens = np.cumsum([len(example.token_ids) for example in examples])[:-1]
        sentences = np.cumsum([len(sentences_of(example)) for example in examples])[:-1]
        said = zip(np.split(ends, tokens), kinds, np.split(support, sentences), strict=True)
        yield from ((example, WindowLogits(*one)) for example, one in zip(examples, said, strict=True))


def _support_loss(logits: Tensor, batch: Batch) -> Tensor:
    """The sum over windows of the mean over their sentences: [sentences of all windows] -> a number, 0 of none."""
    assert batch.bins is not None
    layout = batch.layout
    assert isinstance(layout, DocumentLayout)
    first = batch.bins.places[batch.bins.sizes.cumsum(0) - batch.bins.sizes]
    is_supporting = layout.pack(batch.targets[:, SUPPORT])[first]
    window = torch.searchsorted(torch.tensor(layout.starts, device=first.device), first, right=True) - 1
    num_sentences = torch.bincount(window, minlength=len(layout.lengths))
    each = F.binary_cross_entropy_with_logits(logits, is_supporting, reduction="none")
    return (each / num_sentences[window]).sum()


def _has_evidence(example: Example) -> bool:
    return bool(example.targets[:, : SUPPORT + 1].any())


def _check_known(question: MultiHopQuestion) -> None:
    if not question.yes_no and not question.asked.accepted and not question.asked.answers:
        raise DataError(
            f"no answer to question {question.asked.name!r} is known, so nothing can be learned from it; leave it out, "
            f"as those of a test set"
        )
