"""BigBird's encoder out of a dense one, BERT's or RoBERTa's, or out of a shorter BigBird."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from bigbird import machine
from bigbird.checkpoint import CONFIG_FILE
from bigbird.errors import CheckpointError
from bigbird.interop import huggingface_files as files
from bigbird.interop import tokenizer_files
from bigbird.interop.warm_start_goal import USUAL_LENGTH, Goal, attention_note
from bigbird.interop.warm_start_heads import TIED, WORDS, kept_of
from bigbird.interop.warm_start_positions import repeated
from bigbird.interop.warm_start_result import Given, WarmStart, new_settings, with_dtype
from bigbird.interop.warm_start_sources import Source, without_told

_POSITIONS = "bert.embeddings.position_embeddings.weight"


def begin_encoder(source: Source, given: Given, goal: Goal) -> WarmStart:
    """A model of class big_bird, with the heads that are BigBird's too."""
    place, settings = given.place, {**source.defaults, **without_told(given.settings)}
    tensors, ignored = _named(source, given.tensors, place)
    _check_size(place, tensors, goal)
    read = dict(zip(tensors, files.read_tensors(tensors.values()), strict=True))
    kept, architecture, notes = kept_of(source, settings, read)
    stretched, told = _stretched(source, settings, kept, goal, place)
    new = _settings(source, settings, goal, place, architecture, stretched)
    dropped = (f"left out: {ignored} counters, which hold nothing learned",) if ignored else ()
    return WarmStart(
        place=place,
        settings=new,
        weights=stretched,
        architecture=architecture,
        tokenizer_class=source.tokenizer,
        notes=(*notes, *told, attention_note(new), *dropped),
    )


def _named(
    source: Source, stored: Mapping[str, files.StoredTensor], place: Path
) -> tuple[dict[str, files.StoredTensor], int]:
    """Under BigBird's names, and how many hold nothing learned."""
    named: dict[str, files.StoredTensor] = {}
    for theirs, tensor in stored.items():
        name = source.name(theirs)
        if name is None:
            continue
        if name in named:
            raise CheckpointError(f"{place} has the tensor {theirs[:200]!r} twice, under two names")
        named[name] = tensor
    for copy, original in TIED.items():
        if copy in named and original not in named:
            named[original] = named.pop(copy)
    if WORDS not in named or _POSITIONS not in named:
        lost = _POSITIONS if WORDS in named else WORDS
        raise CheckpointError(f"{place} has no tensor {lost} (as BigBird names it), so nothing can begin from it")
    return named, len(stored) - len(named)


def _check_size(place: Path, tensors: Mapping[str, files.StoredTensor], goal: Goal) -> None:
    positions = tensors[_POSITIONS]
    width = positions.num_bytes // max(1, positions.shape[0]) if positions.shape else 0
    needed = sum(tensor.num_bytes for tensor in tensors.values()) + width * (goal.max_length or USUAL_LENGTH)
    machine.check_memory(needed, f"reading {place}", cure="Take a machine with more memory, or a smaller max_length.")


def _stretched(
    source: Source, settings: Mapping[str, Any], tensors: dict[str, Tensor], goal: Goal, place: Path
) -> tuple[dict[str, Tensor], list[str]]:
    """With a position table for the new length."""
    table = tensors[_POSITIONS]
    unused = _unused(source, settings, place)
    length = len(table) - unused if table.ndim == 2 else 0
    stated = settings.get("max_position_embeddings", USUAL_LENGTH)
    if length < 1 or stated != len(table):
        raise CheckpointError(
            f"{place}: {_POSITIONS} is {list(table.shape)}, but max_position_embeddings is {repr(stated)[:50]}"
        )
    wanted = goal.length_from(length, place, is_sparse=source.is_sparse)
    what = f"its {length} rows repeated to {wanted}" if wanted > length else f"its {length} rows as they are"
    notes = [f"positions: {what}" + (f", the first {unused} left out, which no token reads" if unused else "")]
    return tensors | {_POSITIONS: repeated(table[unused:], wanted)}, notes


def _unused(source: Source, settings: Mapping[str, Any], place: Path) -> int:
    if source.skips_padding and not (type(settings["pad_token_id"]) is int and settings["pad_token_id"] >= 0):
        raise CheckpointError(
            f"{place / CONFIG_FILE}: pad_token_id must be a token's number; positions begin behind it"
        )
    return source.unused_positions(settings)


def _settings(
    source: Source,
    settings: Mapping[str, Any],
    goal: Goal,
    place: Path,
    architecture: str,
    tensors: Mapping[str, Tensor],
) -> dict[str, Any]:
    """The new config.json."""
    new = with_dtype(new_settings(settings, source.without_effect), tensors[WORDS].dtype) | {
        "model_type": "big_bird",
        "architectures": [architecture],
        "max_position_embeddings": len(tensors[_POSITIONS]),
        **goal.attention(settings, is_sparse=source.is_sparse),
    }
    if not source.is_sparse and new.get("sep_token_id") is None:
        new["sep_token_id"] = settings["eos_token_id"] if source.skips_padding else tokenizer_files.separator(place)
    return new
