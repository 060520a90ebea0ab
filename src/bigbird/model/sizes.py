"""Named encoder sizes."""

from __future__ import annotations

from typing import Literal, TypedDict

from bigbird.errors import ConfigError

Size = Literal["tiny", "mini", "small", "base", "large"]

_SIZES: dict[Size, tuple[int, int, int]] = {  # layers, width, heads
    "tiny": (2, 128, 2),
    "mini": (4, 256, 4),
    "small": (4, 512, 8),
    "base": (12, 768, 12),
    "large": (24, 1024, 16),
}


class Dimensions(TypedDict):
    """The four numbers that make a size; pass them on to `EncoderConfig`."""

    num_layers: int
    hidden_size: int
    num_heads: int
    inner_size: int


def dimensions(size: Size) -> Dimensions:
    """Layers, width, heads and inner width of a named size.

    tiny to small are those of Turc et al. 2019 (BERT miniatures), base and large those of the BigBird paper, table 8.

        EncoderConfig(vocab_size=4096, **dimensions("mini"))
    """
    if size not in _SIZES:
        raise ConfigError(f"size must be one of {', '.join(_SIZES)}, got {size!r}")
    layers, hidden, heads = _SIZES[size]
    return Dimensions(num_layers=layers, hidden_size=hidden, num_heads=heads, inner_size=4 * hidden)
