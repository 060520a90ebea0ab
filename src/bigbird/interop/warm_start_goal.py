"""What a warm start should reach, and what that means for a source: its length, its attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigbird.attention import PatternSpec
from bigbird.errors import ConfigError
from bigbird.model.encoder import MAX_BLOCK_SIZE

USUAL_LENGTH = 4096  # tokens, of all published BigBird models
_MOST_TOKENS = 2**31 - 1  # in a document


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the new model should be; None leaves a value as the source has it, or as BigBird's default.

    max_length     tokens that a document may have
    block_size     tokens per block
    random_blocks  random key blocks per query block
    """

    max_length: int | None = None
    block_size: int | None = None
    random_blocks: int | None = None

    def __post_init__(self) -> None:
        if self.max_length is not None and not 1 <= self.max_length <= _MOST_TOKENS:
            raise ConfigError(f"max_length must be from 1 to {_MOST_TOKENS:,}, got {str(self.max_length)[:50]}")
        if self.block_size is not None and not 1 <= self.block_size <= MAX_BLOCK_SIZE:
            raise ConfigError(f"block_size must be from 1 to {MAX_BLOCK_SIZE}, got {self.block_size}")
        if self.random_blocks is not None and self.random_blocks < 0:
            raise ConfigError(f"random_blocks must be at least 0, got {self.random_blocks}")

    def length_from(self, length: int, place: Path, *, is_sparse: bool) -> int:
        """Tokens of the new model, where the source in `place` reads `length`."""
        wanted = self.max_length or (length if is_sparse else max(length, USUAL_LENGTH))
        if wanted < length:
            raise ConfigError(
                f"max_length {wanted} is less than the {length} tokens that {place} reads; give {length} or more"
            )
        return wanted

    def attention(self, settings: Mapping[str, Any], *, is_sparse: bool) -> dict[str, Any]:
        """Settings of attention: the source's where it is BigBird, the library's where it is not, changed as wished."""
        usual = PatternSpec()
        wished = {"block_size": self.block_size, "num_random_blocks": self.random_blocks}
        changes = {name: value for name, value in wished.items() if value is not None}
        if is_sparse and settings.get("attention_type", "block_sparse") == "block_sparse":
            return changes
        if is_sparse and not changes:
            return {}
        new = {"block_size": usual.block_size, "num_random_blocks": usual.random_blocks}
        return {"attention_type": "block_sparse", **new, "bigbird_graph": "paper"} | changes


def attention_note(settings: Mapping[str, Any]) -> str:
    """A line about the attention that a config.json describes."""
    if settings.get("attention_type") == "original_full":
        return "attention: full, as in the source; give block_size to make it sparse"
    usual = PatternSpec()
    blocks = settings.get("num_random_blocks", usual.random_blocks)
    return (
        f"attention: blocks of {settings.get('block_size', usual.block_size)} tokens, {blocks} random ones, graph "
        f"{settings.get('bigbird_graph', 'checkpoint')}"
    )
