"""What stands in a transformers BigBird after `accelerate`: modules that hold its own weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bigbird.attention import PatternSpec, block_sparse_attention
from bigbird.errors import ConfigError
from bigbird.interop.transformers_documents import batch_of
from bigbird.model.activation import gelu_tanh
from bigbird.model.encoder import Padding


class SparseSelfAttention(nn.Module):
    """Takes the place of `BigBirdBlockSparseAttention`, with its query, key and value modules under their names."""

    def __init__(self, theirs: Any, *, spec: PatternSpec, layer: int, padding: Padding) -> None:
        super().__init__()
        self.query, self.key, self.value = theirs.query, theirs.key, theirs.value
        self.num_attention_heads: int = theirs.num_attention_heads
        self.attention_head_size: int = theirs.attention_head_size
        self.spec, self.layer, self.padding = spec, layer, padding
        self.train(theirs.training)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: object | None = None,
        **_others: object,
    ) -> tuple[Tensor, None]:
        """hidden_states: [batch, length, hidden] -> the same, and no weights. attention_mask: see `prepare`."""
        if not encoder_hidden_states is encoder_attention_mask is past_key_values is None:
            raise ConfigError(
                "an accelerated BigBird is an encoder: it takes no encoder_hidden_states, encoder_attention_mask or "
                "past_key_values. Leave them out, or take the change back with restore(model)."
            )
        batch, length, _ = hidden_states.shape
        device = hidden_states.device
        documents = batch_of(
            attention_mask,
            batch=batch,
            length=length,
            block_size=self.spec.block_size,
            padding=self.padding,
            device=device,
        )
        pattern = documents.pattern(self.spec, num_heads=self.num_attention_heads, layer=self.layer, device=device)
        x = documents.pack(hidden_states)
        q, k, v = (self._heads(project(x)) for project in (self.query, self.key, self.value))
        attended = block_sparse_attention(q, k, v, pattern=pattern, key_mask=documents.key_mask)
        return documents.unpack(attended.transpose(1, 2).flatten(2), pattern), None

    def _heads(self, x: Tensor) -> Tensor:
        """[rows, places, hidden] -> [rows, heads, places, head_dim], a view."""
        return x.view(*x.shape[:2], self.num_attention_heads, self.attention_head_size).transpose(1, 2)


class GeluTanh(nn.Module):
    """Takes the place of their `NewGELUActivation` and `GELUTanh`; remembers of which."""

    def __init__(self, replaced: type[nn.Module]) -> None:
        super().__init__()
        self.replaced = replaced

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return gelu_tanh(x)


def prepare(module: Any, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Runs before their forward: hands a mask of tokens through to the layers as it is.

    Theirs widens it to [batch, 1, length, length] before full attention, which is where it takes our layers to be. One
    that is [batch, 1, 1, length] already it leaves alone.
    """
    asked = given.get("output_attentions")
    if module.config.output_attentions if asked is None else asked:
        raise ConfigError(
            "output_attentions is not available: the accelerated model never holds attention weights, which would be "
            "length x length numbers per head. Ask for them after restore(model)."
        )
    is_positional = len(args) > 1
    mask = args[1] if is_positional else given.get("attention_mask")
    if mask is None:
        mask = _full_mask(module, args[0] if args else given.get("input_ids"), given.get("inputs_embeds"))
    if mask is None:
        return args, given
    if mask.ndim != 2:
        raise ConfigError(
            f"attention_mask must be [batch, length], 1 = real and 0 = padding, got {list(mask.shape)}. Who sees whom "
            f"is for the pattern to say."
        )
    _check_values(mask)
    wide = (mask != 0)[:, None, None, :]
    if is_positional:
        return (args[0], wide, *args[2:]), given
    return args, given | {"attention_mask": wide}


@torch.compiler.disable  # type: ignore[untyped-decorator]  # asks for values
def _check_values(mask: Tensor) -> None:
    """A mask to be added to scores would be read the wrong way round: 0 there is a real token."""
    if mask.dtype != torch.bool and bool((strange := (mask != 0) & (mask != 1)).any()):
        raise ConfigError(
            f"attention_mask must hold 1 for a real token and 0 for padding, got {float(mask[strange][0]):g}. A mask "
            f"to be added to scores is not one."
        )


def _full_mask(module: Any, input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor | None:
    x = inputs_embeds if input_ids is None else input_ids
    if x is None:
        return None  # theirs says what is missing
    if input_ids is not None:
        module.warn_if_padding_and_no_attention_mask(input_ids, None)  # theirs would, but sees a mask now
    return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)


def mask_as_it_is(mask: Tensor, *_others: object, **_more: object) -> Tensor:
    """Takes the place of `get_extended_attention_mask` where transformers has it."""
    return mask


def refuse_attention_type(value: str) -> None:
    """Takes the place of their `set_attention_type`."""
    raise ConfigError(
        f"attention_type cannot be set to {value!r}: the model is accelerated, and short documents see all of "
        f"themselves without a switch. Take the change back first: restore(model)."
    )
