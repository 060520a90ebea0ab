"""Summaries of documents, written by a decoder that attends to what a sparse encoder has read."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bigbird.attention import DocumentLayout
from bigbird.data.sources import Item
from bigbird.data.summaries import SummarizedDocument
from bigbird.errors import ConfigError, DataError
from bigbird.model.decoder_config import DecoderConfig
from bigbird.model.encoder import EncoderConfig
from bigbird.model.generation import generate
from bigbird.model.generation_config import GenerationConfig
from bigbird.model.seq2seq import Seq2Seq
from bigbird.model.written import Written
from bigbird.tasks.base import Batch, Example, Loss, Purpose, Reading, device_of, in_batches, packed
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.summary_scores import summary_scores
from bigbird.tasks.summary_tokens import first_and_last, source_tokens, text_of, text_tokens, writer_tokenizer
from bigbird.tokenizers import TextTokenizer, Tokenizer


class WrittenSummary(NamedTuple):
    """A summary that a model wrote.

    score         what the search ranked it by, see `GenerationConfig`
    num_read      tokens of the document that were read
    num_left_out  tokens of its end for which there was no room
    """

    text: str
    token_ids: tuple[int, ...]
    score: float
    num_read: int
    num_left_out: int


_LEAST_LENGTH = 8
_ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")  # as rouge-score names them

# Five beams and a length penalty of 0.8 (table 17), the alpha of the original's length norm.
PAPER_SEARCH = GenerationConfig(num_beams=5, length_norm="google", length_penalty=0.8)


@dataclass(frozen=True, kw_only=True)
class Summarization:
    """Learn to write the summary of a document, a token after the other (Zaheer et al. 2020, section 4.1).

        read      [CLS] document [SEP]            or  [CLS] query [SEP] document [SEP]
        decoder   start s0 s1 s2                  of a summary s0 s1 s2
        learned   s0    s1 s2 end                 cross-entropy of each, label_smoothing of it spread over all tokens

    max_length       tokens that are read of a document; there is no room for what stands behind
    decoder          None: separate, of the encoder's sizes
    generation       how summaries are searched for. Its start and end token are those of learning too (-1: as the
                     vocabulary's family has them), and so is max_new_tokens: of a longer summary the end is not
                     learned. The default is the paper's search
    """

    max_length: int = 4096
    decoder: DecoderConfig | None = None
    label_smoothing: float = 0.1
    generation: GenerationConfig = PAPER_SEARCH

    def __post_init__(self) -> None:
        if self.max_length < _LEAST_LENGTH:
            raise ConfigError(f"task.max_length must be at least {_LEAST_LENGTH}, got {self.max_length}")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"task.label_smoothing must be in [0, 1), got {self.label_smoothing}")
        if self.decoder is not None and self.generation.max_new_tokens > self.decoder.max_length:
            raise ConfigError(
                f"task.generation.max_new_tokens {self.generation.max_new_tokens} is more than the decoder writes, "
                f"{self.decoder.max_length}. Set it to {self.decoder.max_length}, or make a new decoder with a larger "
                f"task.decoder.max_length"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """None."""
        return ()

    def settled(self, tokenizer: Tokenizer, encoder: EncoderConfig, like: Summarization | None = None) -> Summarization:
        """The task with what it left open told.

        like  the task of a model that writes summaries already, to go on from; without one its vocabulary and the
              encoder's sizes decide
        """
        first, last = first_and_last(writer_tokenizer(tokenizer))
        decoder = DecoderConfig(max_length=self.generation.max_new_tokens).sized_like(encoder)
        if like is not None:
            if self.decoder not in (None, like.decoder):
                raise ConfigError(
                    "the model to begin from has a decoder of its own, which task.decoder would make another. Leave "
                    "task.decoder out, or begin from an encoder alone."
                )
            assert like.decoder is not None
            decoder, first, last = like.decoder, like.generation.start_token, like.generation.end_token
        search = self.generation
        return replace(
            self,
            decoder=decoder if self.decoder is None else self.decoder.sized_like(encoder),
            generation=replace(
                search,
                start_token=first if search.start_token < 0 else search.start_token,
                end_token=last if search.end_token < 0 else search.end_token,
            ),
        )

    def build_model(self, config: EncoderConfig) -> nn.Module:
        """See `Task`."""
        decoder = self.decoder
        if decoder is None:
            raise ConfigError("task.decoder is missing; a model that writes tells its decoder")
        self.check_tokens(config)
        if decoder.is_coupled:  # its layers are the encoder's, however many
            decoder = replace(decoder, num_layers=config.num_layers)
        return Seq2Seq(config, decoder)

    def check_tokens(self, config: EncoderConfig) -> None:
        """Raise unless the first and the last token are of the encoder's vocabulary."""
        for name in ("start_token", "end_token"):
            token = getattr(self.generation, name)
            if not 0 <= token < config.vocab_size:
                raise ConfigError(
                    f"generation.{name} must be one of the model's {config.vocab_size} tokens, got {token}"
                )

    def check(self, records: Iterable[SummarizedDocument], tokenizer: Tokenizer) -> None:
        """Raise unless all records can be learned from."""
        for record in records:
            self.encode(record, tokenizer, purpose="train")

    def encode(self, record: Item, tokenizer: Tokenizer, *, index: int = 0, purpose: Purpose) -> list[Example]:
        """See `Task`; one example per document. `written` is the summary with start and end token, to learn from."""
        if not isinstance(record, SummarizedDocument):
            raise DataError(
                f"summaries are of documents, got a {type(record).__name__}; give a file of documents with summaries"
            )
        words = writer_tokenizer(tokenizer)
        source = source_tokens(record, words, most=self.max_length)
        nothing = np.zeros(0, np.float32)
        return [
            Example(
                index,
                source.ids,
                source.starts,
                source.ends,
                nothing,
                nothing,
                token_types=source.token_types,
                written=self._to_learn(record, words) if purpose == "train" else None,
                reading=Reading(words, source.num_left_out),
            )
        ]

    def collate(self, examples: Sequence[Example], *, block_size: int) -> Batch:
        """See `Task`."""
        return packed(examples, block_size=block_size)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        """Smoothed cross-entropy of the summaries' tokens and ends; filling has no part in it."""
        assert batch.written is not None
        token_ids, next_ids, layout = batch.written
        logits: Tensor = model(
            batch.token_ids, token_ids, layout=batch.layout, target_layout=layout, token_types=batch.token_types
        )
        places = layout.places(logits.device)
        total = F.cross_entropy(
            logits[places].float(), next_ids[places], label_smoothing=self.label_smoothing, reduction="sum"
        )
        return Loss(total, torch.tensor(len(places), device=total.device))

    def predict(self, model: nn.Module, examples: Sequence[Example], *, block_size: int) -> list[WrittenSummary]:
        """See `Task`."""
        assert isinstance(model, Seq2Seq)
        found = []
        for some in in_batches(examples):
            batch = self.collate(some, block_size=block_size).to(device_of(model))
            layout = batch.layout
            assert isinstance(layout, DocumentLayout)
            read = model.encode(batch.token_ids, layout, token_types=batch.token_types)
            keys = [zlib.crc32(example.token_ids.tobytes()) for example in some]  # what is drawn, by the text alone
            written = generate(model.begin(read, layout), self.generation, document_keys=keys)
            found += [_summary(example, best[0]) for example, best in zip(some, written, strict=True)]
        return found

    def score(
        self, predictions: Sequence[WrittenSummary], records: Sequence[SummarizedDocument]
    ) -> dict[str, Estimate]:
        """ROUGE, see `summary_scores`."""
        scores = summary_scores(records, [one.text for one in predictions])
        return dict(zip(_ROUGE, scores, strict=True))

    def _to_learn(self, record: SummarizedDocument, tokenizer: TextTokenizer) -> NDArray[np.int64]:
        """The first of the summaries, between the tokens that begin and end one."""
        if not record.summaries:
            raise DataError(f"document {record.name!r} has no summary, so nothing can be learned from it")
        ids = text_tokens(record.summaries[0], tokenizer).ids
        if not len(ids):
            raise DataError(f"the summary of document {record.name!r} holds no text that its vocabulary knows")
        whole = np.concatenate(([self.generation.start_token], ids, [self.generation.end_token]))
        return whole[: self.generation.max_new_tokens + 1].astype(np.int64)


def _summary(example: Example, written: Written) -> WrittenSummary:
    assert example.reading is not None
    tokenizer, left_out = example.reading
    return WrittenSummary(
        text_of(written.token_ids, tokenizer), written.token_ids, written.score, len(example.token_ids), left_out
    )
