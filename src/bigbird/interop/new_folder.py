"""A new folder that is there completely or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bigbird.data.files import check_new_folder
from bigbird.errors import ConfigError


def check_new(target: Path) -> None:
    """Refuse, before any work is done, a place where something is already or nothing can be made."""
    if target.name in ("", ".."):
        raise ConfigError(f"{target} names no new folder; give its name")
    try:
        is_taken = _is_taken(target)
        _temporary(target).exists()  # which tells whether its longer name is possible
    except OSError as error:
        raise ConfigError(f"{str(target)[:200]} cannot be made: {error.strerror}; give another folder") from None
    if is_taken:
        raise ConfigError(f"{target} exists already; give a new folder")
    check_new_folder(target, option="the new folder")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that takes the name of `target` once the block has run; after an error nothing is left."""
    check_new(target)
    temporary = _temporary(target)
    made = [parent for parent in target.parents if not parent.exists()]
    is_done = False
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.replace(target)
        is_done = True
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if not is_done:
            _take_away(made)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _is_taken(path: Path) -> bool:
    """Whether a folder cannot take this name. An empty folder gives way, a link or a mounted one cannot."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return path.is_symlink() or not path.is_dir() or os.path.ismount(path) or any(path.iterdir())


def _take_away(folders: list[Path]) -> None:
    """Those that are empty, the innermost first."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # never made, or somebody else has put something in
            return
