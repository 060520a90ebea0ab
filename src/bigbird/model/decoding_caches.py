"""Keys and values that writing token by token keeps: of the source, once per document, and of what was written."""

from __future__ import annotations

import torch
from torch import Tensor

from bigbird.attention import DocumentLayout
from bigbird.attention.row_attention import row_attention
from bigbird.model.decoder import Decoder
from bigbird.model.decoder_patterns import key_places, own_pattern, source_pattern

_FIRST_CAPACITY = 128  # tokens there is room for at first; doubled when it is full

Rows = Tensor | slice


class SourceCache:
    """What cross-attention reads of the encoded documents, [2, heads, total, head_dim] a layer; nothing is copied."""

    def __init__(self, decoder: Decoder, encoded: Tensor, layout: DocumentLayout) -> None:
        self.config = decoder.config
        self.layout = layout
        self._keys_values = []
        for _, cross in decoder.layers:
            projected = cross.attention.keys_values(encoded).view(len(encoded), 2, self.config.num_heads, -1)
            self._keys_values.append(projected.permute(1, 2, 0, 3).contiguous())
        self._block = -1
        self._seen: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def attend(self, layer: int, q: Tensor, groups: list[tuple[int, Rows]], place: int) -> Tensor:
        """q: [rows, heads, head_dim] -> the same shape; groups: documents and the rows that write about them."""
        out = torch.empty_like(q)
        for document, rows in groups:
            keys_values, bias = self._visible(layer, document, place)
            k, v = keys_values[:, None]
            out[rows] = row_attention(q[rows].transpose(0, 1)[None], k, v, bias=bias)[0].transpose(0, 1)
        return out

    def _visible(self, layer: int, document: int, place: int) -> tuple[Tensor, Tensor | None]:
        """Keys and values, [2, heads, keys, head_dim], that the token at a place of the target sees, and their bias."""
        start = self.layout.starts[document]
        if self.config.cross_attention is None:
            return self._keys_values[layer][:, :, start : start + self.layout.lengths[document]], None
        block = place // self.layout.block_size
        if block != self._block:  # what a block of tokens sees is gathered once
            self._block, self._seen = block, {}
        if (layer, document) not in self._seen:
            self._seen[layer, document] = self._gathered(layer, document)
        return self._seen[layer, document]

    def _gathered(self, layer: int, document: int) -> tuple[Tensor, Tensor]:
        keys_values = self._keys_values[layer]
        pattern = source_pattern(
            self.config.cross_attention,
            max_length=self.config.max_length,
            block_size=self.layout.block_size,
            num_blocks=self._block + 1,
            num_heads=self.config.num_heads,
            layer=layer,
            num_key_blocks=self.layout.block_counts[document],
        )
        places, bias = (x.to(keys_values.device) for x in key_places(pattern, self._block))
        bias = bias.masked_fill(places >= self.layout.lengths[document], -torch.inf)
        heads = torch.arange(self.config.num_heads, device=keys_values.device)[:, None]
        return keys_values[:, heads, places + self.layout.starts[document]], bias


class TargetCache:
    """Keys and values of the tokens each row has written: [layers, 2, rows, heads, capacity, head_dim]."""

    def __init__(self, decoder: Decoder, num_rows: int, like: Tensor) -> None:
        self.config = decoder.config
        self.block_size = decoder.encoder.config.pattern.block_size
        self.place = 0
        self._patterns: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        capacity = min(_FIRST_CAPACITY, self.config.max_length)
        capacity += -capacity % self.block_size
        head_dim = decoder.encoder.config.hidden_size // self.config.num_heads
        shape = (self.config.num_layers, 2, num_rows, self.config.num_heads, capacity, head_dim)
        self._keys_values = like.new_zeros(shape)  # zeros: what is hidden is multiplied by 0
        self._tokens = torch.zeros(num_rows, capacity, dtype=torch.int64, device=like.device)

    def add(self, token_ids: Tensor) -> None:
        """Make room for the next token of every row: int64 [rows]."""
        if self.place == self._tokens.shape[1]:
            more = self.place
            self._tokens = torch.nn.functional.pad(self._tokens, (0, more))
            self._keys_values = torch.nn.functional.pad(self._keys_values, (0, 0, 0, more))
        self._tokens[:, self.place] = token_ids

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Of the token added last: q, k, v [rows, heads, head_dim] -> the same shape."""
        kept, place = self._keys_values[layer], self.place
        kept[0, :, :, place], kept[1, :, :, place] = k, v
        if self.config.self_attention is None:
            seen, bias = kept[:, :, :, : place + 1], None
        else:
            places, log_counts = self._row(layer, place // self.block_size)
            bias = log_counts.masked_fill(places > place, -torch.inf)
            seen = kept[:, :, torch.arange(q.shape[1], device=q.device)[:, None], places]
        return row_attention(q[:, :, None], seen[0], seen[1], bias=bias)[:, :, 0]

    def select(self, rows: Tensor, *, is_same_documents: bool) -> None:
        """Go on with these rows; is_same_documents: each row's new document is its old one."""
        place, old = self.place, self._keys_values
        tokens = self._tokens[rows]
        first = 0
        if is_same_documents:
            # Rows of a document that wrote the same have the same keys and values: beams differ in their ends alone.
            is_other = (tokens[:, :place] != self._tokens[:, :place]).any(0)
            first = int(is_other.int().argmax()) if bool(is_other.any()) else place
        else:
            self._keys_values = old.new_zeros(*old.shape[:2], len(rows), *old.shape[3:])
        if first < place:
            self._keys_values[..., first:place, :] = old[..., first:place, :].index_select(2, rows)
        self._tokens = tokens

    def _row(self, layer: int, block: int) -> tuple[Tensor, Tensor]:
        if (layer, block) not in self._patterns:
            pattern = own_pattern(
                self.config.self_attention,
                max_length=self.config.max_length,
                block_size=self.block_size,
                num_blocks=block + 1,
                num_heads=self.config.num_heads,
                layer=layer,
            )
            places, log_counts = key_places(pattern, block)
            self._patterns[layer, block] = places.to(self._tokens.device), log_counts.to(self._tokens.device)
        return self._patterns[layer, block]
