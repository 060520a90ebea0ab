"""The paragraph of a page that answers a question, and the words in it that do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from bigbird import randomness
from bigbird.data.long_short_questions import LongShortQuestion
from bigbird.data.questions import Question
from bigbird.data.sources import Item
from bigbird.errors import ConfigError, DataError
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import LongShortFinder
from bigbird.tasks.base import Batch, Example, Loss, Purpose, device_of, in_batches, packed
from bigbird.tasks.long_short_decoding import LongShortReading, WindowLogits, reading_of_page
from bigbird.tasks.long_short_scores import MIN_ANNOTATORS, ThresholdScores, long_short_scores
from bigbird.tasks.long_short_windows import KIND, KINDS, LONG, SHORT, every_window, labelled_windows
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.span_loss import span_losses
from bigbird.tasks.span_windows import Reading, check_sizes, kept, reading_of
from bigbird.tokenizers import Tokenizer

_HAVING, _NULL, _SHARE = 3, 4, 5  # kinds of windows, for draws


@dataclass(frozen=True, kw_only=True)
class LongShortQA:
    """Where on a page the long and the short answer to a question stand (Natural Questions: Kwiatkowski et al. 2019).

        [CLS] question [SEP] page or a window of it [SEP]
          ^ kind: null, long, short, yes, no
                             ^^^^^^^^^^^^^^^^^^^^^^ starts and ends of short answers, starts and ends of long ones

    max_length          tokens of a window; a longer page is read in several
    overlap             tokens of the page that neighbouring windows share, at least max_answer_tokens; the paper's
                        windows of 4,096 begin 2,048 apart (Zaheer et al. 2020, appendix E.2)
    max_answer_tokens   of a short answer that is given (the paper's limit is 38 words); longer ones are learned
    max_question_tokens a longer question is refused
    max_answer_windows  windows with an answer that training shows of a question at a time, drawn anew every epoch
    null_share          of the windows without any, that training shows; of a question without an answer one at least

    The five predictions are those of ETC's model for this task (Ainslie et al. 2020), and so is the loss, the mean of
    four places and the kind. Alberti et al. 2019 have two places, of the short answer or else of the long one. A long
    answer is one of the page's top-level candidates. Answers in any window are learned, however far down a page. All of
    the question is global.

    A prediction has an answer to every question, with scores; `score` finds the threshold below which "no answer" is
    better, as the official measure does.
    """

    max_length: int = 4096
    overlap: int = 2048
    max_answer_tokens: int = 64
    max_question_tokens: int = 64
    max_answer_windows: int = 2
    null_share: float = 0.1

    def __post_init__(self) -> None:
        for name in ("max_answer_tokens", "max_question_tokens", "max_answer_windows"):
            if getattr(self, name) < 1:
                raise ConfigError(f"task.{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.null_share <= 1:
            raise ConfigError(f"task.null_share must be from 0 to 1, got {self.null_share}")
        check_sizes(
            max_length=self.max_length,
            overlap=self.overlap,
            max_answer_tokens=self.max_answer_tokens,
            max_question_tokens=self.max_question_tokens,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """None: answers are places."""
        return ()

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        pattern = replace(config.pattern, global_at="start")
        return LongShortFinder(replace(config, pattern=pattern), num_kinds=len(KINDS))

    def check(self, questions: Iterable[LongShortQuestion], tokenizer: Tokenizer) -> None:
        """Raise unless all these questions can be learned from."""
        for question in questions:
            _check_known(question)
            self._read(question, tokenizer)

    def encode(self, record: Item, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:
        """See `Task`; what an example holds is told by `bigbird.tasks.long_short_windows`."""
        if not isinstance(record, LongShortQuestion):
            raise DataError(
                f"long and short answers are looked for on pages with candidates, got a {type(record).__name__}; give "
                f"a file of Natural Questions' form"
            )
        reading = self._read(record, tokenizer)
        if purpose == "predict":
            return every_window(reading, record, index)
        _check_known(record)
        having, null, partial = labelled_windows(reading, record, index)
        null = null if having or null else partial
        chances = randomness.uniform(record.draw, _SHARE, np.arange(len(null)))
        shown = [example for example, chance in zip(null, chances, strict=True) if chance < self.null_share]
        if not having and not shown:
            shown = kept(null, 1, record.draw, _NULL)
        return [*kept(having, self.max_answer_windows, record.draw, _HAVING), *shown]

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`. Targets: [tokens of all examples, 5], weights: [tokens of all examples, 2]."""
        return packed([example._replace(bins=None) for example in examples], block_size=block_size)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """See the class; one target per window."""
        layout, targets, weights = batch.layout, batch.targets, batch.weights
        logits = model(batch.token_ids, layout, token_types=batch.token_types)
        ends = layout.unpack(logits.ends)
        places = [
            span_losses(ends[:, columns], targets[:, columns], weights[:, number], layout.lengths).sum()
            for number, columns in enumerate((SHORT, LONG))
        ]
        lengths = torch.tensor(layout.lengths, device=targets.device)
        kinds = targets[lengths.cumsum(0) - lengths, KIND].long()
        of_kinds = F.cross_entropy(logits.kinds.float(), kinds, reduction="sum")
        total = (2 * places[0] + 2 * places[1] + of_kinds) / 5
        return Loss(total, torch.tensor(len(layout.lengths), device=total.device))

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[LongShortReading]:
        """See `Task`."""
        pairs = [pair for some in in_batches(examples) for pair in self._logits(model, some, block_size)]
        return [
            reading_of_page(list(some), max_answer_tokens=self.max_answer_tokens)
            for _, some in groupby(pairs, key=lambda pair: pair[0].record)
        ]

    def score(
        self, predictions: Sequence[LongShortReading], records: Sequence[LongShortQuestion]
    ) -> dict[str, Estimate]:
        """The official F1, precision and recall at the threshold of the best F1, of long and of short answers.

        Where no question has more than one annotator, as in training files, one is enough for an answer to count.
        """
        asked, answers = [], []
        for said, question in zip(predictions, records, strict=True):
            answers.append(said.answer_to(question))
            asked.append(replace(question, document="", places=question.places[:0].copy()))  # pages may fill the memory
        most = max((len(question.annotations) for question in asked), default=0)
        scores = long_short_scores(asked, answers, min_annotators=min(MIN_ANNOTATORS, max(1, most)))
        return {
            f"{what}_{name}": value
            for what, figures in (("long", scores.long), ("short", scores.short))
            for name, value in _figures(figures).items()
        }

    def _read(self, question: LongShortQuestion, tokenizer: Tokenizer) -> Reading:
        return reading_of(
            Question(question=question.question, document=question.document, name=question.name),
            tokenizer,
            max_length=self.max_length,
            overlap=self.overlap,
            max_question_tokens=self.max_question_tokens,
        )

    def _logits(
        self, model: nn.Module, examples: Sequence[Example], block_size: int
    ) -> Iterator[tuple[Example, WindowLogits]]:
        batch = self.collate(examples, block_size=block_size).to(device_of(model))
        logits = model(batch.token_ids, batch.layout, token_types=batch.token_types)
        ends, kinds = batch.layout.unpack(logits.ends).double().cpu().numpy(), logits.kinds.double().cpu().numpy()
        tokens = np.cumsum([len(example.token_ids) for example in examples])[:-1]
        for example, of_window, kind in zip(examples, np.split(ends, tokens), kinds, strict=True):
            yield example, WindowLogits(of_window, kind)


def _figures(scores: ThresholdScores) -> dict[str, Estimate]:
    plain = {"precision": scores.precision, "recall": scores.recall, "threshold": scores.threshold}
    return {"f1": scores.f1} | {name: Estimate(value, float("nan"), float("nan")) for name, value in plain.items()}


def _check_known(question: LongShortQuestion) -> None:
    if not question.annotations:
        raise DataError(
            f"question {question.name!r} has no annotations, so nothing can be learned from it; leave it out, as those "
            f"of a test set"
        )
