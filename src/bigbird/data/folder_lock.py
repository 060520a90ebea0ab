"""One program at a time writes into a folder."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bigbird.errors import ConfigError

LOCK_FILE = ".lock"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold `folder`, made if need be, until the block ends; raise when another process holds it.

    The lock is the kernel's and ends with the process that holds it, however that ends: a file left behind by a killed
    one holds nobody up. A folder that was made for the lock alone is removed again.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = _locked(folder)
        try:
            yield
        finally:
            (folder / LOCK_FILE).unlink(missing_ok=True)  # while it is held: who waits for it looks again
            os.close(descriptor)
    finally:
        for place in made:
            if place.is_dir() and not any(place.iterdir()):  # the block may have removed it
                place.rmdir()


def _locked(folder: Path) -> int:
    path = folder / LOCK_FILE
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            raise ConfigError(
                f"{folder} is in use by another program ({holder or 'which has just begun'}). Wait for it, stop it, or "
                f"choose another folder"
            ) from None
        except OSError as error:  # file systems that know no locks
            logging.getLogger(__name__).warning(
                "%s cannot be locked (%s): see that no second program writes into it", folder, error.strerror
            )
        if _is_still(path, descriptor):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return descriptor
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the locked file is the one of that name: its holder may have removed it before letting go."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
