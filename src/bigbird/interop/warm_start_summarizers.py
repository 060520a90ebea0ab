"""A BigBirdPegasus out of a Pegasus, or out of a shorter BigBirdPegasus: encoder, decoder and head, nothing left out.

    Pegasus                                  BigBirdPegasus
    encoder … self_attn.q_proj, out_proj     self_attn.self.query, self_attn.output; use_bias true
    encoder, decoder … layer_norm            layernorm_embedding, behind the last layer despite its name
    sinusoids                                their rows, as a table that can be trained

All else has the same name and the same function.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bigbird import machine
from bigbird.checkpoint import CONFIG_FILE
from bigbird.errors import CheckpointError
from bigbird.interop import huggingface_files as files
from bigbird.interop.hub_download import GENERATION_FILE
from bigbird.interop.huggingface_config import from_hub
from bigbird.interop.huggingface_files import StoredTensor
from bigbird.interop.huggingface_names import PEGASUS_NAMES
from bigbird.interop.huggingface_pegasus import PegasusConfig
from bigbird.interop.huggingface_reading import canonical, misfits
from bigbird.interop.pegasus_decoder import DECODER_TABLE, ENCODER_TABLE, LOGITS_BIAS, decoder_shapes, decoder_sizes
from bigbird.interop.warm_start_goal import Goal, attention_note
from bigbird.interop.warm_start_positions import longer, sinusoids
from bigbird.interop.warm_start_result import Given, WarmStart, new_settings, with_dtype
from bigbird.interop.warm_start_summarizer_sources import Summarizer

_SHARED = "model.shared.weight"
_COPIES = PEGASUS_NAMES.tied
_HEADS = {
    "qa_outputs.weight": "BigBirdPegasusForQuestionAnswering",
    "classification_head.dense.weight": "BigBirdPegasusForSequenceClassification",
}


def begin_summarizer(source: Summarizer, given: Given, goal: Goal) -> WarmStart:
    """A model of class bigbird_pegasus, all of it."""
    place = given.place
    settings, hub = _settings(source, given, goal)
    stored = _named(source, given)
    _check_decoder(source, stored, settings, hub, place)
    wanted = goal.length_from(hub.max_position_embeddings, place, is_sparse=source.is_sparse)
    _check_size(place, stored, wanted * hub.d_model)
    weights = _once(dict(zip(stored, files.read_tensors(stored.values()), strict=True)))
    weights, told = _stretched(weights, wanted, hub)
    is_bare = not any(name.startswith(PEGASUS_NAMES.base) for name in given.tensors)
    named = {name.removeprefix(PEGASUS_NAMES.base) if is_bare else name: tensor for name, tensor in weights.items()}
    architecture = _architecture(stored, is_bare=is_bare)
    settings = with_dtype(settings, weights[_SHARED].dtype)
    settings |= {"architectures": [architecture], "max_position_embeddings": wanted}
    generation = files.read_json(place / GENERATION_FILE) if (place / GENERATION_FILE).is_file() else None
    return WarmStart(
        place=place,
        settings=settings,
        weights=named,
        architecture=architecture,
        tokenizer_class="PegasusTokenizer",
        notes=(*_kept(weights, generation), *told, attention_note(settings), *_of_training(source, settings)),
        generation=generation,
    )


def _settings(source: Summarizer, given: Given, goal: Goal) -> tuple[dict[str, Any], PegasusConfig]:
    """The new config.json but for its length, checked, and what the encoder's part of it says."""
    place = str(given.place / CONFIG_FILE)
    for name, value in source.settled.items():
        if given.settings.get(name, value) is not value:
            raise CheckpointError(
                f"{place}: {name} is {str(given.settings[name])[:100]}; in transformers' Pegasus it is {value}, "
                f"whatever is said here, so the model's function is not known"
            )
    settings = {**source.defaults, **given.settings}
    new = new_settings(settings, source.settled.keys() | source.without_effect) | {
        "model_type": "bigbird_pegasus",
        **source.settings,
        **goal.attention(settings, is_sparse=source.is_sparse),
    }
    hub = from_hub(new, source=place)
    assert isinstance(hub, PegasusConfig)
    if hub.max_position_embeddings < 1 or hub.d_model < 1:
        raise CheckpointError(f"{place}: max_position_embeddings and d_model must be at least 1")
    return new, hub


def _named(source: Summarizer, given: Given) -> dict[str, StoredTensor]:
    """Under BigBirdPegasus' names, those of a model with a head."""
    named: dict[str, StoredTensor] = {}
    for theirs, tensor in canonical(given.tensors, given.place, PEGASUS_NAMES).items():
        name = source.name(theirs)
        if name in named:
            raise CheckpointError(f"{given.place} has the tensor {name[:200]!r} twice, under two names")
        named[name] = tensor
    if _SHARED not in named:
        raise CheckpointError(f"{given.place} has no tensor {_SHARED}, so nothing can begin from it")
    return named


