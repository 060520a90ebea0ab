"""What all our models for transformers share: weights, embeddings, activation checkpointing, hidden states."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bigbird.errors import ConfigError, ShapeError
from bigbird.interop.transformers_config import BigBirdSparseConfig
from bigbird.interop.transformers_library import part
from bigbird.interop.transformers_packing import PackedBatch, pack
from bigbird.model.blocks import EncoderBlock
from bigbird.model.encoder import Encoder, encoder_of
from bigbird.model.heads import MaskedLanguageModel

part()  # of a version that we know

from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

_STD = 0.02  # of new weights, cut at two of them: BERT's, and `Encoder`'s


class CheckpointedBlock(GradientCheckpointingLayer, EncoderBlock):
    """An `EncoderBlock` whose activations transformers may drop and compute again for the backward pass."""


class Computed(NamedTuple):
    """What a model of ours computed on a packed batch; hidden states, padded, if they were wanted."""

    batch: PackedBatch
    out: Tensor
    hidden_states: tuple[Tensor, ...] | None


class BigBirdSparsePreTrainedModel(PreTrainedModel):
    """A model of transformers that holds one of ours as `bigbird` and shares every parameter with it."""

    config: BigBirdSparseConfig
    config_class = BigBirdSparseConfig
    base_model_prefix = "core"
    holds = "core"  # the attribute of our model; a base model's has the name that its encoder has in `core`
    supports_gradient_checkpointing = True
    _no_split_modules = ["CheckpointedBlock"]  # noqa: RUF012 - transformers reads a list here

    def __init__(self, config: BigBirdSparseConfig) -> None:
        super().__init__(config)
        self.hold(self.build(config))
        self.post_init()

    @classmethod
    def build(cls, config: BigBirdSparseConfig) -> nn.Module:
        """A new model of ours."""
        raise NotImplementedError

    @property
    def bigbird(self) -> nn.Module:
        """Our model: `Encoder`, or one with a head."""
        return cast(nn.Module, getattr(self, self.holds))

    def hold(self, model: nn.Module) -> None:
        """Take in a model of ours, as it is."""
        setattr(self, self.holds, model)
        for block in self.base_model.layers:
            # The same module with the same parameters under the same names; only `forward` may be checkpointed now.
            block.__class__ = CheckpointedBlock

    @property
    def base_model(self) -> Encoder:
        """The encoder, without a head."""
        return encoder_of(self.bigbird)

    def compute(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        output_attentions: bool | None,
        output_hidden_states: bool | None,
    ) -> Computed:
        """Run our model on a padded batch; the arguments are those of every encoder of transformers."""
        if input_ids is None or inputs_embeds is not None:
            raise ShapeError(
                "bigbird's models read input_ids alone: there is no inputs_embeds, because packing and the position "
                "of a token come before its vector. Give input_ids, and change vectors in get_input_embeddings()."
            )
        if self.config.output_attentions if output_attentions is None else output_attentions:
            raise ConfigError(
                "output_attentions is not served: attention weights are never formed as a whole. Set it to False."
            )
        batch = pack(input_ids, attention_mask, token_type_ids, self.base_model.config)
        wants_hidden = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        with _recorded(self.base_model) if wants_hidden else nullcontext() as seen:
            out = self.bigbird(batch.token_ids, layout=batch.layout, token_types=batch.token_types)
        return Computed(batch, out, None if seen is None else tuple(batch.padded(x) for x in seen))

    def get_input_embeddings(self) -> nn.Module:
        """Vectors of tokens: a table, or a convolution over the bases that ids spell."""
        return self.base_model.embeddings.tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace them; also the output matrix of a masked language model, which is the same tensor."""
        self.base_model.embeddings.tokens = cast(nn.Embedding, value)

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """As in transformers; the bias of new tokens in a masked language model is 0."""
        encoder = self.base_model
        if encoder.config.bases_per_token:
            raise ConfigError("a model that reads bases has no table of tokens, so it cannot be resized")
        table: nn.Embedding = super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        encoder.config = replace(encoder.config, vocab_size=table.num_embeddings)
        if isinstance(self.bigbird, MaskedLanguageModel):
            bias = self.bigbird.bias
            self.bigbird.bias = nn.Parameter(F.pad(bias.detach(), (0, table.num_embeddings - len(bias))))
        return table

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Weights that no checkpoint holds; transformers calls this for every module, `init` spares what was read."""
        if isinstance(module, nn.Linear | nn.Embedding):
            init.trunc_normal_(module.weight, std=_STD, a=-2 * _STD, b=2 * _STD)
        elif isinstance(module, nn.Conv1d | nn.LayerNorm):
            module.reset_parameters()
        if isinstance(module, nn.Linear | MaskedLanguageModel) and module.bias is not None:
            init.zeros_(module.bias)


@contextmanager
def _recorded(encoder: Encoder) -> Iterator[list[Tensor]]:
    """Packed vectors behind the embeddings and every layer, the last one as the encoder gives it out."""
    seen: list[Tensor] = []
    thread = threading.get_ident()

    def keep(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
        if threading.get_ident() == thread:  # another one may be running the same model
            seen.append(out)

    watched = (encoder.embeddings, *encoder.layers[:-1], encoder)
    hooks = [module.register_forward_hook(keep) for module in watched]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
