"""Who takes part in a measurement, and what each computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bigbird.attention import Backend, BlockPattern, PatternSpec, block_sparse_attention
from bigbird.errors import MissingDependency, require

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
Dtype = Literal["float32", "bfloat16"]

OURS: tuple[Backend, ...] = ("triton", "native", "gathered")
# What implementations raise at a shape, a machine or a length that is not for them.
CANNOT = (ImportError, RuntimeError, ValueError, IndexError, AssertionError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One call of attention: batch 1, `num_heads` heads of `head_dim`; `graph` is what the sparse contenders see."""

    length: int
    num_heads: int = 12
    head_dim: int = 64
    dtype: Dtype = "float32"
    device: str = "cpu"
    spec: PatternSpec = field(default_factory=PatternSpec)

    def pattern(self, graph: str | None = None) -> BlockPattern:
        """The pattern of one layer, of the spec's graph unless another is named."""
        values: Any = {"graph": graph or self.spec.graph}
        spec = PatternSpec(
            block_size=self.spec.block_size,
            window_blocks=self.spec.window_blocks,
            global_blocks=self.spec.global_blocks,
            random_blocks=self.spec.random_blocks,
            seed=self.spec.seed,
            **values,
        )
        return spec.build(num_blocks=spec.blocks_for(self.length), num_heads=self.num_heads).to(self.device)

    @property
    def least_bytes(self) -> int:
        """What a forward and backward pass holds at the very least: queries, keys, values, output, four gradients."""
        num_tokens = self.spec.blocks_for(self.length) * self.spec.block_size
        item: int = getattr(torch, self.dtype).itemsize
        return 8 * self.num_heads * num_tokens * self.head_dim * item + self._list_bytes

    @property
    def _list_bytes(self) -> int:
        """Of the pattern: a block and a count of 8 bytes per visible pair of blocks."""
        spec, num_blocks = self.spec, self.spec.blocks_for(self.length)
        per_row = spec.window_blocks + 2 * spec.global_blocks + spec.random_blocks
        return 16 * num_blocks * min(num_blocks, per_row)

    def tensors(self, *, requires_grad: bool) -> list[Tensor]:
        """Queries, keys and values, the same for everybody."""
        generator = torch.Generator().manual_seed(0)
        size = (1, self.num_heads, self.length, self.head_dim)
        made = [torch.randn(size, generator=generator) for _ in range(3)]
        return [x.to(self.device, getattr(torch, self.dtype)).requires_grad_(requires_grad) for x in made]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """An implementation of attention.

    pattern    the blocks it sees, so that its answer can be checked; None: everything
    prepare    makes it ready for a shape; may raise with the reason why it cannot take part
    can_learn  whether it has a backward pass here
    """

    name: str
    prepare: Callable[[Shape], Attend]
    pattern: Callable[[Shape], BlockPattern] | None = Shape.pattern
    can_learn: bool = True


def contenders() -> Iterator[Contender]:
    """Ours, fastest first, then the others."""
    for backend in OURS:
        yield Contender(name=backend, prepare=_ours(backend))
    yield Contender(name="dense (PyTorch SDPA)", prepare=lambda _: F.scaled_dot_product_attention, pattern=None)
    yield Contender(name="FlexAttention, compiled, same lists", prepare=_flex, can_learn=torch.cuda.is_available())
    for mode in ("eval", "train"):
        yield Contender(
            name=f"Hugging Face BigBird, {mode}",
            prepare=_hugging_face(mode == "train"),
            pattern=lambda shape, graph=f"transformers-{mode}": shape.pattern(graph),  # type: ignore[misc]
        )


def in_one_line(reason: Exception) -> str:
    """Why somebody takes no part."""
    return next(iter(str(reason).splitlines()), type(reason).__name__)


def _ours(backend: Backend) -> Callable[[Shape], Attend]:
    def prepare(shape: Shape) -> Attend:
        pattern = shape.pattern()
        return lambda q, k, v: block_sparse_attention(q, k, v, pattern=pattern, backend=backend)

    return prepare


