"""Which tensors of a dense encoder BigBird has too: its head where that has the same function, and why not else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bigbird.interop import huggingface_files as files
from bigbird.interop.warm_start_sources import ROBERTA_GELU, UNTIED, Source

WORDS = "bert.embeddings.word_embeddings.weight"
_MOST_HEADS = 20  # named among what is left out; of models of people there are at most three
_DECODER = "cls.predictions.decoder."
TIED = {f"{_DECODER}weight": WORDS, f"{_DECODER}bias": "cls.predictions.bias"}


def kept_of(
    source: Source, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], str, list[str]]:
    """The tensors that BigBird has too, its class, and what to tell."""
    refused = _refused_heads(source, settings, tensors)
    usable = [name for name in tensors if not name.startswith(tuple(refused))]
    head = source.head_of(usable, _architecture(settings))
    pooler = [name for name in usable if name.startswith("bert.pooler.")]
    wanted = {name for name in usable if name.startswith("bert.")} | (head.tensors if head else set())
    kept = {name: tensor for name, tensor in tensors.items() if name in wanted}
    notes = [f"kept: the encoder, {len(kept) - len(head.tensors if head else pooler)} tensors"]
    if head:
        notes.append(f"kept: the head, as {head.architecture}, {len(head.tensors)} tensors")
    if pooler and not (head and head.tensors >= set(pooler)):
        notes.append("kept: the pooler, which transformers reads; bigbird's encoder has none")
    lost = sorted(tensors.keys() - wanted - TIED.keys())
    notes += [f"left out: {name}, because {why}" for name, why in _reasons(source, refused, lost).items()]
    if head is None:
        notes.append("no head is kept: the result is an encoder, and a task's head is made when training begins")
    return kept, head.architecture if head else "BigBirdModel", notes


def _architecture(settings: Mapping[str, Any]) -> str:
    named = settings.get("architectures")
    return named[0] if isinstance(named, list) and named and isinstance(named[0], str) else ""


def _refused_heads(source: Source, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Beginnings of names of heads whose function is not BigBird's, and why."""
    refused = {}
    if source.skips_padding and settings["hidden_act"] != "gelu":
        refused["cls.predictions."] = ROBERTA_GELU.format(activation=settings["hidden_act"])
    is_tied = settings.get("tie_word_embeddings", True) is True and all(
        copy not in tensors or original not in tensors or torch.equal(tensors[copy], tensors[original])
        for copy, original in TIED.items()
    )
    if not is_tied:
        refused["cls.predictions."] = UNTIED
    return refused


def _reasons(source: Source, refused: Mapping[str, str], lost: list[str]) -> dict[str, str]:
    """Why tensors are not kept, by head."""
    reasons: dict[str, str] = {}
    for name in lost:
        known = {**source.left_out, **refused}
        begin = next((begin for begin in known if name.startswith(begin)), None)
        head = begin or f"{name.partition('.')[0]}."
        reasons[f"{files.printable(head, 100)}*"] = known[begin] if begin else "BigBird has no such head"
    named = dict(list(reasons.items())[:_MOST_HEADS])
    more = len(reasons) - len(named)
    return named | ({f"{more} more": "BigBird has no such heads"} if more else {})
