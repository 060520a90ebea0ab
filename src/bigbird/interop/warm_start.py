"""BigBird for long documents out of a model for short ones, its weights kept (Zaheer et al. 2020, section 4).

    model = warm_start("roberta-base-folder", max_length=4096)

Everything is kept but what length asks for: a position table becomes long enough, and attention becomes sparse. Up to
(5 + r) blocks, 512 tokens with blocks of 64, every block sees every block, so that such documents get from the new
model what they got from the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from bigbird.checkpoint import CONFIG_FILE
from bigbird.errors import CheckpointError
from bigbird.interop import huggingface_files as files
from bigbird.interop.warm_start_encoders import begin_encoder
from bigbird.interop.warm_start_goal import USUAL_LENGTH, Goal
from bigbird.interop.warm_start_result import LOADERS, Given, WarmStart
from bigbird.interop.warm_start_sources import SOURCES, why_not
from bigbird.interop.warm_start_summarizer_sources import SUMMARIZERS
from bigbird.interop.warm_start_summarizers import begin_summarizer

__all__ = ["LOADERS", "USUAL_LENGTH", "Goal", "WarmStart", "prepare", "warm_start"]

_MOST_NAMED = 600  # letters


def warm_start(
    source: str | Path,
    *,
    max_length: int | None = None,
    block_size: int | None = None,
    random_blocks: int | None = None,
) -> nn.Module:
    """BigBird with the weights of `source`, in evaluation mode, in the number type of its file.

    source         a folder in the Hub's layout with a model of type bert, roberta, xlm-roberta, camembert, big_bird,
                   pegasus or bigbird_pegasus, or a model of the Hub as OWNER/NAME or OWNER/NAME@REVISION
    max_length     tokens that a document may have: 4096 if not given, or as many as the source's if these are more
    block_size     tokens per block, 64 if not given; of a BigBird its own
    random_blocks  random key blocks per query block, 3 if not given; of a BigBird its own

    What comes back has the source's head where BigBird has one of the same function (`LOADERS`), else it is an
    `Encoder`. A summarizer gives its encoder; `prepare` and `WarmStart.save` write all of it. The graph is "paper", of
    a BigBird the one it was trained with.
    """
    goal = Goal(max_length=max_length, block_size=block_size, random_blocks=random_blocks)
    return prepare(files.find_folder(source), goal).load()


def prepare(place: Path, goal: Goal, *, weights: Path | None = None) -> WarmStart:
    """Read a folder; `weights` is the one with its safetensors files where that is another."""
    settings = files.read_json(place / CONFIG_FILE)
    model_type = _model_type(settings, place)
    given = Given(place, settings, files.stored_tensors(weights or place))
    if model_type in SUMMARIZERS:
        return begin_summarizer(SUMMARIZERS[model_type], given, goal)
    return begin_encoder(SOURCES[model_type], given, goal)


def _model_type(settings: Mapping[str, Any], place: Path) -> str:
    model_type = settings.get("model_type")
    if not isinstance(model_type, str) or model_type not in SOURCES.keys() | SUMMARIZERS.keys():
        raise CheckpointError(
            f"{place / CONFIG_FILE}: model_type is {repr(model_type)[:_MOST_NAMED]}; BigBird can begin from "
            f"{', '.join((*SOURCES, *SUMMARIZERS))}"
        )
    why = why_not(settings)
    if why is not None:
        raise CheckpointError(f"{place / CONFIG_FILE}: {why}.")
    return model_type
