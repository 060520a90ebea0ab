"""BigBird for long documents out of a model for short ones, its weights kept (Zaheer et al. 2020, section 4).

    model = warm_start("roberta-base-folder", max_length=4096)

Everything is kept but what length asks for: a learned position table is repeated until it is long enough, and attention
becomes sparse. Up to (5 + r) blocks, 512 tokens with blocks of 64, every block sees every block, so that such documents
get from the new model what they got from the old one.

    positions of the source   0 1 2 … 511
    and of the result         0 1 2 … 511 0 1 2 … 511 0 1 2 …
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bigbird import machine
from bigbird.attention import PatternSpec
from bigbird.checkpoint import CONFIG_FILE, write_weights
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface, tokenizer_files
from bigbird.interop import huggingface_files as files
from bigbird.interop.new_folder import new_folder
from bigbird.interop.warm_start_sources import ROBERTA_GELU, SOURCES, UNTIED, Source, why_not, without_told
from bigbird.model.encoder import MAX_BLOCK_SIZE

USUAL_LENGTH = 4096  # tokens, of all published BigBird models
LOADERS: dict[str, Callable[[Path], nn.Module]] = {
    "BigBirdModel": huggingface.load_encoder,
    "BigBirdForMaskedLM": huggingface.load_masked_lm,
    "BigBirdForPreTraining": huggingface.load_pretraining,
    "BigBirdForTokenClassification": huggingface.load_token_classifier,
    "BigBirdForMultipleChoice": huggingface.load_multiple_choice,
    "BigBirdForSequenceClassification": huggingface.load_sequence_classifier,
    "BigBirdForQuestionAnswering": huggingface.load_question_answering,
}

_WORDS = "bert.embeddings.word_embeddings.weight"
_POSITIONS = "bert.embeddings.position_embeddings.weight"
_DECODER = "cls.predictions.decoder."
_TIED = {f"{_DECODER}weight": _WORDS, f"{_DECODER}bias": "cls.predictions.bias"}
_NOT_CARRIED = frozenset(("_name_or_path", "architectures", "transformers_version", "gradient_checkpointing"))
_MOST_NAMED = 600  # letters
_MOST_TOKENS = 2**31 - 1  # in a document
_MOST_HEADS = 20  # named among what is left out; of models of people there are at most three


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the new model should be; None leaves a value as the source has it, or as BigBird's default.

    max_length     tokens that a document may have
    block_size     tokens per block
    random_blocks  random key blocks per query block
    """

    max_length: int | None = None
    block_size: int | None = None
    random_blocks: int | None = None

    def __post_init__(self) -> None:
        if self.max_length is not None and not 1 <= self.max_length <= _MOST_TOKENS:
            raise ConfigError(f"max_length must be from 1 to {_MOST_TOKENS:,}, got {str(self.max_length)[:50]}")
        if self.block_size is not None and not 1 <= self.block_size <= MAX_BLOCK_SIZE:
            raise ConfigError(f"block_size must be from 1 to {MAX_BLOCK_SIZE}, got {self.block_size}")
        if self.random_blocks is not None and self.random_blocks < 0:
            raise ConfigError(f"random_blocks must be at least 0, got {self.random_blocks}")


@dataclass(frozen=True, kw_only=True)
class WarmStart:
    """A new model, ready to be written.

    place         the folder it was read from
    settings      its config.json
    weights       its tensors, under BigBird's names
    architecture  BigBird's class with the kept head
    source        what kind of model it was
    notes         what was kept, left out and made anew, a line each
    """

    place: Path
    settings: dict[str, Any]
    weights: dict[str, Tensor]
    architecture: str
    source: Source
    notes: tuple[str, ...]

    @property
    def max_length(self) -> int:
        """Tokens that a document may have."""
        return int(self.settings["max_position_embeddings"])

    @property
    def num_parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(tensor.numel() for tensor in self.weights.values())

    def save(self, folder: Path) -> tuple[str, ...]:
        """Write a new folder in the Hub's layout, once it has been read back; names of the tokenizer's files in it."""
        with new_folder(folder.absolute()) as temporary:
            (temporary / CONFIG_FILE).write_text(json.dumps(self.settings, indent=2, sort_keys=True) + "\n")
            write_weights(temporary, self.weights)
            self._check(temporary)
            return tokenizer_files.carry(
                self.place, temporary, max_length=self.max_length, tokenizer_class=self.source.tokenizer
            )

    def _check(self, written: Path) -> nn.Module:
        """Read it as every folder of strangers is read; what is wrong then was wrong in the source."""
        try:
            return LOADERS[self.architecture](written)
        except (CheckpointError, ConfigError) as error:
            told = str(error).replace(str(written), str(self.place))
            raise CheckpointError(f"{told} (Tensors are named as BigBird names them.)") from None


def warm_start(
    source: str | Path,
    *,
    max_length: int | None = None,
    block_size: int | None = None,
    random_blocks: int | None = None,
) -> nn.Module:
    """BigBird with the weights of `source`, in evaluation mode, in the number type of its file.

    source         a folder in the Hub's layout with a model of type bert, roberta, xlm-roberta, camembert or big_bird,
                   or a model of the Hub as OWNER/NAME or OWNER/NAME@REVISION
    max_length     tokens that a document may have: 4096 if not given, or as many as the source's if these are more
    block_size     tokens per block, 64 if not given; of a big_bird source its own
    random_blocks  random key blocks per query block, 3 if not given; of a big_bird source its own

    What comes back has the source's head where BigBird has one of the same function (`LOADERS`), else it is an
    `Encoder`. The graph is "paper", of a big_bird source the one it was trained with.
    """
    goal = Goal(max_length=max_length, block_size=block_size, random_blocks=random_blocks)
    prepared = prepare(files.find_folder(source), goal)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        prepared.save(Path(folder) / "model")
        return LOADERS[prepared.architecture](Path(folder) / "model")


