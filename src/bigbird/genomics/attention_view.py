"""Which stretches of a window each of its stretches sees, and how much attention it gives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bigbird.attention import BlockPattern, DocumentLayout, PatternSpec, reference
from bigbird.checkpoint import LoadedModel
from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.genomics.explain_target import Target
from bigbird.model.attention_layer import SelfAttention
from bigbird.model.blocks import EncoderBlock
from bigbird.model.encoder import Encoder, encoder_of
from bigbird.tasks.base import device_of, layout_of

Kind = Literal["unseen", "window", "global", "random", "full"]
KINDS: tuple[Kind, ...] = ("unseen", "window", "global", "random", "full")
MAX_TOKENS = 8_192  # the reference computation holds tokens * tokens numbers per head


class AttentionView(NamedTuple):
    """The pattern that the model computes a window with, and optionally the weights.

    starts, ends  int64 [blocks], bases of the window's sequence that a block's tokens stand for, end exclusive
    kinds         uint8 [layers, heads, query blocks, key blocks], index of KINDS: why a block is seen
    counts        int64 of that shape, how often a block counts in the softmax; 0 where it is not seen
    weights       float32 of that shape, the share of a query's attention that a key block gets, mean of the block's
                  queries; None when not asked for
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    counts: NDArray[np.int64]
    weights: NDArray[np.float32] | None

    def block_of(self, base: int) -> int:
        """The block that reads a base of the sequence."""
        return int(np.flatnonzero((self.starts <= base) & (base < self.ends))[0])


def attention_view(loaded: LoadedModel, target: Target, *, weights: bool = True) -> AttentionView:
    """The pattern of a target's window as it stands on its own strand, layer by layer."""
    encoder = encoder_of(loaded.model)
    record = Record(sequence=target.sequence)
    example = loaded.task.encode(record, loaded.tokenizer, purpose="predict")[0]
    if weights and len(example.token_ids) > MAX_TOKENS:
        raise ConfigError(
            f"attention weights are computed for at most {MAX_TOKENS:,} tokens, and this window has "
            f"{len(example.token_ids):,}. Give a shorter --window, or leave them out."
        )
    spec = encoder.config.pattern
    layout = layout_of([example], spec.block_size)
    num_blocks = layout.block_counts[0]
    patterns = [_cropped(pattern.counts(), num_blocks) for pattern in _patterns(encoder, layout)]
    counts = np.stack([pattern.numpy() for pattern in patterns])
    starts, ends = _blocks(example.starts, example.ends, spec.block_size)
    token_ids = layout.pack(torch.from_numpy(example.token_ids)).to(device_of(loaded.model))
    shares = _weights(loaded, layout, token_ids) if weights else None
    return AttentionView(starts, ends, _kinds(counts, spec), counts, shares)


def _patterns(encoder: Encoder, layout: DocumentLayout) -> Iterator[BlockPattern]:
    """The very patterns that the encoder asks the layout for."""
    for layer in range(encoder.config.num_layers):
        yield layout.pattern(encoder.config.pattern, num_heads=encoder.config.num_heads, layer=layer)


def _cropped(table: Tensor, num_blocks: int) -> Tensor:
    return table[:, :num_blocks, :num_blocks]  # without the filling behind a short document


def _blocks(
    starts: NDArray[np.int64], ends: NDArray[np.int64], block_size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bases of each block; [CLS] and [SEP] stand for none."""
    firsts = np.arange(0, len(starts), block_size)
    return np.minimum.reduceat(starts, firsts), np.maximum.reduceat(ends, firsts)


def _kinds(counts: NDArray[np.int64], spec: PatternSpec) -> NDArray[np.uint8]:
    """Why each block is seen, by patterns of the same rule without its random and without its global blocks."""
    num_blocks = counts.shape[-1]
    kinds = np.where(counts > 0, KINDS.index("random"), KINDS.index("unseen")).astype(np.uint8)
    if num_blocks <= spec.num_full_blocks:
        kinds[counts > 0] = KINDS.index("full")
        return kinds
    for kind, smaller in (
        ("global", replace(spec, graph="paper", random_blocks=0)),
        ("window", replace(spec, graph="paper", random_blocks=0, global_blocks=0)),
    ):
        if smaller.window_blocks + smaller.global_blocks:
            seen = smaller.build(num_blocks=num_blocks, num_heads=1).counts()[0].numpy() > 0
            kinds[(counts > 0) & seen] = KINDS.index(kind)
    return kinds


def _weights(loaded: LoadedModel, layout: DocumentLayout, token_ids: Tensor) -> NDArray[np.float32]:
    """[layers, heads, blocks, blocks], by the reference computation on what each layer's attention is given."""
    encoder = encoder_of(loaded.model)
    found: list[NDArray[np.float32]] = []
    was_training = loaded.model.training
    loaded.model.eval()
    try:
        with torch.inference_mode(), ExitStack() as stack:
            for layer in encoder.layers:
                assert isinstance(layer, EncoderBlock)
                stack.enter_context(_watched(layer.attention, layout, found))
            encoder(token_ids, layout=layout)
    finally:
        loaded.model.train(was_training)
    return np.stack(found)


@contextmanager
def _watched(attention: SelfAttention, layout: DocumentLayout, found: list[NDArray[np.float32]]) -> Iterator[None]:
    def watch(module: Any, arguments: tuple[Any, ...]) -> None:
        x, pattern, visibility = arguments
        q, k, _ = module.heads(x, visibility)
        found.append(
            np.stack([_by_block(q, k, pattern, visibility.key_mask, head, layout) for head in range(q.shape[1])])
        )

    handle = attention.register_forward_pre_hook(watch)
    try:
        yield
    finally:
        handle.remove()


def _by_block(
    q: Tensor, k: Tensor, pattern: BlockPattern, key_mask: Tensor, head: int, layout: DocumentLayout
) -> NDArray[np.float32]:
    """One head at a time: tokens * tokens numbers of all heads would need a lot of memory."""
    one = BlockPattern.from_counts(pattern.counts()[head : head + 1], block_size=pattern.block_size)
    q, k = q[:, head : head + 1].float(), k[:, head : head + 1].float()
    shares = reference.weights(q, k, pattern=one, key_mask=key_mask, scale=q.shape[3] ** -0.5)[0, 0]
    length, size, num_blocks = layout.lengths[0], layout.block_size, layout.block_counts[0]
    shares = shares[: num_blocks * size, : num_blocks * size]
    by_key = shares.view(len(shares), num_blocks, size).sum(2)
    sizes = torch.full((num_blocks, 1), size).to(shares)
    sizes[-1] = length - (num_blocks - 1) * size
    by_key[length:] = 0  # filling asks too, and nobody hears it
    mean: NDArray[np.float32] = (by_key.view(num_blocks, size, num_blocks).sum(1) / sizes).cpu().numpy()
    return mean
