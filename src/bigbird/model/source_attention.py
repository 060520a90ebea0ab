"""Where a decoder looks in its source while it writes: cross-attention made visible, for people and small tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bigbird.attention import DocumentLayout
from bigbird.attention.reference import weights
from bigbird.model.cross_attention import CrossAttention
from bigbird.model.decoder import Decoder


@torch.no_grad()
def source_attention(
    decoder: Decoder, target_ids: Tensor, encoded: Tensor, *, layout: DocumentLayout, target_layout: DocumentLayout
) -> Tensor:
    """How much the decoder takes of each source token at each step: float32 [target total, source total].

        source        The  cat  sat          row 0, of the step that reads the start token and so decides "Cat",
        start         .1   .8   .1           sums to 1 over the tokens of its own source
        Cat           .1   .2   .7

    target_ids  int64 [target total], a text that is written already, behind its start token
    encoded     [source total, hidden], of the encoder

    The mean over heads and layers of what cross-attention takes, dense: target total x source total numbers for each
    head, one layer after the other. Rows of filling, and shares of it, mean nothing.
    """
    layers: list[CrossAttention] = [cross.attention for _, cross in decoder.layers]
    total = encoded.new_zeros(len(target_ids), len(encoded), dtype=torch.float32)

    def add(attention: nn.Module, given: tuple[Any, ...]) -> None:
        x, source, pattern, visibility = given
        assert isinstance(attention, CrossAttention)
        q = attention.heads(attention.query(x))
        k = attention.heads(attention.keys_values(source).chunk(2, dim=1)[0])
        scale = q.shape[3] ** -0.5
        shares = weights(q, k, pattern=pattern, key_mask=visibility.key_mask, scale=scale)
        total.add_(shares[0].float().mean(0), alpha=1 / len(layers))

    watching = [attention.register_forward_pre_hook(add) for attention in layers]
    try:
        decoder(target_ids, encoded, layout=layout, target_layout=target_layout)
    finally:
        for hook in watching:
            hook.remove()
    return total
