"""The files of a tokenizer, carried from one model folder to another; only read as data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from bigbird.errors import CheckpointError
from bigbird.interop import huggingface_files as files
from bigbird.interop.hub_download import TOKENIZER_FILES

TOKENIZER_CONFIG = "tokenizer_config.json"
VOCABULARIES = tuple(name for name in TOKENIZER_FILES if name != TOKENIZER_CONFIG)

_MOST_BYTES = 64 * 2**20  # the largest in use, of XLM-R, has 17 MB
_MOST_NESTED = 800_000  # as where bigbird reads it as a tokenizer: each takes memory many times its two letters
_CODE = "auto_map"  # names code that transformers would fetch and run


def carry(source: Path, target: Path, *, max_length: int, tokenizer_class: str | None) -> tuple[str, ...]:
    """Copy the files that are there; model_max_length becomes `max_length`. Their names, in order."""
    found = [name for name in VOCABULARIES if (source / name).is_file()]
    for name in found:
        _check(source / name)
        shutil.copyfile(source / name, target / name)
    if not found and not (source / TOKENIZER_CONFIG).is_file():
        return ()
    (target / TOKENIZER_CONFIG).write_text(json.dumps(_config(source, max_length, tokenizer_class), indent=2) + "\n")
    return (*found, TOKENIZER_CONFIG)


def _config(source: Path, max_length: int, tokenizer_class: str | None) -> dict[str, Any]:
    path = source / TOKENIZER_CONFIG
    values = files.read_json(path) if path.is_file() else {}
    values.pop(_CODE, None)
    # Without one transformers would take BigBird's, which splits text otherwise.
    if tokenizer_class is not None and values.get("tokenizer_class") is None:
        values["tokenizer_class"] = tokenizer_class
    return values | {"model_max_length": max_length}


def separator(source: Path) -> int | None:
    """The number of the token that ends a text, where tokenizer.json or vocab.txt tells."""
    content = "[SEP]"
    if (source / "tokenizer.json").is_file():
        _check(source / "tokenizer.json")
        return _added(source / "tokenizer.json", content)
    if (source / "vocab.txt").is_file():
        _check(source / "vocab.txt")
        words = (source / "vocab.txt").read_text(encoding="utf-8", errors="replace").split("\n")
        return words.index(content) if content in words else None
    return None


def _added(path: Path, content: str) -> int | None:
    try:
        text = path.read_bytes()
        if text.count(b"[") + text.count(b"{") > _MOST_NESTED:
            raise ValueError(f"it has more than {_MOST_NESTED:,} lists and objects")
        values = json.loads(text)
        tokens = values.get("added_tokens", []) if isinstance(values, dict) else []
        numbers = [token["id"] for token in tokens if token.get("content") == content]
    except (ValueError, RecursionError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    return numbers[0] if numbers and type(numbers[0]) is int else None


def _check(path: Path) -> None:
    files.check_place(path)
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise CheckpointError(f"{path} has {size:,} bytes; of a tokenizer's files at most {_MOST_BYTES:,} are carried")
