"""How long a summary is to be.

        sentences chosen    tokens written, of the most that the model learned to write (generation.max_new_tokens)
short           3           at least an eighth, at most a quarter
medium          6           at least a quarter, at most half
long           12           at least half, at most all
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Literal, get_args

from bigbird.errors import ConfigError
from bigbird.model.generation_config import GenerationConfig
from bigbird.tasks import Summarization

Length = Literal["short", "medium", "long"]

NUM_SENTENCES: dict[Length, int] = {"short": 3, "medium": 6, "long": 12}
MOST: dict[Length, float] = {"short": 0.25, "medium": 0.5, "long": 1.0}
LEAST: dict[Length, float] = {"short": 0.125, "medium": 0.25, "long": 0.5}


def check_length(length: str) -> None:
    """Raise unless there is such a length."""
    known = get_args(Length)
    if length not in known:
        near = difflib.get_close_matches(str(length), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"length must be one of {', '.join(known)}, got {length!r}{hint}")


def search_for(task: Summarization, length: Length) -> GenerationConfig:
    """The task's search for summaries of this length; a text that a model ends late is cut at the most."""
    longest = task.generation.max_new_tokens
    most = max(1 + task.generation.forced_end, round(longest * MOST[length]))
    least = min(round(longest * LEAST[length]), most - 1)
    return replace(task.generation, max_new_tokens=most, min_new_tokens=least, num_return_sequences=1)
