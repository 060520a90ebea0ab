"""How far the preparing of a corpus has come: unfinished.json, written whole after each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bigbird import config as configs
from bigbird.data.manifest import SourceEntry, read_checked, write_checked
from bigbird.data.shards import ShardEntry, check_contents
from bigbird.errors import ConfigError, DataError

UNFINISHED_FILE = "unfinished.json"


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What the sources hold; letters are characters or bases, of all documents and of those trained on."""

    num_documents: int
    num_held_out: int
    num_letters: int
    num_train_letters: int


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """Everything that is done; what is missing is None, empty or 0.

    settings, sources  as in the manifest
    """

    settings: dict[str, Any]
    sources: tuple[SourceEntry, ...]
    counted: Counted | None = None
    tokenizer_id: str = ""
    vocab_size: int = 0
    shards: tuple[ShardEntry, ...] = ()


def write_unfinished(folder: Path, state: Unfinished) -> None:
    """Write unfinished.json."""
    write_checked(folder / UNFINISHED_FILE, configs.to_json(state))


def read_unfinished(folder: Path) -> Unfinished | None:
    """What an interrupted run has left in `folder`; None when there is nothing."""
    path = folder / UNFINISHED_FILE
    return configs.from_json(Unfinished, read_checked(path), source=str(path)) if path.exists() else None


def whole_shards(folder: Path, shards: Sequence[ShardEntry]) -> tuple[ShardEntry, ...]:
    """The first shards up to the first that is damaged, all files read; after a power cut some may be."""
    for number, shard in enumerate(shards):
        try:
            for part in shard.files:
                check_contents(folder, shard, part)
        except DataError:
            return tuple(shards[:number])
    return tuple(shards)


def check_same(
    folder: Path,
    *,
    settings: tuple[Mapping[str, Any], Mapping[str, Any]],
    sources: tuple[Sequence[SourceEntry], Sequence[SourceEntry]],
) -> None:
    """Raise unless what `folder` was begun with (first of each pair) is what is asked for now (second)."""
    before, now = settings
    for name, value in now.items():
        if before.get(name) != value:
            raise ConfigError(
                f"{folder} was prepared with {name} {before.get(name)!r}, now it is {value!r}. {_choose(folder)}"
            )
    was, is_now = sources
    names = [[source.name for source in some] for some in sources]
    if names[0] == names[1]:
        changed = [old.name for old, new in zip(was, is_now, strict=True) if old != new]
        if changed:
            raise ConfigError(
                f"{folder} was prepared from another {changed[0]}: it has changed since then. {_choose(folder)}"
            )
        return
    gone, added = Counter(names[0]) - Counter(names[1]), Counter(names[1]) - Counter(names[0])
    for missing, what in ((gone, "is no longer among the sources"), (added, "was not among them")):
        if missing:
            raise ConfigError(
                f"{folder} was prepared from other sources: {next(iter(missing))} {what}. {_choose(folder)}"
            )
    raise ConfigError(f"{folder} was prepared from the same sources in another order. {_choose(folder)}")


def _choose(folder: Path) -> str:
    return f"Prepare into another folder, or delete {folder} first."
