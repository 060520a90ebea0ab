"""How documents of different lengths lie in one packed row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from bigbird.attention.pattern import BlockPattern, lasting, opaque, pack_patterns
from bigbird.attention.spec import PatternSpec
from bigbird.errors import ConfigError, ShapeError

# A matrix product of fewer rows may round differently, and a document's result must not depend on its neighbours.
MIN_ROWS = 16


@dataclass(frozen=True)
class DocumentLayout:
    """Documents one behind the other, each starting on a block boundary.

    lengths (3, 5, 4), block_size 4:

        | a a a . | b b b b | b . . . | c c c c |        . is filling, hidden from attention

    A row of fewer than 16 places is filled up with empty blocks, as is one whose number of blocks is no multiple of
    `block_multiple`. They change no document's result.

    global_blocks  of each document, how many blocks at its start see all of it and are seen by all of it, in place of
                   the pattern's own number: where a question that begins each document is global, however long it is
    """

    lengths: tuple[int, ...]
    block_size: int
    block_multiple: int = 1
    global_blocks: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 1:
            raise ShapeError(
                f"every document needs at least one token, got lengths {_shortened(self.lengths)}. "
                f"Leave empty documents out."
            )
        given = self.global_blocks
        if given is not None and (len(given) != len(self.lengths) or min(given) < 0):
            raise ShapeError(
                f"global_blocks must be a number from 0 for each of the {len(self.lengths)} documents, got "
                f"{_shortened(given)}"
            )

    @classmethod
    def from_mask(cls, key_mask: Tensor, *, block_size: int) -> DocumentLayout:
        """The layout of a padded batch; key_mask: bool [batch, length], True = real, wherever the padding stands."""
        return cls(tuple(key_mask.sum(1).tolist()), block_size)

    @property
    def block_counts(self) -> tuple[int, ...]:
        """Blocks of each document."""
        return tuple(-(-length // self.block_size) for length in self.lengths)

    @property
    def starts(self) -> tuple[int, ...]:
        """Place of each document's first token."""
        starts, place = [], 0
        for count in self.block_counts:
            starts.append(place)
            place += count * self.block_size
        return tuple(starts)

    @property
    def num_tokens(self) -> int:
        """Real tokens in the row."""
        return sum(self.lengths)

    @property
    def total_length(self) -> int:
        """Places in the packed row."""
        return (sum(self.block_counts) + self.num_empty_blocks) * self.block_size

    @property
    def num_empty_blocks(self) -> int:
        """Blocks of filling behind the last document."""
        num_blocks = sum(self.block_counts)
        least = max(num_blocks, -(-MIN_ROWS // self.block_size))
        return least + -least % self.block_multiple - num_blocks

    def places(self, device: torch.device | str = "cpu") -> Tensor:
        """Where each real token lies, document after document: int64 [sum of lengths]."""
        return _on_device(_places, self, device)

    def positions(self, device: torch.device | str = "cpu") -> Tensor:
        """Each place's position in its document, 0 in filling: int64 [total_length]."""
        return _on_device(_positions, self, device)

    def is_real(self, device: torch.device | str = "cpu") -> Tensor:
        """True where a place holds a token: bool [total_length]."""
        return _on_device(_is_real, self, device)

    def key_mask(self, device: torch.device | str = "cpu") -> Tensor:
        """`is_real` as attention takes it: bool [1, total_length]."""
        return self.is_real(device)[None]

    def pattern(
        self, spec: PatternSpec, *, num_heads: int, layer: int, device: torch.device | str = "cpu"
    ) -> BlockPattern:
        """Every document's own pattern, packed."""
        return _kept_pattern(self, spec, num_heads, layer, torch.device(device))

    def pack(self, tokens: Tensor, *, fill: float = 0) -> Tensor:
        """Lay real tokens, [sum of lengths, ...] document after document, into the row: [total_length, ...]."""
        packed = tokens.new_full((self.total_length, *tokens.shape[1:]), fill)
        packed[self.places(tokens.device)] = tokens
        return packed

    def unpack(self, packed: Tensor) -> Tensor:
        """Take the real tokens out again: [total_length, ...] -> [sum of lengths, ...]."""
        return packed[self.places(packed.device)]


@opaque
def _kept_pattern(
    layout: DocumentLayout, spec: PatternSpec, num_heads: int, layer: int, device: torch.device
) -> BlockPattern:
    patterns = _patterns(layout, spec, num_heads, device)
    if layer not in patterns:
        patterns[layer] = _pattern(layout, spec, num_heads, layer).to(device)
    return patterns[layer]


@opaque
def _on_device(make: Callable[[DocumentLayout], Tensor], layout: DocumentLayout, device: torch.device | str) -> Tensor:
    return _kept(make, layout, torch.device(device))


@lru_cache(maxsize=64)
def _kept(make: Callable[[DocumentLayout], Tensor], layout: DocumentLayout, device: torch.device) -> Tensor:
    with lasting():
        return make(layout).to(device)


def _places(layout: DocumentLayout) -> Tensor:
    return torch.cat(
        [start + torch.arange(length) for start, length in zip(layout.starts, layout.lengths, strict=True)]
    )


def _positions(layout: DocumentLayout) -> Tensor:
    positions = torch.zeros(layout.total_length, dtype=torch.int64)
    positions[_places(layout)] = torch.cat([torch.arange(length) for length in layout.lengths])
    return positions


def _is_real(layout: DocumentLayout) -> Tensor:
    real = torch.zeros(layout.total_length, dtype=torch.bool)
    real[_places(layout)] = True
    return real


@lru_cache(maxsize=4)  # batches rarely repeat a layout; every layer of the present one is asked for once a step
def _patterns(_: DocumentLayout, _spec: PatternSpec, _num_heads: int, _device: torch.device) -> dict[int, BlockPattern]:
    """The patterns made so far, by layer."""
    return {}


def _pattern(layout: DocumentLayout, spec: PatternSpec, num_heads: int, layer: int) -> BlockPattern:
    with lasting():
        patterns = [
            own.build(num_blocks=count, num_heads=num_heads, layer=layer)
            for own, count in zip(_specs(layout, spec), layout.block_counts, strict=True)
        ]
        if layout.num_empty_blocks:
            patterns.append(
                BlockPattern.empty(block_size=spec.block_size, num_heads=num_heads, num_blocks=layout.num_empty_blocks)
            )
        return pack_patterns(patterns)


def _specs(layout: DocumentLayout, spec: PatternSpec) -> list[PatternSpec]:
    """Each document's own."""
    if layout.global_blocks is None:
        return [spec] * len(layout.lengths)
    if spec.global_at != "start":
        raise ConfigError(
            f"the layout tells how many blocks at each document's start are global, and this pattern's (graph "
            f"{spec.graph!r}) stand at both ends. Set the pattern's global_at to 'start', which graphs 'paper' and "
            f"'checkpoint' have, or leave the layout's global_blocks out."
        )
    return [replace(spec, global_blocks=count) for count in layout.global_blocks]


def _shortened(lengths: tuple[int, ...]) -> str:
    return str(list(lengths)) if len(lengths) <= 8 else f"{list(lengths[:8])} …"
