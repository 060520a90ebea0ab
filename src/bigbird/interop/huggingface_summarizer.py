"""Whole summarizers in Hugging Face's layout: BigBirdPegasusForConditionalGeneration, read and written.

    model = load_summarizer("bigbird-pegasus-large-arxiv")
    save_summarizer(model, "mine", like="bigbird-pegasus-large-arxiv")

A Pegasus becomes such a folder first: `bigbird.interop.warm_start`. Graphs as in `bigbird.interop.huggingface`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bigbird.checkpoint import CONFIG_FILE, empty_model
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface_files as files
from bigbird.interop.huggingface_config import encoder_config, from_hub
from bigbird.interop.huggingface_files import StoredTensor
from bigbird.interop.huggingface_names import Pair, to_ours, to_theirs
from bigbird.interop.huggingface_pegasus import PEGASUS, PegasusConfig
from bigbird.interop.huggingface_reading import canonical, misfits, read_with_copies
from bigbird.interop.huggingface_settings import HubGraph
from bigbird.interop.huggingface_writing import MAX_SHARD_BYTES, one_type, write_files
from bigbird.interop.new_folder import check_new, new_folder
from bigbird.interop.pegasus_decoder import (
    LOGITS_BIAS,
    DecoderSizes,
    decoder_pairs,
    decoder_sizes,
)
from bigbird.model.decoder_config import DecoderConfig
from bigbird.model.encoder import EncoderConfig
from bigbird.model.seq2seq import Seq2Seq

_ARCHITECTURE = "BigBirdPegasusForConditionalGeneration"


def load_summarizer(folder: str | Path, graph: HubGraph = "checkpoint") -> Seq2Seq:
    """BigBirdPegasusForConditionalGeneration, in evaluation mode and in the number type of its file.

    A final_logits_bias of zeros, which theirs never trains, is left out. Their attention_dropout and
    activation_dropout act in training alone; ours has neither.
    """
    place = files.find_folder(folder)
    source = str(place / CONFIG_FILE)
    values = files.read_json(place / CONFIG_FILE)
    hub = _config(values, source)
    config = encoder_config(hub, graph, source=source)
    sizes = decoder_sizes(values, hub, source=source)
    stored = canonical(files.stored_tensors(place), place, PEGASUS.names)
    if max(config.num_layers, sizes.decoder_layers) > len(stored):
        raise CheckpointError(
            f"{place} has {len(stored)} tensors, too few for {config.num_layers} and {sizes.decoder_layers} layers"
        )
    decoder = _decoder_config(sizes, hub, has_logits_bias=LOGITS_BIAS in stored)
    weights = _read(place, stored, _expected(config, decoder, source))
    if not weights.get(LOGITS_BIAS, torch.zeros(1)).any():
        decoder = _decoder_config(sizes, hub, has_logits_bias=False)
    model = empty_model(lambda: Seq2Seq(config, decoder))
    ours = to_ours(weights, _pairs(config, decoder))
    if decoder.has_logits_bias:
        ours["decoder.logits_bias"] = ours["decoder.logits_bias"][0]
    model.load_state_dict(ours, assign=True)
    assert isinstance(model, Seq2Seq)
    return model.eval()


def save_summarizer(
    model: Seq2Seq, folder: str | Path, *, like: str | Path | None = None, max_shard_bytes: int = MAX_SHARD_BYTES
) -> None:
    """Write config.json and model.safetensors, as transformers reads them, into a new folder.

    like  a BigBirdPegasus folder whose settings of no effect on the function, special tokens above all, are kept
    """
    if max_shard_bytes < 1:
        raise ConfigError(f"max_shard_bytes must be at least 1, got {max_shard_bytes}")
    target = Path(folder).absolute()
    check_new(target)
    values = {} if like is None else _values_of(files.find_folder(like))
    settings = values | _settings(model, values)
    state = model.state_dict()
    bias = state.pop("decoder.logits_bias", None)
    pairs = [pair for pair in _pairs(model.encoder.config, model.decoder.config) if pair.theirs != (LOGITS_BIAS,)]
    weights = to_theirs(state, pairs)
    dtype = one_type(weights)
    settings["torch_dtype" if "torch_dtype" in settings else "dtype"] = str(dtype).removeprefix("torch.")
    # Theirs has one always.
    width = model.encoder.config.vocab_size
    weights[LOGITS_BIAS] = torch.zeros(1, width, dtype=dtype) if bias is None else bias.detach().clone()[None]
    with new_folder(target) as temporary:
        write_files(temporary, settings, weights, max_shard_bytes)


def _config(values: dict[str, Any], source: str) -> PegasusConfig:
    hub = from_hub(values, source=source)
    if not isinstance(hub, PegasusConfig):
        raise CheckpointError(
            f"{source}: model_type {hub.model_type!r} is no summarizer; load_summarizer reads {PEGASUS.model_type!r}"
        )
    if not hub.tie_word_embeddings:
        raise CheckpointError(f"{source}: tie_word_embeddings is false; ours has one tensor for all token vectors")
    if values.get("decoder_layerdrop", 0.0) != 0.0:
        raise CheckpointError(
            f"{source}: decoder_layerdrop is {str(values['decoder_layerdrop'])[:100]}; only models with 0.0 can be "
            f"loaded"
        )
    return hub


def _values_of(place: Path) -> dict[str, Any]:
    values = files.read_json(place / CONFIG_FILE)
    _config(values, str(place / CONFIG_FILE))
    return values


def _settings(model: Seq2Seq, like: dict[str, Any]) -> dict[str, Any]:
    """The config.json values of the model; of equal spellings those of `like`."""
    shape, config = model.encoder.config, model.decoder.config
    served = {"is_coupled": False, "self_attention": None, "cross_attention": None, "max_length": shape.max_length}
    for name, value in served.items():
        if getattr(config, name) != value:
            raise ConfigError(
                f"the decoder's {name} is {getattr(config, name)!r}; transformers' {PEGASUS.label} knows {name} "
                f"{value!r} alone, so this model cannot be written for it"
            )
    without = {} if like else {"attention_dropout": 0.0, "activation_dropout": 0.0}  # of which ours has none
    sizes = DecoderSizes(
        decoder_layers=config.num_layers,
        decoder_attention_heads=config.num_heads,
        decoder_ffn_dim=config.inner_size,
    )
    return PEGASUS.to_hub(shape, like) | asdict(sizes) | without | {"architectures": [_ARCHITECTURE]}


def _decoder_config(sizes: DecoderSizes, hub: PegasusConfig, *, has_logits_bias: bool) -> DecoderConfig:
    return DecoderConfig(
        num_layers=sizes.decoder_layers,
        num_heads=sizes.decoder_attention_heads,
        inner_size=sizes.decoder_ffn_dim,
        max_length=hub.max_position_embeddings,
        has_logits_bias=has_logits_bias,
    )


def _pairs(config: EncoderConfig, decoder: DecoderConfig) -> Iterator[Pair]:
    yield from PEGASUS.names.encoder_pairs(config.num_layers, prefix="encoder.", attention_bias=config.attention_bias)
    yield from decoder_pairs(decoder.num_layers, has_bias=config.attention_bias is True)
    if decoder.has_logits_bias:
        yield Pair("decoder.logits_bias", (LOGITS_BIAS,))


def _expected(config: EncoderConfig, decoder: DecoderConfig, source: str) -> dict[str, tuple[int, ...]]:
    """Shapes of their tensors, by their names."""
    try:
        state = empty_model(lambda: Seq2Seq(config, decoder)).state_dict()
    except ConfigError as error:
        raise CheckpointError(f"{source} describes no possible model: {error}") from None
    pairs = list(_pairs(config, decoder))
    assert state.keys() == {pair.ours for pair in pairs}
    shapes = {
        name: (len(state[ours]) // len(theirs), *state[ours].shape[1:]) for ours, theirs in pairs for name in theirs
    }
    return shapes | ({LOGITS_BIAS: (1, config.vocab_size)} if decoder.has_logits_bias else {})


def _read(
    place: Path, stored: Mapping[str, StoredTensor], expected: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    names = PEGASUS.names
    copies = [name for name in names.tied if name in stored]
    faults = misfits({name: one for name, one in stored.items() if name not in copies}, expected)
    if faults:
        raise CheckpointError(f"{place}: its tensors do not fit its config: {faults}.")
    types = {stored[name].dtype for name in expected}
    if len(types) > 1 or not types <= files.TYPES.keys():
        raise CheckpointError(
            f"{place}: its tensors are {', '.join(sorted(types))}; all must be one of {', '.join(files.TYPES)}"
        )
    return read_with_copies(place, stored, list(expected), copies, names)