def _check_decoder(
    source: Summarizer, stored: Mapping[str, StoredTensor], settings: Mapping[str, Any], hub: PegasusConfig, place: Path
) -> None:
    """What transformers would otherwise make anew or leave out; the encoder is checked when it is read back."""
    sizes = decoder_sizes(settings, hub, source=str(place / CONFIG_FILE))
    if sizes.decoder_layers > len(stored):
        raise CheckpointError(f"{place} has {len(stored)} tensors, too few for {sizes.decoder_layers} decoder layers")
    tables = {ENCODER_TABLE: (hub.max_position_embeddings, hub.d_model)}
    expected = tables | decoder_shapes(sizes, hub) | {LOGITS_BIAS: (1, hub.vocab_size)}
    optional = {LOGITS_BIAS, *((ENCODER_TABLE, DECODER_TABLE) if source.has_sinusoids else ())}
    expected = {name: shape for name, shape in expected.items() if name in stored or name not in optional}
    belonging = {
        name: tensor
        for name, tensor in stored.items()
        if name in expected or (name.startswith("model.decoder.") and name not in _COPIES)
    }
    faults = misfits(belonging, expected)
    if faults:
        raise CheckpointError(f"{place}: the decoder's and position tensors do not fit its config: {faults}.")
    other = sorted({tensor.dtype for tensor in stored.values()} - files.TYPES.keys())
    if other:
        raise CheckpointError(
            f"{place}: its tensors are {', '.join(other)}; all must be one of {', '.join(files.TYPES)}"
        )


def _check_size(place: Path, stored: Mapping[str, StoredTensor], table_size: int) -> None:
    tables = 2 * table_size * files.TYPES[stored[_SHARED].dtype].itemsize
    needed = sum(tensor.num_bytes for tensor in stored.values()) + tables
    machine.check_memory(needed, f"reading {place}", cure="Take a machine with more memory, or a smaller max_length.")


def _once(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without copies of the token vectors, which transformers ties again; one with other numbers stays."""
    shared = weights[_SHARED]
    return {name: one for name, one in weights.items() if name not in _COPIES or not torch.equal(one, shared)}


def _stretched(weights: dict[str, Tensor], wanted: int, hub: PegasusConfig) -> tuple[dict[str, Tensor], list[str]]:
    """With position tables for the new length; encoder and decoder have one setting for both."""
    tables, notes = {}, []
    for who, name in (("encoder", ENCODER_TABLE), ("decoder", DECODER_TABLE)):
        if name in weights:
            tables[name], how = longer(weights[name], wanted)
        else:
            tables[name] = sinusoids(wanted, hub.d_model, weights[_SHARED].dtype)
            how = f"{wanted} sinusoids, which the source computes and does not store"
        notes.append(f"positions of the {who}: {how}")
    return weights | tables, notes


def _architecture(stored: Mapping[str, StoredTensor], *, is_bare: bool) -> str:
    """BigBirdPegasus' class with the head that is there; the summarizer's is the table of token vectors."""
    found = [architecture for name, architecture in _HEADS.items() if name in stored]
    return found[0] if found else "BigBirdPegasusModel" if is_bare else "BigBirdPegasusForConditionalGeneration"


def _kept(weights: Mapping[str, Tensor], generation: object) -> list[str]:
    parts = {"encoder": "the encoder", "decoder": "the decoder and its attention to the encoder"}
    counts = {part: sum(name.startswith(f"model.{part}.") for name in weights) for part in parts}
    notes = [f"kept: {what}, {counts[part]} tensors" for part, what in parts.items()]
    rest = sorted(name for name in weights if not name.startswith(("model.encoder.", "model.decoder.")))
    notes.append(f"kept: {', '.join(rest)}")
    tied = [name for name in _COPIES if name not in weights]
    notes.append(f"kept once: the token vectors, {_SHARED}, which are {', '.join(tied)} too")
    return notes if generation is None else [*notes, f"kept: {GENERATION_FILE}, how summaries are written"]


def _of_training(source: Summarizer, settings: Mapping[str, Any]) -> list[str]:
    acting = [name for name in ("activation_dropout", "attention_dropout") if settings.get(name)]
    if source.is_sparse or not acting:
        return []
    named = " and ".join(f"{name} {settings[name]}" for name in acting)
    return [f"in training {named} will act in the decoder alone: BigBird's encoder has neither"]
