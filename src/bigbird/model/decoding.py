"""Writing token by token: what was computed for earlier tokens and for the source is kept."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from bigbird.attention import DocumentLayout
from bigbird.attention.layout import MIN_ROWS
from bigbird.errors import ConfigError, ShapeError
from bigbird.model.attention_layer import SelfAttention
from bigbird.model.cross_attention import CrossAttention
from bigbird.model.decoder import Decoder, check_encoded
from bigbird.model.decoding_caches import Rows, SourceCache, TargetCache
from bigbird.model.embeddings import rotate


class CachedDecoding:
    """Rows, each writing about one document; all of them are at the same place of what they write.

        decoding = model.begin(encoded, layout)                 documents 0 1
        decoding.step(tensor([2, 2]))                           logits of the first tokens, [2, vocab]
        decoding.select(tensor([0, 0, 1]))                      documents 0 0 1
        decoding.step(tensor([7, 8, 7]))                        …

    A row's logits are bitwise those it would have alone, on a CPU, and those of the whole model at once but for
    rounding. The source's keys and values are kept once per document, however many rows write about it.
    """

    def __init__(self, decoder: Decoder, encoded: Tensor, layout: DocumentLayout) -> None:
        check_encoded(encoded, layout, decoder.encoder.config)
        if decoder.training and decoder.encoder.config.dropout:
            raise ConfigError(
                "the model is in training mode, in which dropout changes what it writes: call model.eval()"
            )
        self._decoder = decoder
        self._layers = decoder.layers
        with torch.no_grad():
            self._source = SourceCache(decoder, encoded, layout)
            self._target = TargetCache(decoder, len(layout.lengths), encoded)
        self._documents = torch.arange(len(layout.lengths), device=encoded.device)
        self._groups = _groups(self._documents)

    @property
    def documents(self) -> Tensor:
        """The document that each row writes about: int64 [rows]."""
        return self._documents.clone()

    @torch.no_grad()
    def step(self, token_ids: Tensor) -> Tensor:
        """token_ids: int64 [rows], the token written last in each row -> float32 [rows, vocab], logits of the next."""
        self._check_step(token_ids)
        decoder, place, num_rows = self._decoder, self._target.place, len(token_ids)
        if num_rows == 0:
            return decoder.token_table.new_zeros(0, len(decoder.token_table), dtype=torch.float32)
        self._target.add(token_ids)
        filled = F.pad(token_ids, (0, max(0, MIN_ROWS - num_rows)))
        x = decoder.embed(filled, torch.full_like(filled, place))
        rotary = decoder.rotary(torch.full_like(filled[:1], place))
        for index, (block, cross) in enumerate(self._layers):
            x = block.attended(x, partial(self._look_back, attention=block.attention, layer=index, rotary=rotary))
            x = cross.attended(x, partial(self._look_up, attention=cross.attention, layer=index))
            x = block.fed(x)
        self._target.place += 1
        return decoder.logits(decoder.finished(x))[:num_rows].float()

    @torch.no_grad()
    def select(self, rows: Tensor) -> None:
        """Go on with these rows, int64 [new rows]: beams may repeat, finished documents may be left out."""
        num_rows = len(self._documents)
        if rows.ndim != 1 or rows.dtype != torch.int64 or (len(rows) and not 0 <= rows.min() <= rows.max() < num_rows):
            raise ShapeError(
                f"rows must be int64 [new rows], each from 0 to {num_rows - 1}, got {rows.dtype} {list(rows.shape)}"
                + (f" with {int(rows.min())} to {int(rows.max())}" if rows.numel() else "")
            )
        rows = rows.to(self._documents.device)
        documents = self._documents[rows]
        self._target.select(rows, is_same_documents=torch.equal(documents, self._documents))
        self._documents = documents
        self._groups = _groups(documents)

    def _look_back(
        self, x: Tensor, attention: SelfAttention, layer: int, rotary: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """Self-attention: [filled rows, hidden] -> the same shape."""
        num_rows = len(self._documents)
        q, k, v = attention.qkv(x).view(len(x), 3, attention.num_heads, -1)[:num_rows].unbind(1)
        if rotary is not None:
            q, k = rotate(q, rotary), rotate(k, rotary)
        return _projected(attention, self._target.attend(layer, q, k, v), len(x))

    def _look_up(self, x: Tensor, attention: CrossAttention, layer: int) -> Tensor:
        """Attention to the source: [filled rows, hidden] -> the same shape."""
        q = attention.query(x).view(len(x), attention.num_heads, -1)[: len(self._documents)]
        return _projected(attention, self._source.attend(layer, q, self._groups, self._target.place), len(x))

    def _check_step(self, token_ids: Tensor) -> None:
        if token_ids.shape != self._documents.shape or token_ids.dtype != torch.int64:
            raise ShapeError(
                f"token_ids must be int64 [{len(self._documents)}], a token for each row, got {token_ids.dtype} "
                f"{list(token_ids.shape)}"
            )
        longest = self._decoder.config.max_length
        if self._target.place == longest:
            raise ShapeError(
                f"{longest} tokens are written, the decoder's max_length. Stop there, or build it with a larger one."
            )


def _projected(attention: SelfAttention | CrossAttention, attended: Tensor, num_rows: int) -> Tensor:
    """Filled up to so many rows: a product of fewer may round differently."""
    projected: Tensor = attention.output(F.pad(attended.flatten(1), (0, 0, 0, num_rows - len(attended))))
    return projected


def _groups(documents: Tensor) -> list[tuple[int, Rows]]:
    """Each document with its rows; as a slice where they lie together, so that nothing is copied."""
    groups: list[tuple[int, Rows]] = []
    for document in documents.unique().tolist():
        rows = (documents == document).nonzero()[:, 0]
        first, last = int(rows[0]), int(rows[-1])
        groups.append((document, slice(first, last + 1) if last - first + 1 == len(rows) else rows))
    return groups
