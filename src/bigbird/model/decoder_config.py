"""What decides a decoder's shape and function beside its encoder's config."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bigbird.attention import PatternSpec
from bigbird.errors import ConfigError
from bigbird.model.encoder import EncoderConfig

_SIZES = ("num_layers", "num_heads", "inner_size")


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes and patterns of a decoder; width, norms, positions, dropout and vocabulary are its encoder's.

    num_layers, num_heads, inner_size  0: as many as the encoder has
    max_length       tokens a target may have; also the rows of a position table of its own
    is_coupled       attention, feed-forward, norms and embeddings are the encoder's own, and only the attention to the
                     source and its norm are new (the paper's BigBird-RoBERTa; TF: couple_encoder_decoder)
    self_attention   which earlier target tokens a token sees; None: all
    cross_attention  which blocks of the source a target's block sees; None: all
    has_logits_bias  a bias behind the product with the token vectors

    A pattern is that of the longest target, of which a shorter one has the first rows: what a token sees does not
    depend on how much comes behind it.
    """

    num_layers: int = 0
    num_heads: int = 0
    inner_size: int = 0
    max_length: int = 256
    is_coupled: bool = False
    self_attention: PatternSpec | None = None
    cross_attention: PatternSpec | None = None
    has_logits_bias: bool = False

    def __post_init__(self) -> None:
        for name in (*_SIZES, "max_length"):
            least = int(name not in _SIZES)
            if getattr(self, name) < least:
                raise ConfigError(f"a decoder's {name} must be at least {least}, got {getattr(self, name)}")
        for name in ("self_attention", "cross_attention"):
            spec = getattr(self, name)
            if spec is not None and spec.graph != "paper":
                raise ConfigError(f"{name}.graph must be 'paper', got {spec.graph!r}: the others are an encoder's")
        own, other = self.self_attention, self.cross_attention
        if own is not None and own.window_blocks < 1:
            raise ConfigError("self_attention.window_blocks must be at least 1, got 0: a token could not see itself")
        if other is not None and other.window_blocks + other.global_blocks + other.random_blocks == 0:
            raise ConfigError("cross_attention has no window, global or random blocks, so the source would not be seen")

    def sized_like(self, encoder: EncoderConfig) -> DecoderConfig:
        """The config with the encoder's numbers where it has 0."""
        return replace(self, **{name: getattr(self, name) or getattr(encoder, name) for name in _SIZES})


def check_together(encoder: EncoderConfig, decoder: DecoderConfig) -> None:
    """Raise unless a model can have both."""
    if encoder.bases_per_token:
        raise ConfigError(
            f"a decoder needs tokens from a vocabulary, the encoder has bases_per_token {encoder.bases_per_token}"
        )
    for name in ("self_attention", "cross_attention"):
        spec = getattr(decoder, name)
        if spec is not None and spec.block_size != encoder.pattern.block_size:
            raise ConfigError(
                f"{name}.block_size must be that of the encoder's pattern, {encoder.pattern.block_size}, got "
                f"{spec.block_size}"
            )
    _check_heads(encoder, decoder)
    if decoder.is_coupled:
        _check_coupled(encoder, decoder)


def _check_heads(encoder: EncoderConfig, decoder: DecoderConfig) -> None:
    if encoder.hidden_size % decoder.num_heads:
        raise ConfigError(
            f"hidden_size {encoder.hidden_size} is not a multiple of the decoder's num_heads {decoder.num_heads}"
        )
    head_dim = encoder.hidden_size // decoder.num_heads
    if encoder.positions == "rotary" and head_dim % 2:
        raise ConfigError(f"rotary positions need an even hidden_size / num_heads, the decoder has {head_dim}")


def _check_coupled(encoder: EncoderConfig, decoder: DecoderConfig) -> None:
    for name in ("num_layers", "num_heads", "inner_size"):
        if getattr(decoder, name) != getattr(encoder, name):
            raise ConfigError(
                f"a coupled decoder's layers are the encoder's: its {name} must be {getattr(encoder, name)}, got "
                f"{getattr(decoder, name)}"
            )
    if encoder.positions == "learned" and decoder.max_length > encoder.max_length:
        raise ConfigError(
            f"a coupled decoder has the encoder's table of {encoder.max_length} positions, got a max_length of "
            f"{decoder.max_length}. Make it shorter, or the encoder's max_length larger."
        )
