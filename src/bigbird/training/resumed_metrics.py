"""metrics.jsonl of a run that goes on: what it said after the saved state is cut off, to the byte."""

from __future__ import annotations

import os
from pathlib import Path

from bigbird.data.files import sync


def position_of(path: Path) -> int:
    """How many bytes have been written to metrics.jsonl, all of which are on the disk when this returns."""
    if not path.exists():
        return 0
    sync(path)
    return path.stat().st_size


def cut_to(path: Path, num_bytes: int) -> str | None:
    """Cut metrics.jsonl to the size it had; tells when part of that is missing, of which whole lines stay."""
    there = path.stat().st_size if path.exists() else 0
    if there > num_bytes:
        os.truncate(path, num_bytes)
    if there >= num_bytes:
        return None
    if there:
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    return (
        f"{path} holds {there:,} of the {num_bytes:,} bytes it had when the state was saved; what it said of the steps "
        f"in between is lost, the run itself goes on exactly"
    )
