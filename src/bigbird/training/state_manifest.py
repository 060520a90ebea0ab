"""The list of a state's files with their sizes and SHA-256, by which any damage to them is found.

step-000000100/
├── manifest.json            written last; lists the others, and its own "sha256" covers the rest of it
├── optimizer.safetensors
├── state.json
└── weights.safetensors
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from bigbird.errors import CheckpointError

MANIFEST_FILE = "manifest.json"
FORMAT = 2  # 1 was states without a manifest
_PIECE = 2**22  # bytes hashed, written and read at once: the model computes on in between


class FileNote(NamedTuple):
    """What a file holds, in two numbers."""

    num_bytes: int
    sha256: str


class NotedFile:
    """A file being written, and its note."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash, self._num_bytes = file, hashlib.sha256(), 0

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        view = memoryview(data)
        for start in range(0, len(view), _PIECE):
            piece = view[start : start + _PIECE]
            self._hash.update(piece)
            self._file.write(piece)
            self._num_bytes += len(piece)

    @property
    def note(self) -> FileNote:
        """Of what has been written so far."""
        return FileNote(self._num_bytes, self._hash.hexdigest())


@contextmanager
def noted_file(path: Path) -> Iterator[NotedFile]:
    """A new file that is on the disk, not only on its way there, once the block is left."""
    with path.open("xb") as file:
        yield NotedFile(file)
        file.flush()
        os.fsync(file.fileno())


class Manifest(NamedTuple):
    """The name of a state's folder and the notes of its files."""

    name: str
    files: Mapping[str, FileNote]

    def text(self) -> bytes:
        """One text for one manifest: whoever writes it again gets the same bytes."""
        files = {name: {"bytes": note.num_bytes, "sha256": note.sha256} for name, note in sorted(self.files.items())}
        content = {"format": FORMAT, "name": self.name, "files": files}
        return (json.dumps({**content, "sha256": _checksum(content)}, indent=2) + "\n").encode()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """List the files of `folder`, which is going to have the manifest's name."""
    with noted_file(folder / MANIFEST_FILE) as file:
        file.write(manifest.text())


def faults(folder: Path) -> list[str]:
    """What is not as it was written, file by file; empty for a sound state."""
    try:
        text = (folder / MANIFEST_FILE).read_bytes()
    except OSError as error:
        return [f"{MANIFEST_FILE} {_unreadable(error)}"]
    manifest = _parsed(text, folder)
    if manifest is None:
        return [f"{MANIFEST_FILE} is changed: it does not match the SHA-256 at its end"]
    found = [] if manifest.name == folder.name else [f"{MANIFEST_FILE} is that of {manifest.name}"]
    found += [fault for name, note in manifest.files.items() if (fault := _fault(folder / name, note))]
    extra = {path.name for path in folder.iterdir()} - {MANIFEST_FILE, *manifest.files}
    return [*found, *(f"{name} is extra: the state was written without it" for name in sorted(extra))]


def _checksum(content: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _parsed(text: bytes, folder: Path) -> Manifest | None:
    """None unless every byte is as it was written."""
    try:
        content = json.loads(text)
        if content.pop("sha256") != _checksum(content):
            return None
        if content["format"] != FORMAT:
            raise CheckpointError(
                f"{folder} has format {content['format']!r}, this bigbird reads {FORMAT}. Install a newer bigbird."
            )
        files = {name: FileNote(entry["bytes"], entry["sha256"]) for name, entry in content["files"].items()}
        manifest = Manifest(content["name"], files)
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return manifest if manifest.text() == text else None


def _fault(path: Path, note: FileNote) -> str | None:
    try:
        num_bytes = path.stat().st_size
        found = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                found.update(piece)
    except OSError as error:
        return f"{path.name} {_unreadable(error)}"
    if num_bytes != note.num_bytes:
        how = "cut off" if num_bytes < note.num_bytes else "too long"
        return f"{path.name} is {how}: {num_bytes:,} bytes instead of {note.num_bytes:,}"
    return None if found.hexdigest() == note.sha256 else f"{path.name} is changed: its SHA-256 is another"


def _unreadable(error: OSError) -> str:
    return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror or error}"
