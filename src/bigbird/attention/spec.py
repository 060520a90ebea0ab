"""What a sparse pattern should look like, independent of a document's length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from bigbird.attention import random_blocks
from bigbird.attention.pattern import BlockPattern, lasting
from bigbird.errors import ConfigError, ShapeError

Graph = Literal["paper", "checkpoint", "transformers-train", "transformers-eval"]
GlobalAt = Literal["ends", "start"]

_MAX_SEED = 2**31  # the layer's number is added, and the published tables take 32 bits


@dataclass(frozen=True, kw_only=True)
class PatternSpec:
    """Global, window and random blocks (Zaheer et al. 2020, section 2), and by which rule the random ones are drawn.

    block_size     tokens per block (the paper's b)
    window_blocks  blocks around the query block, itself included (w); an even number reaches one further to the left
    global_blocks  blocks that see all and are seen by all (g)
    global_at      "ends": half of them, rounded up, at the document's start, the rest at its end
                   "start": all at its start, where a question stands (the paper's ITC for question answering)
    random_blocks  random key blocks per query block that is not global (r)
    graph          "paper": distinct random blocks from the whole document
                   "checkpoint": the table published BigBird weights were trained with
                   "transformers-train", "transformers-eval": what Hugging Face transformers 5.23 computes, for parity
    seed           another seed, another draw; published tables use the layer's number, which is added

    A pattern depends on the document's length in blocks (and, where its layout tells one, its own number of global
    blocks), the head and the layer, never on the batch, the padding or whether the model trains. A document with no
    more than window + global + random blocks sees all of itself.
    """

    block_size: int = 64
    window_blocks: int = 3
    global_blocks: int = 2
    random_blocks: int = 3
    graph: Graph = "paper"
    seed: int = 0
    global_at: GlobalAt = "ends"

    def __post_init__(self) -> None:
        for name, least in {"block_size": 1, "window_blocks": 0, "global_blocks": 0, "random_blocks": 0}.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 <= self.seed < _MAX_SEED:
            raise ConfigError(f"seed must be from 0 to {_MAX_SEED - 1}, got {self.seed}")
        if self.graph not in get_args(Graph):
            raise ConfigError(f"graph must be one of {', '.join(get_args(Graph))}, got {self.graph!r}")
        if self.global_at not in get_args(GlobalAt):
            raise ConfigError(f"global_at must be one of {', '.join(get_args(GlobalAt))}, got {self.global_at!r}")
        if self.global_at == "start" and self.graph.startswith("transformers"):
            raise ConfigError(
                f"graph {self.graph!r} has global blocks at both ends, as that library computes it. Set global_at "
                f"'ends', or graph 'paper' or 'checkpoint'."
            )

    def build(
        self, *, num_blocks: int, num_heads: int, layer: int = 0, num_key_blocks: int | None = None
    ) -> BlockPattern:
        """The pattern of a document of `num_blocks` blocks.

        With `num_key_blocks` queries and keys are two documents (sparse cross-attention): query block i looks at the
        proportional place i * num_key_blocks // num_blocks. Only graph "paper" knows that case.
        """
        for name, value, least in (("num_blocks", num_blocks, 1), ("num_heads", num_heads, 1), ("layer", layer, 0)):
            if value < least:
                raise ShapeError(f"{name} must be at least {least}, got {value}")
        with lasting():
            return _build(self, num_blocks, num_blocks if num_key_blocks is None else num_key_blocks, num_heads, layer)

    def blocks_for(self, length: int) -> int:
        """How many blocks `length` tokens fill; the last may be partly empty."""
        return -(-length // self.block_size)

    @property
    def num_global_at_end(self) -> int:
        """Global blocks at a document's end; the others stand at its start."""
        return self.global_blocks // 2 if self.global_at == "ends" else 0

    @property
    def num_full_blocks(self) -> int:
        """The most blocks a document may have and see all of itself."""
        if self.graph in ("transformers-train", "transformers-eval"):
            return 5 + 2 * self.random_blocks  # where that library switches to full attention
        return self.window_blocks + self.global_blocks + self.random_blocks


@lru_cache(maxsize=1024)
def _build(spec: PatternSpec, num_query_blocks: int, num_key_blocks: int, num_heads: int, layer: int) -> BlockPattern:
    if spec.graph != "paper" and num_query_blocks != num_key_blocks:
        raise ConfigError(
            f"graph {spec.graph!r} is defined for self-attention, got {num_query_blocks} query blocks and "
            f"{num_key_blocks} key blocks. Use graph 'paper' for cross-attention."
        )
    if num_key_blocks <= spec.num_full_blocks:
        return BlockPattern.full(
            block_size=spec.block_size,
            num_heads=num_heads,
            num_query_blocks=num_query_blocks,
            num_key_blocks=num_key_blocks,
        )
    always = _window_and_global(spec, num_query_blocks, num_key_blocks)
    chance = _random(spec, always, num_key_blocks, num_heads, layer)
    codes = np.sort(_visible_codes(spec, always, chance, num_key_blocks))
    firsts = np.flatnonzero(np.diff(codes, prepend=-1))  # of equal codes
    rows, blocks = np.divmod(codes[firsts], num_key_blocks)
    lengths = np.bincount(rows, minlength=len(chance) * num_query_blocks)
    return BlockPattern(
        block_size=spec.block_size,
        num_heads=num_heads,
        num_query_blocks=num_query_blocks,
        num_key_blocks=num_key_blocks,
        row_starts=torch.from_numpy(np.concatenate(([0], lengths.cumsum()))),
        key_blocks=torch.from_numpy(blocks.astype(np.int64)),
        key_counts=torch.from_numpy(np.diff(firsts, append=len(codes))),
    )


def _window_and_global(spec: PatternSpec, num_query_blocks: int, num_key_blocks: int) -> NDArray[np.int64]:
    """The blocks each row sees without chance, ascending, `num_key_blocks` in empty places: [query_blocks, any]."""
    reach = np.arange(spec.window_blocks) - spec.window_blocks // 2
    centre = np.arange(num_query_blocks) * num_key_blocks // num_query_blocks
    window = centre[:, None] + reach
    ends = np.flatnonzero(_is_global(spec, num_key_blocks))
    blocks = np.concatenate((window, np.broadcast_to(ends, (num_query_blocks, len(ends)))), axis=1)
    blocks = np.sort(np.where((blocks < 0) | (blocks >= num_key_blocks), num_key_blocks, blocks), axis=1)
    blocks[:, 1:][blocks[:, 1:] == blocks[:, :-1]] = num_key_blocks  # a window block may be global too
    return np.sort(blocks, axis=1)


def _is_global(spec: PatternSpec, num_blocks: int) -> NDArray[np.bool_]:
    block, at_end = np.arange(num_blocks), spec.num_global_at_end
    return (block < spec.global_blocks - at_end) | (block >= num_blocks - at_end)


def _random(
    spec: PatternSpec, always: NDArray[np.int64], num_key_blocks: int, num_heads: int, layer: int
) -> NDArray[np.int64]:
    """Random blocks per row, -1 in empty slots: [heads, or 1 when heads do not differ; query_blocks; slots]."""
    if spec.random_blocks == 0:
        return np.full((1, len(always), 0), -1)
    if spec.graph == "paper":
        return random_blocks.paper(
            always,
            num_key_blocks=num_key_blocks,
            random_blocks=spec.random_blocks,
            num_heads=num_heads,
            key=(spec.seed, layer),
        )
    if spec.graph == "transformers-eval":
        return random_blocks.transformers_eval(num_blocks=len(always), random_blocks=spec.random_blocks)
    draw = random_blocks.checkpoint if spec.graph == "checkpoint" else random_blocks.transformers_train
    return draw(
        num_blocks=len(always),
        block_size=spec.block_size,
        random_blocks=spec.random_blocks,
        num_heads=num_heads,
        seed=spec.seed + layer,
    )


def _visible_codes(
    spec: PatternSpec, always: NDArray[np.int64], chance: NDArray[np.int64], num_key_blocks: int
) -> NDArray[np.signedinteger]:
    """Every visible pair as row * num_key_blocks + key block; a pair that counts twice stands twice."""
    num_lists, num_rows, _ = chance.shape
    dtype = np.int32 if num_lists * num_rows * num_key_blocks < 2**31 else np.int64  # sorts and divides twice as fast
    width = always.shape[1]
    blocks = np.empty((num_lists, num_rows, width + chance.shape[2]), dtype)
    blocks[:, :, :width] = always
    blocks[:, :, width:] = np.where(chance < 0, num_key_blocks, chance)
    is_global = _is_global(spec, num_rows)
    blocks[:, is_global] = num_key_blocks
    row_codes = np.arange(num_lists * num_rows, dtype=dtype).reshape(num_lists, num_rows, 1) * num_key_blocks
    visible = (row_codes + blocks)[blocks < num_key_blocks]
    all_keys = row_codes[:, is_global] + np.arange(num_key_blocks, dtype=dtype)
    return np.concatenate((visible, all_keys.ravel()))
