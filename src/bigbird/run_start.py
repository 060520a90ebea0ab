"""What a run begins with: random weights and a new tokenizer, or a model that is there already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal, get_args

import torch
from torch import nn

from bigbird.checkpoint import LoadedModel
from bigbird.data.drawn_questions import DrawnQuestions
from bigbird.data.held_out import check_block_size, check_longest, check_tokenizer
from bigbird.data.multi_hop_files import MultiHopSource
from bigbird.data.question_files import QuestionSource
from bigbird.data.records import Record
from bigbird.data.sources import Datasets, FixedRecords, RecordSource
from bigbird.data.summary_data import SummarySource
from bigbird.errors import ConfigError, DataError
from bigbird.interop.starting import read_start
from bigbird.model.encoder import EncoderConfig
from bigbird.tasks import (
    AnyTask,
    BinClassification,
    ChoiceQA,
    Classification,
    LongShortQA,
    MaskedLM,
    MultiHopQA,
    QuestionTask,
    SpanQA,
    Summarization,
    TokenClassification,
)
from bigbird.tokenizers import DnaTokenizer, KmerTokenizer, Tokenizer
from bigbird.training import room
from bigbird.training.step import seeded

MAX_VOCAB_SIZE = 2**24  # masked language modelling holds ids in float32

_LONG_CHECKED = 200  # long documents: a whole encyclopedia's page takes a tenth of a second

TokenizerKind = Literal["bpe", "single-base", "kmers", "corpus"]


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """Begin with random weights and a tokenizer trained on the run's own data.

    tokenizer        "bpe", "single-base" or "kmers"; "corpus" is the one a prepared corpus was made with
    vocab_size       of tokenizer bpe
    bases_per_token  of tokenizer kmers
    encoder          its vocab_size and bases_per_token are set to the tokenizer's
    """

    tokenizer: TokenizerKind = "bpe"
    vocab_size: int = 4096
    bases_per_token: int = 16
    encoder: EncoderConfig

    def __post_init__(self) -> None:
        if self.tokenizer not in get_args(TokenizerKind):
            raise ConfigError(
                f"start.tokenizer must be one of {', '.join(get_args(TokenizerKind))}, got {self.tokenizer!r}"
            )
        if not 1 <= self.vocab_size <= MAX_VOCAB_SIZE:
            raise ConfigError(f"start.vocab_size must be from 1 to {MAX_VOCAB_SIZE}, got {self.vocab_size}")


def starting_point(
    start: Scratch | str, task: AnyTask, datasets: Datasets, *, seed: int, device: torch.device
) -> LoadedModel:
    """The model a run begins with, its task and its tokenizer; raises when they and the data do not go together.

    start  `Scratch`, or a model to take over, see `read_start`
    task   a task with labels takes those of the training records, unless it names its own
    """
    task = task if isinstance(task, MaskedLM | QuestionTask | Summarization) else _with_labels(task, datasets)
    check_longest(datasets, task.max_length)
    if isinstance(start, Scratch):
        if isinstance(task, QuestionTask):
            raise ConfigError(
                "a model that answers questions begins from one that has read much text; with random weights it would "
                "learn next to nothing. Set start=FOLDER (or OWNER/NAME of the Hub), a model of BERT's, RoBERTa's or "
                "BigBird's kind, or of bigbird train text.pretrain."
            )
        tokenizer = _new_tokenizer(start, datasets)
        bases = tokenizer.bases_per_token if isinstance(tokenizer, KmerTokenizer) else 0
        encoder = replace(start.encoder, vocab_size=tokenizer.vocab_size, bases_per_token=bases)
        check_block_size(datasets, encoder.pattern.block_size)
        task = task.settled(tokenizer, encoder) if isinstance(task, Summarization) else task
        _check_records(datasets.train, task, tokenizer)
        return LoadedModel(_new_model(task, encoder, seed, device), encoder, task, tokenizer, {})
    begun = read_start(start, task)
    if datasets.tokenizer is not None:
        check_tokenizer(begun.tokenizer, datasets.tokenizer, source=f"start {start}")
    check_block_size(datasets, begun.encoder.pattern.block_size)
    if isinstance(task, Summarization):
        task = task.settled(begun.tokenizer, begun.encoder, begun.writes)
    _check_records(datasets.train, task, begun.tokenizer)
    model = _new_model(task, begun.encoder, seed, device)
    begun.fill(model)
    return LoadedModel(model, begun.encoder, task, begun.tokenizer, {"start": start})


def _with_labels(task: BinClassification | Classification | TokenClassification, datasets: Datasets) -> AnyTask:
    """The task with the labels of the training records, unless it names its own."""
    column = "label" if isinstance(task, Classification) else "spans"
    labels: set[str] = set(datasets.labels)
    if isinstance(datasets.train, FixedRecords):
        records = datasets.train.records
        labels = {label for record in records for label in _labels_of(record, column)}
    if not labels:
        raise DataError(
            f"the training records carry no label, so there is nothing to learn; data.train must be a table "
            f"(.csv, .tsv, .jsonl) with the column {column!r}"
        )
    return task if task.labels else replace(task, labels=tuple(sorted(labels)))


def _labels_of(record: Record, column: str) -> Iterator[str]:
    yield from record.labels if column == "label" else (span.label for span in record.spans)


def _check_records(source: RecordSource, task: AnyTask, tokenizer: Tokenizer) -> None:
    """Encode a record of every kind there is, so that labels the task does not know are found before the first step."""
    if isinstance(source, QuestionSource) and isinstance(task, SpanQA):
        task.check(source.questions, tokenizer)
    if isinstance(source, MultiHopSource) and isinstance(task, MultiHopQA):
        task.check(source.questions, tokenizer)
    if isinstance(source, DrawnQuestions) and isinstance(task, ChoiceQA):
        task.check(source.questions, tokenizer)
    if isinstance(source, DrawnQuestions) and isinstance(task, LongShortQA):
        task.check(source.questions[:_LONG_CHECKED], tokenizer)
    if isinstance(source, SummarySource) and isinstance(task, Summarization):
        task.check(islice(source.documents, _LONG_CHECKED), tokenizer)
    if not isinstance(source, FixedRecords) or isinstance(task, QuestionTask | Summarization):
        return
    kinds: dict[object, Record] = {}
    for record in source.records:
        kinds.setdefault((record.labels, frozenset(span.label for span in record.spans)), record)
    for record in kinds.values():
        task.encode(record, tokenizer, purpose="train")


def _new_tokenizer(start: Scratch, datasets: Datasets) -> Tokenizer:
    if (start.tokenizer == "corpus") != (datasets.tokenizer is not None):
        raise ConfigError(
            "start.tokenizer is 'corpus', but only a prepared corpus has a tokenizer; choose bpe, single-base or kmers"
            if start.tokenizer == "corpus"
            else f"start.tokenizer is {start.tokenizer!r}, but the corpus is in tokens already; set "
            f"start.tokenizer=corpus to use those"
        )
    if datasets.tokenizer is not None:
        return datasets.tokenizer
    if start.tokenizer == "kmers":
        return KmerTokenizer(start.bases_per_token)
    if start.tokenizer == "single-base":
        return DnaTokenizer.single_base()
    return DnaTokenizer.train(datasets.corpus(), vocab_size=start.vocab_size)


def _new_model(task: AnyTask, encoder: EncoderConfig, seed: int, device: torch.device) -> nn.Module:
    if task.max_length > encoder.max_length:
        raise ConfigError(
            f"task.max_length {task.max_length} is more than the model reads ({encoder.max_length}). "
            f"Set task.max_length={encoder.max_length}, or start.encoder.max_length for a new model."
        )
    room.check_weights(task, encoder, device)
    with seeded(seed, device=torch.device("cpu")):
        return task.build_model(encoder).to(device)
