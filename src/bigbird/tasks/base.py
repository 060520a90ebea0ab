"""What a task is: the six things the trainer, the predictor and evaluation ask of it.

Record  --encode-->  Example  --collate-->  Batch  --loss / predict-->  Prediction  --score-->  metrics
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bigbird.attention import DocumentLayout, Layout
from bigbird.model.encoder import EncoderConfig
from bigbird.model.heads import Bins
from bigbird.tasks.metrics import Estimate
from bigbird.tokenizers import TextTokenizer, Tokenizer

Purpose = Literal["train", "predict"]
Prediction = Any  # each task has its own small class
Item = Any  # what a task reads: a Record, or for masked language modelling a row of a prepared corpus too

MAX_TOKENS_PER_BATCH = 8192  # for prediction; a longer document is a batch of its own


class Example(NamedTuple):
    """One window of a record, ready for the model.

    record       which of the records it came from
    token_ids    int64 [length], [CLS] first and [SEP] last
    starts, ends int64 [length], the characters of the record each token stands for; empty for [CLS] and [SEP]
    targets      float32, per label or [length, labels], as the task wants it; empty when nothing is known
    weights      float32, of the shape of targets: 0 where the truth is unknown
    is_reversed  the window was read on the other strand; starts and ends still count on the record's own
    token_types  int64 [length], 0 for the first of two texts, 1 for the second; None where there is one
    order        0 when the second text follows the first, 1 when it is any other, -1 when nobody asks
    bins         int64 [length], the bin of the record each token lies in, counted in reading direction; -1 for none.
                 Those of a window follow one another. None for tasks without bins
    first_token  number, among a document's tokens, of the first that stands in the window; 0 unless the task asks
    global_tokens  so many tokens at the window's start see all and are seen by all, rounded up to whole blocks; -1: as
                 many as the model's pattern says
    written      int64, what a decoder shall learn to write, its first and last token included; None where there is no
                 decoder, or nothing to learn
    reading      of texts that a decoder sums up, None of others
    """

    record: int
    token_ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    is_reversed: bool = False
    token_types: NDArray[np.int64] | None = None
    order: int = -1
    bins: NDArray[np.int64] | None = None
    first_token: int = 0
    global_tokens: int = -1
    written: NDArray[np.int64] | None = None
    reading: Reading | None = None


class Reading(NamedTuple):
    """How a text was read, for what is written about it.

    tokenizer     turns what is written into text again
    num_left_out  tokens of the text's end that there was no room for
    """

    tokenizer: TextTokenizer
    num_left_out: int


class Written(NamedTuple):
    """What a decoder learns to write, packed by `layout`: behind each of token_ids stands that of next_ids."""

    token_ids: Tensor
    next_ids: Tensor
    layout: DocumentLayout


class Batch(NamedTuple):
    """Examples packed into one row.

    token_ids         int64 [total]
    layout            of the row, or of the part of one that a process has
    targets, weights  float32, the examples' own, one behind the other along the first axis
    token_types       int64 [total]; None where every example is one text
    order             int64 [examples], see `Example`; None where nobody asks
    bins              of all examples, one behind the other; None for tasks without bins
    written           of all examples; None where nothing is to be written
    """

    token_ids: Tensor
    layout: Layout
    targets: Tensor
    weights: Tensor
    token_types: Tensor | None = None
    order: Tensor | None = None
    bins: Bins | None = None
    written: Written | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The batch with its tensors on `device`."""
        types, order = (None if one is None else one.to(device) for one in (self.token_types, self.order))
        targets, weights = self.targets.to(device), self.weights.to(device)
        bins = None if self.bins is None else self.bins.to(device)
        written = self.written
        if written is not None:
            written = Written(written.token_ids.to(device), written.next_ids.to(device), written.layout)
        return Batch(self.token_ids.to(device), self.layout, targets, weights, types, order, bins, written)


class Loss(NamedTuple):
    """Summed, not averaged, so that micro-batches and several GPUs divide once and exactly.

    num_letters  bases or characters that the targets stand for, where the total is nats of guessing them
    """

    total: Tensor
    num_targets: Tensor
    num_letters: Tensor | None = None


