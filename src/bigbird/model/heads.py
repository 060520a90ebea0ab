"""An encoder with a head: one answer per document, one per token, or one per bin of tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bigbird.attention import ContextShard, DocumentLayout, Layout
from bigbird.attention.layout import MIN_ROWS
from bigbird.errors import ConfigError
from bigbird.model.activation import ACTIVATIONS
from bigbird.model.encoder import Encoder, EncoderConfig
from bigbird.model.linear import Linear, linear

_FEW = -2.75  # log odds of 6 %: of the 40 sentences of a question of HotpotQA 2.4 support its answer
_RARE = -4.0  # log odds of 2 %: of a genome's bins few have a label, and learning that alone would take a while


class SequenceClassifier(nn.Module):
    """Labels for a whole document, read off its first token: [documents, num_labels] logits."""

    def __init__(self, config: EncoderConfig, *, num_labels: int) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.pooler = Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = Linear(config.hidden_size, num_labels)

    def forward(self, token_ids: Tensor, layout: DocumentLayout, *, token_types: Tensor | None = None) -> Tensor:
        """token_ids, token_types: packed int64 [total] -> [documents, num_labels]."""
        first = first_tokens(self.encoder(token_ids, token_types=token_types, layout=layout), layout)
        logits: Tensor = self.classifier(self.dropout(torch.tanh(self.pooler(first))))
        return logits[: len(layout.lengths)]


class MaskedLanguageModel(nn.Module):
    """Guesses tokens; the output matrix is the token embedding (BERT's head)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        if config.bases_per_token:
            raise ConfigError("a masked language model needs tokens from a vocabulary; use start.tokenizer=bpe")
        self.encoder = Encoder(config)
        self.transform = Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.activation = ACTIVATIONS[config.activation]

    def forward(
        self,
        token_ids: Tensor,
        layout: Layout,
        *,
        token_types: Tensor | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """token_ids: packed int64 [total] -> logits [total, vocab], or [len(places), vocab] at those places alone."""
        encoded = self.encoder(token_ids, token_types=token_types, layout=layout)
        return self.guess(encoded if places is None else encoded[places])

    def guess(self, encoded: Tensor) -> Tensor:
        """Vectors of tokens, [any, hidden] -> logits [any, vocab]."""
        hidden = self.norm(self.activation(self.transform(with_enough_rows(encoded))))
        table = self.encoder.embeddings.tokens
        assert isinstance(table, nn.Embedding)
        return linear(hidden, table.weight, self.bias)[: len(encoded)]


class TokenClassifier(nn.Module):
    """Labels for every token: [total, num_labels] logits. `dropout` before the labels is else the encoder's."""

    def __init__(self, config: EncoderConfig, *, num_labels: int, dropout: float | None = None) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.dropout = nn.Dropout(config.dropout if dropout is None else dropout)
        self.classifier = Linear(config.hidden_size, num_labels)

    def forward(self, token_ids: Tensor, layout: Layout, *, token_types: Tensor | None = None) -> Tensor:
        """token_ids, token_types: packed int64 [total] -> [total, num_labels]; logits in filling mean nothing."""
        encoded = self.encoder(token_ids, token_types=token_types, layout=layout)
        logits: Tensor = self.classifier(self.dropout(encoded))
        return logits


class SpanFinder(nn.Module):
    """How likely an answer starts and ends at each token: [total, 2] logits, read straight off the encoder (BERT's)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.dropout = nn.Dropout(config.dropout)
        self.ends = Linear(config.hidden_size, 2)

    def forward(self, token_ids: Tensor, layout: Layout, *, token_types: Tensor | None = None) -> Tensor:
        """token_ids, token_types: packed int64 [total] -> [total, 2]; logits in filling mean nothing.

        token_types  those that the encoder has no vector for count as the last it has
        """
        logits: Tensor = self.ends(self.dropout(_encoded_pairs(self.encoder, token_ids, layout, token_types)))
        return logits


class LongShortLogits(NamedTuple):
    """What `LongShortFinder` says.

    ends   [total, 4]: start and end of a short answer, start and end of the long one
    kinds  [documents, num_kinds]
    """

    ends: Tensor
    kinds: Tensor


class LongShortFinder(nn.Module):
    """Where a long and a short answer start and end, and of which kind the answer is, each by one layer."""

    def __init__(self, config: EncoderConfig, *, num_kinds: int) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.dropout = nn.Dropout(config.dropout)
        self.ends = Linear(config.hidden_size, 4)
        self.kind = Linear(config.hidden_size, num_kinds)

    def forward(self, token_ids: Tensor, layout: Layout, *, token_types: Tensor | None = None) -> LongShortLogits:
        """token_ids, token_types: packed int64 [total], see `SpanFinder`; the kind is read off the first token."""
        encoded = self.dropout(_encoded_pairs(self.encoder, token_ids, layout, token_types))
        kinds = self.kind(first_tokens(encoded, layout))[: len(layout.lengths)]
        return LongShortLogits(self.ends(encoded), kinds)


class Bins(NamedTuple):
    """Which tokens of a row are read together.

    places  int64 [tokens in bins], where they lie in the row, bin after bin
    sizes   int64 [bins], tokens of each; a bin may have none
    counts  bins of each document
    """

    places: Tensor
    sizes: Tensor
    counts: tuple[int, ...] = ()

    def to(self, device: torch.device | str) -> Bins:
        """The same on `device`."""
        return self._replace(places=self.places.to(device), sizes=self.sizes.to(device))


class EvidenceReader(nn.Module):
    """Where an answer is, of which kind it is, and which sentences support it.

    Ends are read off every token and the kind off a document's first, each by one layer (Zaheer et al. 2020, appendix
    E.2). So are sentences, off the mean and the greatest of their tokens' vectors: published vocabularies have no token
    that stands for a sentence, and what makes it a supporting one may be any of its words, which its first and its last
    token need not have taken in.
    """

    def __init__(self, config: EncoderConfig, *, num_kinds: int) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.dropout = nn.Dropout(config.dropout)
        self.ends = Linear(config.hidden_size, 2)
        self.kind = Linear(config.hidden_size, num_kinds)
        self.support = Linear(2 * config.hidden_size, 1)
        nn.init.constant_(self.support.bias, _FEW)

    def forward(
        self, token_ids: Tensor, layout: Layout, sentences: Bins, *, token_types: Tensor | None = None
    ) -> EvidenceLogits:
        """token_ids, token_types: packed int64 [total], see `SpanFinder`; sentences: of all documents."""
        encoded = self.dropout(_encoded_pairs(self.encoder, token_ids, layout, token_types))
        first, pooled = first_tokens(encoded, layout), with_enough_rows(pooled_bins(encoded, sentences))
        return EvidenceLogits(
            self.ends(encoded),
            self.kind(first)[: len(layout.lengths)],
            self.support(pooled)[: len(sentences.sizes), 0],
        )


class EvidenceLogits(NamedTuple):
    """What `EvidenceReader` says.

    ends     [total, 2], as `SpanFinder`'s
    kinds    [documents, num_kinds]
    support  [sentences]
    """

    ends: Tensor
    kinds: Tensor
    support: Tensor


class BinClassifier(nn.Module):
    """Labels for every bin, read off the mean and the greatest of its tokens' vectors: [bins, num_labels] logits."""

    def __init__(self, config: EncoderConfig, *, num_labels: int) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.norm = nn.LayerNorm(2 * config.hidden_size, eps=config.layer_norm_eps)
        self.inner = Linear(2 * config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = Linear(config.hidden_size, num_labels)
        nn.init.constant_(self.classifier.bias, _RARE)

    def forward(self, token_ids: Tensor, layout: Layout, bins: Bins) -> Tensor:
        """token_ids: packed int64 [total] -> [bins, num_labels]."""
        pooled = pooled_bins(self.encoder(token_ids, layout=layout), bins)
        hidden = F.gelu(self.inner(self.norm(with_enough_rows(pooled))))
        logits: Tensor = self.classifier(self.dropout(hidden))
        return logits[: len(bins.sizes)]


class CandidateScorer(nn.Module):
    """How well each candidate answers, read off the mean of its tokens' vectors: [candidates] logits."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.dropout = nn.Dropout(config.dropout)
        self.scorer = Linear(config.hidden_size, 1)

    def forward(
        self, token_ids: Tensor, layout: Layout, candidates: Bins, *, token_types: Tensor | None = None
    ) -> Tensor:
        """token_ids, token_types: packed int64 [total] -> [candidates]; for token_types see `SpanFinder`."""
        encoded = _encoded_pairs(self.encoder, token_ids, layout, token_types)
        logits: Tensor = self.scorer(self.dropout(with_enough_rows(mean_of_bins(encoded, candidates))))
        return logits[: len(candidates.sizes), 0]


def _encoded_pairs(encoder: Encoder, token_ids: Tensor, layout: Layout, token_types: Tensor | None) -> Tensor:
    """Pairs of texts encoded, [total, hidden]; types that the encoder has no vector for count as its last."""
    num_types = encoder.config.num_token_types
    types = token_types.clamp(max=num_types - 1) if num_types and token_types is not None else None
    encoded: Tensor = encoder(token_ids, token_types=types, layout=layout)
    return encoded


def mean_of_bins(encoded: Tensor, bins: Bins) -> Tensor:
    """[total, hidden] -> float32 [bins, hidden]: the mean of each bin's rows, 0 without any."""
    return _mean(encoded[bins.places].float(), bins.sizes)


def pooled_bins(encoded: Tensor, bins: Bins) -> Tensor:
    """[total, hidden] -> float32 [bins, 2 * hidden]: mean and greatest value of each bin's rows, 0 without any."""
    rows = encoded[bins.places].float()
    greatest = torch.segment_reduce(rows, "max", lengths=bins.sizes, axis=0, unsafe=True)
    return torch.cat((_mean(rows, bins.sizes), greatest.masked_fill(bins.sizes[:, None] == 0, 0)), dim=1)


def _mean(rows: Tensor, sizes: Tensor) -> Tensor:
    # In segments, not scattered: then a sum's order is the tokens' own, on GPUs too.
    total = torch.segment_reduce(rows, "sum", lengths=sizes, axis=0, unsafe=True)
    return total / sizes[:, None].clamp(min=1)


def first_tokens(encoded: Tensor, layout: Layout) -> Tensor:
    """[total, hidden] -> each document's first row, and zeros behind up to MIN_ROWS: [documents or more, hidden]."""
    if isinstance(layout, ContextShard):
        raise ConfigError(
            "a head that reads a document's first token cannot work on a rank's part of a row: the token may lie on "
            "another rank. Give every process whole rows."
        )
    return with_enough_rows(encoded[torch.tensor(layout.starts, device=encoded.device)])


def with_enough_rows(x: Tensor) -> Tensor:
    """Rows of zeros behind, up to MIN_ROWS: then a row's product does not depend on how many others there are."""
    return F.pad(x, (0, 0, 0, max(0, MIN_ROWS - len(x))))
