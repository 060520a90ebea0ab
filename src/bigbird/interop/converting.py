"""What `bigbird convert SOURCE TARGET` does: finds out what the source is, and says what became of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bigbird.errors import ConfigError
from bigbird.interop import huggingface_files as files
from bigbird.interop.pickle_file import made_safe
from bigbird.interop.warm_start import LOADERS, Goal, WarmStart, check_new, prepare

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for.

    source    a folder, or OWNER/NAME[@REVISION] of the Hub
    target    a new folder
    goal      length and blocks of the new model
    from_bin  whether to read pytorch_model.bin, a pickle
    """

    source: str
    target: Path
    goal: Goal
    from_bin: bool = False


class Route(NamedTuple):
    """A way from a source to a target.

    applies    whether it serves a request
    carry_out  writes the target, and says what it read, kept and wrote
    """

    applies: Callable[[Request], bool]
    carry_out: Callable[[Request, Say], None]


def convert(request: Request, say: Say) -> None:
    """Carry out the first route that serves the request."""
    if not request.source:
        raise ConfigError("the source is empty; give a folder, or OWNER/NAME of a model of the Hub")
    check_new(request.target.absolute())
    next(route for route in ROUTES if route.applies(request)).carry_out(request, say)


def _published_model(request: Request, say: Say) -> None:
    """A folder in the Hub's layout, or a model of the Hub."""
    place = files.find_folder(request.source, pickles=request.from_bin)
    say(f"reading {place}")
    if not request.from_bin:
        _write(prepare(place, request.goal), request, say)
        return
    with tempfile.TemporaryDirectory(prefix="bigbird-", ignore_cleanup_errors=True) as folder:
        made_safe(place, Path(folder), say)
        _write(prepare(place, request.goal, weights=Path(folder)), request, say)


def _write(prepared: WarmStart, request: Request, say: Say) -> None:
    for note in prepared.notes:
        say(note)
    carried = prepared.save(request.target)
    say(f"tokenizer: {', '.join(carried)}" if carried else "tokenizer: the source has none")
    loader = LOADERS[prepared.architecture].__name__
    say(
        f"{prepared.architecture} with {prepared.num_parameters:,} parameters for documents of up to "
        f"{prepared.max_length:,} tokens is in {request.target}"
    )
    say(f"to load it: bigbird.interop.huggingface.{loader}({str(request.target)!r})")


# Tried in this order. Another kind of source or target is one more line, before the last.
ROUTES = (Route(lambda _: True, _published_model),)
