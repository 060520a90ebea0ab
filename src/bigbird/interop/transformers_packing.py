"""A padded batch of transformers as packed documents, and back: once in, once out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bigbird.attention import DocumentLayout
from bigbird.errors import ShapeError
from bigbird.model.encoder import EncoderConfig


class PackedBatch(NamedTuple):
    """Documents without their padding.

    token_ids, token_types  int64 [total]; types None where the model has none or makes its own
    layout                  where each document lies
    key_mask                bool [batch, length], True = real: where each stood in the padded batch
    """

    token_ids: Tensor
    token_types: Tensor | None
    layout: DocumentLayout
    key_mask: Tensor

    def padded(self, packed: Tensor, *, fill: float = 0.0) -> Tensor:
        """[total, ...] -> [batch, length, ...], `fill` where there is padding."""
        spread = packed.new_full((*self.key_mask.shape, *packed.shape[1:]), fill)
        spread[self.key_mask] = self.layout.unpack(packed)
        return spread


def pack(
    input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None, config: EncoderConfig
) -> PackedBatch:
    """input_ids, token_type_ids: integers [batch, length]; attention_mask: so too, 1 or True = real, None = all.

    The padding may stand anywhere. Token types that are all 0 say nothing to a model without token types, which
    tokenizers do not know: they are left out there.
    """
    _check(input_ids, attention_mask, token_type_ids)
    key_mask = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    layout = DocumentLayout.from_mask(key_mask, block_size=config.pattern.block_size)
    says_nothing = token_type_ids is not None and not config.num_token_types and not bool(token_type_ids.any())
    types = None if token_type_ids is None or says_nothing else layout.pack(token_type_ids[key_mask].long())
    return PackedBatch(layout.pack(input_ids[key_mask].long()), types, layout, key_mask)


def _check(input_ids: Tensor, attention_mask: Tensor | None, token_type_ids: Tensor | None) -> None:
    if input_ids.ndim != 2 or input_ids.numel() == 0 or input_ids.dtype not in (torch.int64, torch.int32):
        raise ShapeError(
            f"input_ids must be integers [batch, length], both at least 1, got {input_ids.dtype} "
            f"{list(input_ids.shape)}"
        )
    for name, given in {"attention_mask": attention_mask, "token_type_ids": token_type_ids}.items():
        if given is not None and (given.shape != input_ids.shape or given.is_floating_point()):
            raise ShapeError(
                f"{name} must be integers {list(input_ids.shape)} as input_ids is, got {given.dtype} "
                f"{list(given.shape)}. Masks of pairs of tokens have no place here: the pattern says who sees whom."
            )
    if attention_mask is not None and bool((strange := (attention_mask != 0) & (attention_mask != 1)).any()):
        raise ShapeError(
            f"attention_mask must hold 1 for a real token and 0 for padding, got {int(attention_mask[strange][0])}"
        )
    if attention_mask is not None and not bool(attention_mask.bool().any(1).all()):
        empty = int((~attention_mask.bool().any(1)).nonzero()[0])
        raise ShapeError(f"document {empty} of the batch has no real token: its attention_mask is all 0")
