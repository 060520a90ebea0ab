"""A scan in parts that outlive the program: a killed scan goes on where it stood."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from bigbird.data.files import json_text, written_whole
from bigbird.data.folder_lock import folder_lock
from bigbird.data.intervals import Interval
from bigbird.genomics.scan import ScanConfig, ScanCounts
from bigbird.genomics.track import Scores

log = logging.getLogger(__name__)

PARTS_FOLDER = ".scan"  # in the folder of the scan
_IDENTITY_FILE = "scan.json"

Identity = Mapping[str, str | int]


def scan_identity(
    model_folder: Path, config: ScanConfig, genome_files: Sequence[Path], contigs: Mapping[str, int]
) -> Identity:
    """All that the scores of a stretch depend on.

    A genome is known by its contigs and by the sizes and times of its files: reading 3 GB anew only to know them again
    would take longer than what a killed scan loses.
    """
    files = [(path.stat().st_size, path.stat().st_mtime_ns) for path in genome_files]
    return {
        "bigbird": metadata.version("bigbird"),
        "model": _sha256(sorted(path for path in model_folder.iterdir() if path.suffix in (".json", ".safetensors"))),
        "genome": hashlib.sha256(json.dumps([files, list(contigs.items())]).encode()).hexdigest(),
        "window_bp": config.window_bp,
        "overlap_bp": config.overlap_bp,
        "bin_bp": config.bin_bp,
        "labels": ", ".join(config.labels),
    }


def _sha256(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


class ScanStore:
    """Finished parts of a scan, each a file that was written whole. A part is known by its place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sound: set[Path] = set()

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, identity: Identity) -> Iterator[ScanStore]:
        """The store of a scan into `folder`, empty unless one with the same identity stands there unfinished.

        One program at a time may hold it. It stays until `remove` is called.
        """
        parts = folder / PARTS_FOLDER
        with folder_lock(parts):
            changed = _changed(parts, identity)
            if changed:
                log.warning(
                    "%s holds an unfinished scan with another %s: it starts anew", folder, " and ".join(changed)
                )
                for path in parts.glob("*.npz"):
                    path.unlink()
            with written_whole(parts / _IDENTITY_FILE) as path:
                path.write_text(json_text(identity))
            yield cls(parts)

    def has(self, part: Interval) -> bool:
        """Whether a part is finished; its file is read once to see."""
        path = self._path(part)
        if path not in self._sound and path.exists() and self._readable(part):
            self._sound.add(path)
        return path in self._sound

    def save(self, part: Interval, scores: Scores, counts: ScanCounts) -> None:
        """Keep a finished part."""
        with written_whole(self._path(part)) as path, path.open("wb") as file:
            np.savez(file, scores=scores, counts=np.array(counts))
        self._sound.add(self._path(part))

    def scores(self, part: Interval) -> Scores:
        """The scores of a finished part."""
        scores: Scores = self._array(part, "scores")
        return scores

    def counts(self, part: Interval) -> ScanCounts:
        """What was met in a finished part."""
        return ScanCounts(*self._array(part, "counts").tolist())

    def remove(self) -> None:
        """Forget everything: the scan's own files are written."""
        shutil.rmtree(self._folder)

    def _path(self, part: Interval) -> Path:
        return self._folder / f"{quote(part.contig, safe='')}.{part.start}-{part.end}.npz"

    def _array(self, part: Interval, name: str) -> NDArray[Any]:
        with self._path(part).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            array: NDArray[Any] = arrays[name]
            return array

    def _readable(self, part: Interval) -> bool:
        """A loss of power may leave a file of the right name and other content; it has checksums."""
        try:
            self.scores(part)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return False
        return True


def _changed(folder: Path, identity: Identity) -> list[str]:
    """What is not as it was when the parts in the folder were made; nothing when there are none."""
    if not any(folder.glob("*.npz")):
        return []
    try:
        before = json.loads((folder / _IDENTITY_FILE).read_text())
    except (OSError, ValueError):
        return ["identity"]
    return [name for name, value in identity.items() if before.get(name) != value]