def prepare(place: Path, goal: Goal, *, weights: Path | None = None) -> WarmStart:
    """Read a folder; `weights` is the one with its safetensors files where that is another."""
    settings = files.read_json(place / CONFIG_FILE)
    source = _source_of(settings, place)
    settings = {**source.defaults, **without_told(settings)}
    tensors, ignored = _named(source, files.stored_tensors(weights or place), place)
    _check_size(place, tensors, goal)
    read = dict(zip(tensors, files.read_tensors(tensors.values()), strict=True))
    kept, architecture, notes = _kept(source, settings, read)
    stretched, told = _stretched(source, settings, kept, goal, place)
    new = _settings(source, settings, goal, place, architecture, stretched)
    dropped = (f"left out: {ignored} counters, which hold nothing learned",) if ignored else ()
    return WarmStart(
        place=place,
        settings=new,
        weights=stretched,
        architecture=architecture,
        source=source,
        notes=(*notes, *told, _attention(new), *dropped),
    )


def _source_of(settings: Mapping[str, Any], place: Path) -> Source:
    model_type = settings.get("model_type")
    if not isinstance(model_type, str) or model_type not in SOURCES:
        raise CheckpointError(
            f"{place / CONFIG_FILE}: model_type is {repr(model_type)[:_MOST_NAMED]}; BigBird can begin from "
            f"{', '.join(SOURCES)}"
        )
    why = why_not(settings)
    if why is not None:
        raise CheckpointError(f"{place / CONFIG_FILE}: {why}.")
    return SOURCES[model_type]


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
    for copy, original in _TIED.items():
        if copy in named and original not in named:
            named[original] = named.pop(copy)
    if _WORDS not in named or _POSITIONS not in named:
        lost = _POSITIONS if _WORDS in named else _WORDS
        raise CheckpointError(f"{place} has no tensor {lost} (as BigBird names it), so nothing can begin from it")
    return named, len(stored) - len(named)


def _check_size(place: Path, tensors: Mapping[str, files.StoredTensor], goal: Goal) -> None:
    positions = tensors[_POSITIONS]
    width = positions.num_bytes // max(1, positions.shape[0]) if positions.shape else 0
    needed = sum(tensor.num_bytes for tensor in tensors.values()) + width * (goal.max_length or USUAL_LENGTH)
    machine.check_memory(needed, f"reading {place}", cure="Take a machine with more memory, or a smaller max_length.")


def _kept(
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
    lost = sorted(tensors.keys() - wanted - _TIED.keys())
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
        for copy, original in _TIED.items()
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
    kept = dict(list(reasons.items())[:_MOST_HEADS])
    more = len(reasons) - len(kept)
    return kept | ({f"{more} more": "BigBird has no such heads"} if more else {})


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
    wanted = goal.max_length or (length if source.is_sparse else max(length, USUAL_LENGTH))
    if wanted < length:
        raise ConfigError(
            f"max_length {wanted} is less than the {length} tokens that {place} reads; give {length} or more"
        )
    repeats = math.ceil(wanted / length)
    longer = table[unused:].repeat(repeats, 1)[:wanted].contiguous()
    what = f"its {length} rows repeated to {wanted}" if wanted > length else f"its {length} rows as they are"
    notes = [f"positions: {what}" + (f", the first {unused} left out, which no token reads" if unused else "")]
    return tensors | {_POSITIONS: longer}, notes


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
    carried = {n: value for n, value in settings.items() if n not in _NOT_CARRIED and n not in source.without_effect}
    dtype = str(tensors[_WORDS].dtype).removeprefix("torch.")
    new = carried | {
        "model_type": "big_bird",
        "architectures": [architecture],
        "max_position_embeddings": len(tensors[_POSITIONS]),
        "torch_dtype" if "torch_dtype" in carried else "dtype": dtype,
        **_pattern(source, settings, goal),
    }
    new.setdefault("tie_word_embeddings", True)
    if not source.is_sparse and new.get("sep_token_id") is None:
        new["sep_token_id"] = settings["eos_token_id"] if source.skips_padding else tokenizer_files.separator(place)
    return new


def _pattern(source: Source, settings: Mapping[str, Any], goal: Goal) -> dict[str, Any]:
    """Attention's settings: the source's where it is BigBird, the library's where it is not, changed as wished."""
    usual = PatternSpec()
    wished = {"block_size": goal.block_size, "num_random_blocks": goal.random_blocks}
    changes = {name: value for name, value in wished.items() if value is not None}
    if source.is_sparse and settings.get("attention_type", "block_sparse") == "block_sparse":
        return changes
    if source.is_sparse and not changes:
        return {}
    new = {"block_size": usual.block_size, "num_random_blocks": usual.random_blocks}
    return {"attention_type": "block_sparse", **new, "bigbird_graph": "paper"} | changes


def _attention(settings: Mapping[str, Any]) -> str:
    if settings.get("attention_type") == "original_full":
        return "attention: full, as in the source; give block_size to make it sparse"
    usual = PatternSpec()
    blocks = settings.get("num_random_blocks", usual.random_blocks)
    return (
        f"attention: blocks of {settings.get('block_size', usual.block_size)} tokens, {blocks} random ones, graph "
        f"{settings.get('bigbird_graph', 'checkpoint')}"
    )