def _flex(shape: Shape) -> Attend:
    """FlexAttention with our lists; it knows no counts, so graphs that count a block twice are not for it."""
    flex = require("torch.nn.attention.flex_attention", extra="dev", purpose="FlexAttention")
    pattern, size = shape.pattern(), shape.spec.block_size
    if bool((pattern.key_counts > 1).any()):
        raise MissingDependency("it cannot count a block twice")
    lengths = pattern.row_starts.diff().view(1, -1, pattern.num_query_blocks).int()
    order = torch.zeros(lengths.shape[1], pattern.num_query_blocks, pattern.num_key_blocks, dtype=torch.int32)
    places = torch.arange(len(pattern.key_blocks)) - pattern.row_starts[pattern.rows]
    order.view(-1, pattern.num_key_blocks)[pattern.rows, places] = pattern.key_blocks.int()
    heads = (1, shape.num_heads, -1)
    full = flex.BlockMask.from_kv_blocks(
        torch.zeros_like(lengths).expand(heads),
        torch.zeros_like(order)[None].expand(*heads, -1),
        lengths.expand(heads).contiguous(),
        order[None].expand(*heads, -1).contiguous(),
        BLOCK_SIZE=size,
        seq_lengths=(shape.length, shape.length),
    ).to(shape.device)
    compiled: Any = torch.compile(flex.flex_attention, dynamic=False)
    return lambda q, k, v: compiled(q, k, v, block_mask=full)


def _hugging_face(is_training: bool) -> Callable[[Shape], Attend]:
    def prepare(shape: Shape) -> Attend:
        library = require("transformers.models.big_bird.modeling_big_bird", extra="hf", purpose="Hugging Face BigBird")
        configuration = require("transformers", extra="hf", purpose="Hugging Face BigBird").BigBirdConfig(
            hidden_size=shape.num_heads * shape.head_dim,
            num_attention_heads=shape.num_heads,
            block_size=shape.spec.block_size,
            num_random_blocks=shape.spec.random_blocks,
            max_position_embeddings=max(4096, shape.length),
        )
        layer = library.BigBirdBlockSparseAttention(configuration, seed=shape.spec.seed)
        layer.train(is_training).to(shape.device)
        return lambda q, k, v: _their_attention(layer, library, shape, (q, k, v))

    return prepare


def _their_attention(layer: Any, library: Any, shape: Shape, qkv: tuple[Tensor, ...]) -> Tensor:
    real = torch.ones(1, shape.length, dtype=qkv[0].dtype, device=shape.device)
    masks = library.BigBirdModel.create_masks_for_block_sparse_attn(real, shape.spec.block_size)
    blocked, band, from_mask, to_mask = masks
    out, _ = layer.bigbird_block_sparse_attention(
        *qkv,
        band,
        from_mask,
        to_mask,
        blocked,
        blocked,
        shape.num_heads,
        shape.spec.random_blocks,
        shape.head_dim,
        shape.spec.block_size,
        shape.spec.block_size,
        1,
        shape.length,
        shape.length,
        seed=shape.spec.seed,
        plan_from_length=None,
        plan_num_rand_blocks=None,
    )
    result: Tensor = out.transpose(1, 2)
    return result


def useful_operations(pattern: BlockPattern, head_dim: int) -> float:
    """Floating-point operations of the forward pass on visible pairs (two products); the backward pass needs 2.5 times
    as many.
    """
    pairs = len(pattern.key_blocks) * (pattern.num_heads if pattern.heads_share_lists else 1)
    return 4.0 * head_dim * pairs * pattern.block_size**2


def dense_operations(shape: Shape) -> float:
    """Likewise for attention over everything."""
    return 4.0 * shape.head_dim * shape.num_heads * math.pow(shape.length, 2)


CONTENDERS: Mapping[str, Contender] = {contender.name: contender for contender in contenders()}
