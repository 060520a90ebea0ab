"""The manifest of a prepared corpus: what was read, with which tokenizer, into which shards; checked against itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigbird import config as configs
from bigbird.data.files import json_text, sync, written_whole
from bigbird.data.shards import DOCUMENTS, NAMES, TOKENS, ShardEntry, shard_name
from bigbird.errors import ConfigError, DataError

MANIFEST_FILE = "manifest.json"
FORMAT = 1
_CHECKSUM = "checksum"


@dataclass(frozen=True)
class SourceEntry:
    """A file that was read: its name, from the folder given on, its length and the SHA-256 of its bytes."""

    name: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A prepared corpus.

    settings       what was asked for, as far as the corpus depends on it
    tokenizer_id   see `corpus_tokenizer.tokenizer_id`
    vocab_size     of the tokenizer
    dtype          NumPy's name for the type of the ids
    num_documents, num_tokens, num_letters  of all shards together; letters are characters or bases
    num_held_out   documents that are not trained on
    """

    settings: dict[str, Any]
    sources: tuple[SourceEntry, ...]
    tokenizer_id: str
    vocab_size: int
    dtype: str
    num_documents: int
    num_held_out: int
    num_tokens: int
    num_letters: int
    shards: tuple[ShardEntry, ...]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json; its presence says that the corpus is complete."""
    write_checked(folder / MANIFEST_FILE, configs.to_json(manifest))


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """The manifest of a corpus folder and the SHA-256 of its file."""
    path = folder / MANIFEST_FILE
    if not path.exists():
        raise DataError(
            f"{folder} is no prepared corpus: it has no {MANIFEST_FILE}. Make one, or finish one that was interrupted, "
            f"with: bigbird prepare SOURCES --out {folder} --tokenizer …"
        )
    values = read_checked(path)
    try:
        manifest = configs.from_json(Manifest, values, source=str(path))
    except ConfigError as error:
        raise DataError(f"{error}. The corpus may be another version's; prepare it anew.") from None
    _check_counts(manifest, path)
    return manifest, hashlib.sha256(path.read_bytes()).hexdigest()


def write_checked(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON values with a checksum of them, whole or not at all, down to the disk."""
    described = {"format": FORMAT, **values}
    with written_whole(path) as temporary:
        temporary.write_text(json_text({**described, _CHECKSUM: _checksum(described)}), encoding="utf-8")
        sync(temporary)
    sync(path.parent)


def read_checked(path: Path) -> dict[str, Any]:
    """The values that `write_checked` wrote; a changed byte is a `DataError`."""
    try:
        text = path.read_text(encoding="utf-8")
        values: dict[str, Any] = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}. {_CURE}") from None
    is_as_written = isinstance(values, dict) and json_text(values) == text
    if not is_as_written or values.pop(_CHECKSUM, None) != _checksum(values):
        raise DataError(f"{path} is damaged or was changed by hand: its checksum does not fit it. {_CURE}")
    if values.pop("format", None) != FORMAT:
        raise DataError(f"{path} has another format than {FORMAT}, which this bigbird reads. Prepare the corpus anew.")
    return values


_CURE = "Copy the corpus again, or delete its folder and prepare it anew."


def _checksum(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _check_counts(manifest: Manifest, path: Path) -> None:
    for name in ("num_documents", "num_held_out", "num_tokens", "num_letters"):
        said, summed = getattr(manifest, name), sum(getattr(shard, name) for shard in manifest.shards)
        if said != summed:
            raise DataError(f"{path} says {name} {said:,}, its shards sum up to {summed:,}. {_CURE}")
    if manifest.dtype not in ("<u2", "<u4"):
        raise DataError(f"{path}: dtype must be <u2 or <u4, got {manifest.dtype!r}. {_CURE}")
    for number, shard in enumerate(manifest.shards):
        if shard.name != shard_name(number):
            raise DataError(f"{path}: shard {number} must be named {shard_name(number)}, got {shard.name!r}. {_CURE}")
        if set(shard.files) != {TOKENS, DOCUMENTS, NAMES}:
            raise DataError(f"{path}: shard {shard.name} must have tokens, documents and names. {_CURE}")
        num_bytes = shard.num_tokens * int(manifest.dtype[-1])
        if shard.files[TOKENS].num_bytes != num_bytes:
            raise DataError(
                f"{path}: shard {shard.name} has {shard.num_tokens:,} tokens but "
                f"{shard.files[TOKENS].num_bytes:,} bytes of them. {_CURE}"
            )
