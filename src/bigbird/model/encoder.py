"""The BigBird encoder: embeddings and a stack of block-sparse layers over packed documents."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from bigbird.attention import Backend, ContextShard, DocumentLayout, Layout, PatternSpec
from bigbird.errors import ConfigError, ShapeError
from bigbird.model.activation import Activation
from bigbird.model.attention_layer import AttentionBias, SelfAttention, Visibility
from bigbird.model.blocks import EncoderBlock, FeedForward, Norm
from bigbird.model.embeddings import NUM_LETTERS, BaseConvolution, Embeddings, SinusoidalPositions, rotary_table

Positions = Literal["learned", "rotary", "sinusoidal"]
Padding = Literal["document", "batch"]

MAX_BLOCK_SIZE = 4096  # the longest document published weights read: beyond one block there is nothing sparse
_BASES_PER_TOKEN = range(8, 21)  # those of KmerTokenizer; fewer the convolution outreaches, more do not fit int64


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Everything that decides the encoder's shape and function.

    max_length        tokens a document may have; also the rows of the position table when positions are learned
    positions         "learned" a table, "rotary" (Su et al. 2021), "sinusoidal" Pegasus' fixed vectors
    norm              "post" as BERT and RoBERTa, "pre" as Pegasus (which ends with one more layer norm)
    num_token_types   0 for none
    bases_per_token   0: token vectors come from a table of vocab_size rows. Otherwise ids are those of `KmerTokenizer`
                      and their vectors are read off the bases by convolution
    scale_embeddings  token vectors times sqrt(hidden_size), as Pegasus
    embedding_norm    False: no layer norm on the embeddings, as Pegasus
    attention_bias    False: query, key, value and the output of attention have no bias, as Pegasus;
                      "output": the output alone has one, as transformers' BigBird with use_bias false
    pattern           which keys each query sees
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    inner_size: int
    max_length: int = 4096
    positions: Positions = "learned"
    rotary_base: float = 10_000.0
    norm: Norm = "post"
    activation: Activation = "gelu_tanh"
    dropout: float = 0.1
    layer_norm_eps: float = 1e-12
    num_token_types: int = 0
    bases_per_token: int = 0
    scale_embeddings: bool = False
    embedding_norm: bool = True
    attention_bias: AttentionBias = True
    pattern: PatternSpec = field(default_factory=PatternSpec)

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_numbers()
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}. "
                f"Use {self.hidden_size // self.num_heads * self.num_heads or self.num_heads} or "
                f"{(self.hidden_size // self.num_heads + 1) * self.num_heads}."
            )
        if self.positions == "rotary" and self.head_dim % 2:
            raise ConfigError(f"rotary positions need an even hidden_size / num_heads, got {self.head_dim}")
        self._check_bases()
        self._check_pattern()

    def _check_choices(self) -> None:
        for name, kind in {"positions": Positions, "norm": Norm, "activation": Activation}.items():
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"{name} must be one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}")
        if not isinstance(self.attention_bias, bool) and self.attention_bias != "output":
            raise ConfigError(f"attention_bias must be true, false or 'output', got {self.attention_bias!r}")

    def _check_numbers(self) -> None:
        at_least_one = ("vocab_size", "hidden_size", "num_layers", "num_heads", "inner_size", "max_length")
        for name, least in {**dict.fromkeys(at_least_one, 1), "num_token_types": 0}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("layer_norm_eps", "rotary_base"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be a finite number above 0, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {self.dropout}")

    def _check_bases(self) -> None:
        if not self.bases_per_token:
            return
        if self.bases_per_token not in _BASES_PER_TOKEN:
            raise ConfigError(
                f"bases_per_token must be 0 (a table of tokens) or from {_BASES_PER_TOKEN[0]} to "
                f"{_BASES_PER_TOKEN[-1]}, got {self.bases_per_token}"
            )
        if self.vocab_size != NUM_LETTERS**self.bases_per_token:
            raise ConfigError(
                f"{self.bases_per_token} bases_per_token make a vocab_size of "
                f"{NUM_LETTERS**self.bases_per_token}, got {self.vocab_size}"
            )

    def _check_pattern(self) -> None:
        pattern = self.pattern
        if pattern.window_blocks + pattern.global_blocks + pattern.random_blocks == 0:
            raise ConfigError("the pattern has no window, global or random blocks, so no token would see any other")
        if pattern.block_size > MAX_BLOCK_SIZE:
            raise ConfigError(
                f"pattern.block_size must be at most {MAX_BLOCK_SIZE}, got {pattern.block_size}: every document is "
                f"filled up to whole blocks. For wider views raise pattern.window_blocks."
            )

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads


class Encoder(nn.Module):
    """Reads documents of any length up to `max_length`, padded or packed; the same function in training and not.

        encoder(token_ids, key_mask)          [batch, length] -> [batch, length, hidden], zeros where masked
        encoder(token_ids, layout=layout)     [total]         -> [total, hidden]

    A padded batch is packed first: every document then has its own pattern, whatever its neighbours or padding. With
    padding="batch" every row counts as one document of the padded length whose padding is masked, as in transformers.
    """

    backend: Backend = "auto"

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = _embeddings(config)
        self.layers = nn.ModuleList(_block(config) for _ in range(config.num_layers))
        self.final_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.norm == "pre" else None
        self.apply(initialise)

    def forward(
        self,
        token_ids: Tensor,
        key_mask: Tensor | None = None,
        *,
        token_types: Tensor | None = None,
        layout: Layout | None = None,
        padding: Padding = "document",
    ) -> Tensor:
        """token_ids, token_types: int64 [batch, length] with key_mask bool, True = real; or [total] with `layout`.

        With a `ContextShard` for layout: this rank's places of a row, [its total_length], on every rank together.
        """
        if padding not in get_args(Padding):
            raise ShapeError(f"padding must be one of {', '.join(get_args(Padding))}, got {padding!r}")
        if layout is not None:
            if padding != "document":
                raise ShapeError(
                    "padding='batch' is for a padded batch; packed documents, given with layout, have none"
                )
            if key_mask is not None:
                raise ShapeError(
                    "key_mask and layout were both given; a layout already says which places are real. Give key_mask "
                    "for a padded batch, layout for packed documents."
                )
            return self._encode(token_ids, layout, token_types)
        key_mask = _full_mask(token_ids) if key_mask is None else key_mask
        _check_padded(token_ids, key_mask)
        placed = key_mask if padding == "document" else _full_mask(token_ids)
        layout = DocumentLayout.from_mask(placed, block_size=self.config.pattern.block_size)
        packed_types = None if token_types is None else layout.pack(token_types[placed])
        visible = layout.is_real(token_ids.device) if padding == "document" else layout.pack(key_mask.flatten())
        encoded = self._encode(layout.pack(token_ids[placed]), layout, packed_types, visible)
        padded = encoded.new_zeros(*token_ids.shape, encoded.shape[1])
        padded[placed] = layout.unpack(encoded)
        return padded if padding == "document" else padded.masked_fill(~key_mask[..., None], 0)

    def _encode(
        self, token_ids: Tensor, layout: Layout, token_types: Tensor | None, visible: Tensor | None = None
    ) -> Tensor:
        """Visible: bool [total], the keys that are seen; every real token unless given."""
        self._check_packed(token_ids, layout)
        config, device = self.config, token_ids.device
        positions = layout.positions(device)
        is_rotary = config.positions == "rotary"
        visibility = Visibility(
            key_mask=layout.key_mask(device) if visible is None else visible[None],
            rotary=rotary_table(positions, head_dim=config.head_dim, base=config.rotary_base) if is_rotary else None,
            backend=self.backend,
        )
        x: Tensor = self.embeddings(token_ids, positions, token_types)
        for index, layer in enumerate(self.layers):
            pattern = layout.pattern(config.pattern, num_heads=config.num_heads, layer=index, device=device)
            x = layer(x, pattern, visibility)
        return x if self.final_norm is None else self.final_norm(x)

    def _check_packed(self, token_ids: Tensor, layout: Layout) -> None:
        if token_ids.shape != (layout.total_length,):
            raise ShapeError(
                f"packed token_ids must be [{layout.total_length}] for this layout, got {list(token_ids.shape)}"
            )
        if layout.block_size != self.config.pattern.block_size:
            raise ShapeError(
                f"the layout has block_size {layout.block_size}, the model {self.config.pattern.block_size}"
            )
        longest = max(layout.lengths)
        if longest > self.config.max_length:
            raise ShapeError(
                f"a document has {longest} tokens, the model reads at most {self.config.max_length}. "
                f"Cut it into windows."
            )
        if isinstance(layout, ContextShard):
            check_rows_divisible(self.config, is_training=self.training)


def check_rows_divisible(config: EncoderConfig, *, is_training: bool) -> None:
    """Raise unless an encoder whose row is divided over ranks computes what one process computes."""
    if is_training and config.dropout:
        raise ConfigError(
            f"dropout must be 0 where a row is divided over ranks: each would draw its own, and results would differ "
            f"from those of one process. The encoder has dropout {config.dropout}; build it with dropout=0."
        )
    if config.bases_per_token:
        raise ConfigError(
            f"an encoder with bases_per_token ({config.bases_per_token}) reads the neighbours of its tokens, "
            f"which may lie on another rank, so its rows cannot be divided. Use a tokenizer with a vocabulary."
        )


def encoder_of(model: nn.Module) -> Encoder:
    """The encoder of a model with a head, or the model itself."""
    encoder = model if isinstance(model, Encoder) else model.encoder
    assert isinstance(encoder, Encoder)
    return encoder


def _embeddings(config: EncoderConfig) -> Embeddings:
    return Embeddings(
        tokens=_token_vectors(config),
        positions=_position_vectors(config),
        hidden_size=config.hidden_size,
        num_token_types=config.num_token_types,
        norm=nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.embedding_norm else None,
        dropout=config.dropout,
        is_scaled=config.scale_embeddings,
    )


def _position_vectors(config: EncoderConfig) -> nn.Embedding | SinusoidalPositions | None:
    if config.positions == "learned":
        return nn.Embedding(config.max_length, config.hidden_size)
    return SinusoidalPositions(config.hidden_size) if config.positions == "sinusoidal" else None


def _token_vectors(config: EncoderConfig) -> nn.Embedding | BaseConvolution:
    if config.bases_per_token:
        return BaseConvolution(
            bases_per_token=config.bases_per_token,
            hidden_size=config.hidden_size,
            layer_norm_eps=config.layer_norm_eps,
        )
    return nn.Embedding(config.vocab_size, config.hidden_size)


def _block(config: EncoderConfig) -> EncoderBlock:
    return EncoderBlock(
        SelfAttention(hidden_size=config.hidden_size, num_heads=config.num_heads, bias=config.attention_bias),
        FeedForward(hidden_size=config.hidden_size, inner_size=config.inner_size, activation=config.activation),
        norm=config.norm,
        dropout=config.dropout,
        layer_norm_eps=config.layer_norm_eps,
    )


def initialise(module: nn.Module) -> None:
    """Truncated normal of width 0.02, zero biases, unit norms (BERT; google-research/bigbird, core/modeling.py)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02, a=-0.04, b=0.04)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def _full_mask(token_ids: Tensor) -> Tensor:
    return torch.ones_like(token_ids, dtype=torch.bool)


def _check_padded(token_ids: Tensor, key_mask: Tensor) -> None:
    if token_ids.ndim != 2 or token_ids.dtype != torch.int64 or token_ids.numel() == 0:
        raise ShapeError(
            f"token_ids must be int64 [batch, length], both at least 1, got {token_ids.dtype} {list(token_ids.shape)}. "
            f"Packed documents need layout=."
        )
    if key_mask.shape != token_ids.shape or key_mask.dtype != torch.bool or key_mask.device != token_ids.device:
        raise ShapeError(
            f"key_mask must be bool {list(token_ids.shape)} on {token_ids.device}, True = real, "
            f"got {key_mask.dtype} {list(key_mask.shape)} on {key_mask.device}"
        )
    if not bool(key_mask.any(1).all()):
        empty = int((~key_mask.any(1)).nonzero()[0])
        raise ShapeError(f"document {empty} of the batch has no real token: its key_mask is all False")
