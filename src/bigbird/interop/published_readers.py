"""Readers that others have trained and published, as they answer there, on documents of any length.

BigBirdForQuestionAnswering                 windows as long as the model reads; it says no "no answer"
BertForQuestionAnswering, Roberta…          windows of up to 512 tokens, in which every block sees every block, so
                                            that each logit is what their own library computes
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bigbird.checkpoint import CONFIG_FILE, LoadedModel
from bigbird.errors import CheckpointError
from bigbird.interop import huggingface_files as files
from bigbird.interop.warm_start import Goal, prepare
from bigbird.interop.warm_start_sources import SOURCES
from bigbird.model.encoder import Encoder, encoder_of
from bigbird.model.heads import SpanFinder
from bigbird.model.published_heads import SpanReader
from bigbird.tasks import SpanQA
from bigbird.tokenizers import load_tokenizer

_HEAD = "qa_outputs."
_MOST_OVERLAP = 128


def load_reader(name_or_folder: str | Path) -> LoadedModel:
    """A model that answers questions, out of a folder in the Hub's layout or OWNER/NAME of the Hub, in float32.

    Raises CheckpointError where it has no head for that, or one whose function is another.
    """
    place = files.find_folder(name_or_folder)
    model = prepare(place, Goal()).load().float()
    encoder = encoder_of(model).config
    length = encoder.max_length
    if not isinstance(model, SpanReader):
        if not isinstance(model, Encoder):
            raise CheckpointError(f"{place} answers no questions: its head is that of {type(model).__name__}")
        model = _with_head(model, place)
        length = min(_own_length(place), encoder.pattern.num_full_blocks * encoder.pattern.block_size)
    overlap = min(_MOST_OVERLAP, length // 4)
    task = SpanQA(
        max_length=length,
        overlap=overlap,
        max_answer_tokens=min(30, overlap),  # as their library has it
        max_question_tokens=min(128, length // 4),
        none_allowed=not isinstance(model, SpanReader),
        global_at=encoder.pattern.global_at,
    )
    return LoadedModel(model.eval(), encoder, task, load_tokenizer(place), {"published_as": str(name_or_folder)})


def _with_head(encoder: Encoder, place: Path) -> SpanFinder:
    """The head of BERT's and RoBERTa's readers is one matrix, as ours is."""
    stored = files.stored_tensors(place)
    names = [_HEAD + part for part in ("weight", "bias")]
    found: Mapping[str, Tensor] = {}
    if all(name in stored for name in names):
        found = dict(zip(names, files.read_tensors([stored[name] for name in names]), strict=True))
    shapes = [tuple(found[name].shape) for name in names if name in found]
    if shapes != [(2, encoder.config.hidden_size), (2,)]:
        raise CheckpointError(
            f"{place} answers no questions: it has no head {_HEAD}weight of 2 rows with its bias. Train one from it: "
            f"bigbird train question_answering.spans --set start={place}"
        )
    with torch.device("meta"):
        model = SpanFinder(encoder.config)
    weights = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    model.load_state_dict(weights | {f"ends.{n.removeprefix(_HEAD)}": t.float() for n, t in found.items()}, assign=True)
    return model


def _own_length(place: Path) -> int:
    settings: dict[str, Any] = files.read_json(place / CONFIG_FILE)
    source = SOURCES[settings["model_type"]]
    settings = {**source.defaults, **settings}
    return int(settings["max_position_embeddings"]) - source.unused_positions(settings)
