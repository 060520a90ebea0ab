"""What `bigbird convert SOURCE TARGET` does: finds out what the source is, and says what became of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bigbird.checkpoint import WEIGHTS_FILE, packaged_models
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface_files as files
from bigbird.interop.new_folder import check_new
from bigbird.interop.onnx import export_folder
from bigbird.interop.pickle_file import made_safe
from bigbird.interop.tensorflow_checkpoint import convert_tensorflow
from bigbird.interop.warm_start import LOADERS, Goal, WarmStart, prepare

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the command line asks for.

    source     a folder, OWNER/NAME[@REVISION] of the Hub, or the prefix of a TensorFlow checkpoint
    target     a new folder
    goal       length and blocks of the new model
    from_bin   whether to read pytorch_model.bin, a pickle
    num_heads  of a TensorFlow checkpoint, which does not tell them
    """

    source: str
    target: Path
    goal: Goal
    from_bin: bool = False
    num_heads: int | None = None


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
    next(route for route in ROUTES if route.applies(request)).carry_out(request, say)


def _published_model(request: Request, say: Say) -> None:
    """A folder in the Hub's layout, or a model of the Hub."""
    check_new(request.target.absolute())
    if request.num_heads is not None:
        raise ConfigError("--num-heads is for TensorFlow checkpoints; config.json tells the heads of other models")
    place = files.find_folder(request.source, pickles=request.from_bin)
    say(f"reading {place}")
    if not request.from_bin:
        _write(prepare(place, request.goal), request, say)
        return
    with tempfile.TemporaryDirectory(prefix="bigbird-", ignore_cleanup_errors=True) as folder:
        made_safe(place, Path(folder), say)
        try:
            prepared = prepare(place, request.goal, weights=Path(folder))
        except CheckpointError as error:  # of a file that is gone once it is read
            told = str(error).replace(str(Path(folder) / WEIGHTS_FILE), str(place / files.PICKLE_FILE))
            raise CheckpointError(told.replace(folder, str(place))) from None
        _write(prepared, request, say)


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


def _is_tensorflow(request: Request) -> bool:
    return Path(f"{request.source}.index").is_file()


def _tensorflow_checkpoint(request: Request, say: Say) -> None:
    """Files of the original code: PREFIX.index and PREFIX.data-…; then on as with any published model."""
    check_new(request.target.absolute())
    if request.from_bin:
        raise ConfigError("--from-bin is for pytorch_model.bin; a TensorFlow checkpoint is no pickle")
    heads: dict[str, Any] = {} if request.num_heads is None else {"num_heads": request.num_heads}
    say(f"reading {request.source}, a TensorFlow checkpoint")
    with tempfile.TemporaryDirectory(prefix="bigbird-", ignore_cleanup_errors=True) as folder:
        place = Path(folder) / "model"
        left_behind = convert_tensorflow(request.source, place, **heads)
        if left_behind:
            say(f"left out: {', '.join(left_behind)}")
        _write(prepare(place, request.goal), request, say)


def _onnx_file(request: Request, say: Say) -> None:
    """A model of ours, a packaged one or a published one, as it is."""
    if request != Request(source=request.source, target=request.target, goal=Goal()):
        raise ConfigError(
            "an ONNX file holds a model as it is, so options that change or read it otherwise do not go with it; "
            "convert to a folder first, then that folder to an ONNX file"
        )
    is_here = request.source in packaged_models() or Path(request.source).exists()
    place = request.source if is_here else str(files.find_folder(request.source))
    say(f"exporting {request.source}; onnxruntime then tries the file out, which takes a minute for a base model")
    export_folder(place, request.target)
    say(f"{request.target} takes token_ids and key_mask [batch, length], any batch and any length (docs/export.md)")


# Tried in this order. Another kind of source or target is one more line, before the last.
ROUTES = (
    Route(lambda request: request.target.suffix == ".onnx", _onnx_file),
    Route(_is_tensorflow, _tensorflow_checkpoint),
    Route(lambda _: True, _published_model),
)