class Task(Protocol):
    """A frozen dataclass with these six verbs and no state."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's outputs, in order; empty when the task has no labels or the data has not told them yet."""

    @property
    def max_length(self) -> int:
        """Tokens the model sees at once, [CLS] and [SEP] included."""

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """An encoder with this task's head; called as model(token_ids, layout)."""

    def encode(self, record: Item, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:
        """The windows of one record: several when it is longer than the task's window, or read on both strands."""

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """Pack examples into one row."""

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """How wrong the model is on a batch."""

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[Prediction]:
        """One prediction per record; `examples` hold all windows of each record they touch, in order."""

    def score(self, predictions: Sequence[Prediction], records: Sequence[Item]) -> dict[str, Estimate]:
        """How good predictions are, with 95 % intervals."""


def in_batches(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Consecutive examples of together no more than MAX_TOKENS_PER_BATCH tokens."""
    batch: list[Example] = []
    num_tokens = 0
    for example in examples:
        if batch and num_tokens + len(example.token_ids) > MAX_TOKENS_PER_BATCH:
            yield batch
            batch, num_tokens = [], 0
        batch.append(example)
        num_tokens += len(example.token_ids)
    if batch:
        yield batch


def packed(examples: Sequence[Example], *, block_size: int) -> Batch:
    """Lay the examples one behind the other."""
    layout = layout_of(examples, block_size)
    token_ids = torch.from_numpy(np.concatenate([example.token_ids for example in examples]))
    return Batch(
        layout.pack(token_ids),
        layout,
        torch.from_numpy(np.concatenate([example.targets for example in examples])),
        torch.from_numpy(np.concatenate([example.weights for example in examples])),
        _token_types(examples, layout),
        None if all(example.order < 0 for example in examples) else torch.tensor([e.order for e in examples]),
        _bins(examples, layout),
        _written(examples, block_size),
    )


def layout_of(examples: Sequence[Example], block_size: int) -> DocumentLayout:
    """Where the examples lie in a row, and how much of each is global; either all of them tell the latter, or none."""
    given = [example.global_tokens for example in examples]
    assert min(given) >= 0 or max(given) < 0, "some examples say how many of their tokens are global, others do not"
    blocks = None if max(given) < 0 else tuple(-(-count // block_size) for count in given)
    return DocumentLayout(tuple(len(example.token_ids) for example in examples), block_size, global_blocks=blocks)


def _token_types(examples: Sequence[Example], layout: DocumentLayout) -> Tensor | None:
    if all(example.token_types is None for example in examples):
        return None
    types = [np.zeros_like(e.token_ids) if e.token_types is None else e.token_types for e in examples]
    return layout.pack(torch.from_numpy(np.concatenate(types)))


def _bins(examples: Sequence[Example], layout: DocumentLayout) -> Bins | None:
    if any(example.bins is None for example in examples):
        return None
    places, sizes = [], []
    for start, example in zip(layout.starts, examples, strict=True):
        assert example.bins is not None
        inside = np.flatnonzero(example.bins >= 0)
        numbers = example.bins[inside]
        counts = np.bincount(numbers - numbers[:1])  # ascending, so the first is the least
        places.append(start + inside)
        sizes.append(np.pad(counts, (0, max(0, len(example.targets) - len(counts)))))
    return Bins(
        torch.from_numpy(np.concatenate(places)), torch.from_numpy(np.concatenate(sizes)), tuple(map(len, sizes))
    )


def _written(examples: Sequence[Example], block_size: int) -> Written | None:
    texts = [torch.from_numpy(example.written) for example in examples if example.written is not None]
    if not texts:
        return None
    assert len(texts) == len(examples), "some examples have something to write, others do not"
    layout = DocumentLayout(tuple(len(text) - 1 for text in texts), block_size)
    before, behind = torch.cat([text[:-1] for text in texts]), torch.cat([text[1:] for text in texts])
    return Written(layout.pack(before), layout.pack(behind), layout)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters lie."""
    return next(model.parameters()).device
