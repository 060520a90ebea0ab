"""`accelerate`: our attention inside a loaded BigBird or BigBird-Pegasus of transformers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar, get_args

from torch import nn

from bigbird.attention import PatternSpec
from bigbird.errors import ConfigError
from bigbird.interop.huggingface_settings import HubConfig, HubGraph, to_pattern
from bigbird.interop.transformers_layers import (
    GeluTanh,
    SparseSelfAttention,
    mask_as_it_is,
    prepare,
    refuse_attention_type,
)
from bigbird.interop.transformers_library import part
from bigbird.model.encoder import Padding
from bigbird.model.linear import Linear

Model = TypeVar("Model", bound=nn.Module)

_TANH_GELUS = ("gelu_new", "gelu_pytorch_tanh")
_HOOK = "_bigbird_hook"
_OLD_MASK = "get_extended_attention_mask"  # widens masks in 5.7; gone from 5.23


def accelerate(model: Model, *, graph: HubGraph = "checkpoint", padding: Padding = "document") -> Model:
    """Mend and speed up the encoder of a transformers BigBird or BigBird-Pegasus, in place; returns the model.

    model    any `BigBird*` or `BigBirdPegasus*`, or a module that holds one (PEFT's, your own)
    graph    "checkpoint": the random blocks the published weights were trained with, or that `bigbird_graph` in the
             model's config names
             "transformers-train", "transformers-eval": those transformers computes with in each mode, for parity
    padding  "document": a document's pattern follows from its own length, so padding never changes an answer
             "batch": as transformers: the pattern of the padded length, padded keys masked

    Training and evaluation compute the same. A short document sees all of itself, and the next long one is sparse
    again. Memory grows with the length alone, NumPy's global generator is neither read nor seeded. Weights stay where
    they are, under their names: state_dict, save_pretrained, optimizers, PEFT, hooks on Linear layers and gradient
    checkpointing go on as before. Matrix products and the tanh form of GELU are ours too, in heads and decoders as
    well (`bigbird.model.linear`, `.activation`): equal to rounding. There is no dropout on attention weights, as theirs
    has none where attention is sparse.

    A second call changes the settings, `restore` takes everything back. Decoders and attention weights as output are
    refused. (docs/huggingface.md)
    """
    if graph not in get_args(HubGraph):
        raise ConfigError(f"graph must be one of {', '.join(get_args(HubGraph))}, got {graph!r}")
    if padding not in get_args(Padding):
        raise ConfigError(f"padding must be one of {', '.join(get_args(Padding))}, got {padding!r}")
    encoders = list(_encoders(model))
    for encoder in encoders:
        _refuse_decoder(encoder)
    specs = [_spec(encoder.config, graph) for encoder in encoders]  # all refusals come before any change
    for encoder, spec in zip(encoders, specs, strict=True):
        _set_type(encoder, "original_full")  # their road on which masks come through; see `prepare`
        for layer, attention in enumerate(_attentions(encoder)):
            attention.self = SparseSelfAttention(attention.self, spec=spec, layer=layer, padding=padding)
        if not hasattr(encoder, _HOOK):
            setattr(encoder, _HOOK, encoder.register_forward_pre_hook(prepare, with_kwargs=True))
            encoder.set_attention_type = refuse_attention_type
            if hasattr(encoder, _OLD_MASK):
                setattr(encoder, _OLD_MASK, mask_as_it_is)
    _use_our_products(model)
    return model


def restore(model: Model) -> Model:
    """Take `accelerate` back, in place; returns the model. One that is not accelerated stays as it is."""
    for encoder in _encoders(model):
        if not hasattr(encoder, _HOOK):
            continue
        getattr(encoder, _HOOK).remove()
        delattr(encoder, _HOOK)
        del encoder.set_attention_type
        vars(encoder).pop(_OLD_MASK, None)
        encoder.set_attention_type(encoder.config.attention_type)
    _use_their_products(model)
    return model


def _encoders(model: nn.Module) -> Iterator[Any]:
    """Every `BigBirdModel` and encoder of a BigBird-Pegasus in it."""
    pegasus = part("models.bigbird_pegasus.modeling_bigbird_pegasus").BigBirdPegasusEncoder
    found = [module for module in model.modules() if isinstance(module, (part().BigBirdModel, pegasus))]
    if not found:
        raise ConfigError(
            f"{type(model).__name__} has no BigBird or BigBird-Pegasus encoder of transformers in it. Other encoders "
            f'run sparse with model.set_attn_implementation("bigbird").'
        )
    yield from found


def _refuse_decoder(encoder: Any) -> None:
    if isinstance(encoder, part().BigBirdModel) and encoder.config.is_decoder:
        raise ConfigError(
            "a BigBird with is_decoder=True cannot be accelerated: block-sparse attention sees the future, and the "
            "cross-attention there ignores its mask. For an EncoderDecoderModel use accelerate(model.encoder)."
        )


def _spec(config: Any, graph: HubGraph) -> PatternSpec:
    if config.attention_type != "block_sparse":
        raise ConfigError(
            f"this model's config asks for attention_type {config.attention_type!r}; there is no sparse attention to "
            f"replace. Load it with attention_type='block_sparse'."
        )
    hub = HubConfig(
        block_size=config.block_size,
        num_random_blocks=config.num_random_blocks,
        max_position_embeddings=config.max_position_embeddings,
        bigbird_graph=getattr(config, "bigbird_graph", "checkpoint"),  # of weights that we wrote
    )
    return to_pattern(hub, graph)


def _layers(encoder: Any) -> Any:
    return encoder.encoder.layer if hasattr(encoder, "encoder") else encoder.layers


def _attentions(encoder: Any) -> list[Any]:
    return [layer.attention if hasattr(layer, "attention") else layer.self_attn for layer in _layers(encoder)]


def _set_type(encoder: Any, value: str) -> None:
    holders = [encoder, *_layers(encoder), *_attentions(encoder)]
    if hasattr(encoder, "encoder"):
        holders.append(encoder.encoder)
    for module in holders:
        module.attention_type = value


def _parts(model: nn.Module) -> list[nn.Module]:
    """Every module below a BigBird or BigBird-Pegasus, heads and decoders too."""
    kinds = (part().BigBirdPreTrainedModel, part().BigBirdPegasusPreTrainedModel)
    roots = [module for module in model.modules() if isinstance(module, kinds)]
    return [module for root in roots for module in root.modules()]


def _use_our_products(model: nn.Module) -> None:
    gelus = tuple(type(part("activations").ACT2FN[name]) for name in _TANH_GELUS)
    for module in _parts(model):
        if type(module) is nn.Linear:  # what another library has made of one, it knows to multiply
            module.__class__ = Linear
        for name, child in module.named_children():
            if type(child) in gelus:
                module.add_module(name, GeluTanh(type(child)))


def _use_their_products(model: nn.Module) -> None:
    for module in _parts(model):
        if type(module) is Linear:
            setattr(module, "__class__", nn.Linear)  # noqa: B010 - a plain assignment is one of a subclass to mypy
        for name, child in module.named_children():
            if isinstance(child, GeluTanh):
                module.add_module(name, child.replaced())
