"""The decoder: writes a target token by token, looking at what stands before and at the encoded source."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bigbird.attention import DocumentLayout
from bigbird.errors import ShapeError
from bigbird.model.attention_layer import SelfAttention, Visibility
from bigbird.model.blocks import EncoderBlock, FeedForward
from bigbird.model.cross_attention import CrossAttention, CrossBlock
from bigbird.model.decoder_config import DecoderConfig, check_together
from bigbird.model.decoder_patterns import cross_pattern, self_pattern
from bigbird.model.embeddings import SinusoidalPositions, rotary_table
from bigbird.model.encoder import Encoder, EncoderConfig, initialise
from bigbird.model.linear import linear


class Decoder(nn.Module):
    """Layers of causal self-attention, attention to the source and feed-forward, over packed targets.

        decoder(target_ids, encoded, layout=layout, target_layout=target_layout)   [target total] -> […, hidden]
        decoder.logits(hidden)                                                     […, hidden] -> […, vocab]

    What is the encoder's own, the token table and all that coupling shares, is not registered here a second time: it
    stands in a model's state once, under the encoder's names.
    """

    def __init__(self, encoder: Encoder, config: DecoderConfig) -> None:
        super().__init__()
        shape = encoder.config
        config = config.sized_like(shape)
        check_together(shape, config)
        self.config = config
        self._encoder = (encoder,)  # in a tuple PyTorch does not register it
        self.positions = _positions(shape, config)
        is_separate = not config.is_coupled
        self.embedding_norm = _norm(shape) if is_separate and shape.embedding_norm else None
        self.blocks = nn.ModuleList(_block(shape, config) for _ in range(config.num_layers if is_separate else 0))
        self.cross = nn.ModuleList(_cross(shape, config) for _ in range(config.num_layers))
        self.final_norm = _norm(shape) if is_separate and shape.norm == "pre" else None
        self.logits_bias = nn.Parameter(torch.zeros(shape.vocab_size)) if config.has_logits_bias else None
        self.dropout = nn.Dropout(shape.dropout)
        self.apply(initialise)

    @property
    def encoder(self) -> Encoder:
        """That which it shares modules with."""
        return self._encoder[0]

    @property
    def layers(self) -> Sequence[tuple[EncoderBlock, CrossBlock]]:
        """Each layer's self-attention with feed-forward, and its attention to the source."""
        blocks = self.encoder.layers if self.config.is_coupled else self.blocks
        return list(zip(blocks, self.cross, strict=True))  # type: ignore[arg-type]

    def forward(
        self, target_ids: Tensor, encoded: Tensor, *, layout: DocumentLayout, target_layout: DocumentLayout
    ) -> Tensor:
        """target_ids: int64 [target total]; encoded: [source total, hidden] -> [target total, hidden].

        Document i of `layout` is the source of document i of `target_layout`.
        """
        self._check(target_ids, encoded, layout, target_layout)
        config, device = self.config, target_ids.device
        positions = target_layout.positions(device)
        backend = self.encoder.backend
        own = Visibility(target_layout.key_mask(device), self.rotary(positions), backend)
        other = Visibility(layout.key_mask(device), None, backend)
        x = self.embed(target_ids, positions)
        for index, (block, cross) in enumerate(self.layers):
            where = {"max_length": config.max_length, "num_heads": config.num_heads, "device": device}
            own_layer, other_layer = (index if spec else 0 for spec in (config.self_attention, config.cross_attention))
            causal = self_pattern(target_layout, config.self_attention, **where, layer=own_layer)
            seen = cross_pattern((layout, target_layout), config.cross_attention, **where, layer=other_layer)
            x = block.attended(x, partial(block.attention, pattern=causal, visibility=own))
            x = block.fed(cross(x, encoded, seen, other))
        return self.finished(x)

    def embed(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """int64 [any] each -> [any, hidden]."""
        shared = self.encoder.embeddings
        if self.config.is_coupled:
            embedded: Tensor = shared(token_ids, positions)
            return embedded
        embedded = F.embedding(token_ids, self.token_table)
        if shared.scale is not None:
            embedded = embedded * shared.scale
        if self.positions is not None:
            embedded = embedded + self.positions(positions).to(embedded.dtype)
        normed: Tensor = self.dropout(embedded if self.embedding_norm is None else self.embedding_norm(embedded))
        return normed

    def rotary(self, positions: Tensor) -> tuple[Tensor, Tensor] | None:
        """Cosines and sines of positions, int64 [any], where they are rotary."""
        config = self.encoder.config
        if config.positions != "rotary":
            return None
        return rotary_table(positions, head_dim=config.hidden_size // self.config.num_heads, base=config.rotary_base)

    def finished(self, x: Tensor) -> Tensor:
        """Behind the last layer: [any, hidden] -> [any, hidden]."""
        norm = self.encoder.final_norm if self.config.is_coupled else self.final_norm
        normed: Tensor = x if norm is None else norm(x)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """[any, hidden] -> [any, vocab]; of fewer than 16 rows the last bits may depend on how many there are."""
        return linear(hidden, self.token_table, self.logits_bias)

    @property
    def token_table(self) -> Tensor:
        """The encoder's token vectors: [vocab, hidden]."""
        table = self.encoder.embeddings.tokens
        assert isinstance(table, nn.Embedding)
        return table.weight

    def _check(
        self, target_ids: Tensor, encoded: Tensor, layout: DocumentLayout, target_layout: DocumentLayout
    ) -> None:
        if target_ids.shape != (target_layout.total_length,):
            raise ShapeError(
                f"packed target_ids must be [{target_layout.total_length}] for this target_layout, got "
                f"{list(target_ids.shape)}"
            )
        check_encoded(encoded, layout, self.encoder.config)
        block_size = self.encoder.config.pattern.block_size
        if target_layout.block_size != block_size:
            raise ShapeError(f"target_layout has block_size {target_layout.block_size}, the model {block_size}")
        if len(layout.lengths) != len(target_layout.lengths):
            raise ShapeError(
                f"every target needs its source: layout has {len(layout.lengths)} documents, target_layout "
                f"{len(target_layout.lengths)}"
            )
        longest = max(target_layout.lengths)
        if longest > self.config.max_length:
            raise ShapeError(
                f"a target has {longest} tokens, the decoder writes at most {self.config.max_length}. Cut it, or build "
                f"the decoder with a larger max_length."
            )


def check_encoded(encoded: Tensor, layout: DocumentLayout, config: EncoderConfig) -> None:
    """Raise unless `encoded` is what an encoder of this config gives for the layout."""
    if not isinstance(layout, DocumentLayout):
        raise ShapeError(
            f"a decoder reads whole documents; layout must be a DocumentLayout, got {type(layout).__name__}"
        )
    expected = [layout.total_length, config.hidden_size]
    if layout.block_size != config.pattern.block_size:
        raise ShapeError(f"the layout has block_size {layout.block_size}, the model {config.pattern.block_size}")
    if list(encoded.shape) != expected:
        raise ShapeError(f"encoded must be {expected} for this layout, got {list(encoded.shape)}")


def _positions(shape: EncoderConfig, config: DecoderConfig) -> nn.Embedding | SinusoidalPositions | None:
    if config.is_coupled or shape.positions == "rotary":
        return None
    if shape.positions == "sinusoidal":
        return SinusoidalPositions(shape.hidden_size)
    return nn.Embedding(config.max_length, shape.hidden_size)


def _norm(shape: EncoderConfig) -> nn.LayerNorm:
    return nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)


def _block(shape: EncoderConfig, config: DecoderConfig) -> EncoderBlock:
    return EncoderBlock(
        SelfAttention(hidden_size=shape.hidden_size, num_heads=config.num_heads, bias=shape.attention_bias),
        FeedForward(hidden_size=shape.hidden_size, inner_size=config.inner_size, activation=shape.activation),
        norm=shape.norm,
        dropout=shape.dropout,
        layer_norm_eps=shape.layer_norm_eps,
    )


def _cross(shape: EncoderConfig, config: DecoderConfig) -> CrossBlock:
    return CrossBlock(
        CrossAttention(hidden_size=shape.hidden_size, num_heads=config.num_heads, bias=shape.attention_bias),
        norm=shape.norm,
        dropout=shape.dropout,
        layer_norm_eps=shape.layer_norm_eps,
    )
