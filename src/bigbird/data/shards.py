"""Shards of a prepared corpus: the tokens of many documents in one file that is mapped, never read whole.

    00000.tokens     raw little-endian uint16 or uint32, one document behind the other
    00000.documents  the same of int64: tokens, letters and 1 or 0 for held out, three numbers per document
    00000.names      JSON: a list of the documents' names

The manifest knows the length and the SHA-256 of each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.files import sync, written_whole
from bigbird.errors import DataError

SHARD_FOLDER, TOKENIZER_FOLDER = "shards", "tokenizer"  # in the folder of a corpus
TOKENS, DOCUMENTS, NAMES = "tokens", "documents", "names"
_COLUMNS = 3
_READ_BYTES = 1 << 20


class TokenizedDocument(NamedTuple):
    """A document as ids, and how many letters (characters, bases) they stand for."""

    name: str
    ids: NDArray[np.integer]
    num_letters: int
    held_out: bool


@dataclass(frozen=True)
class FileEntry:
    """A file of a shard: its length and the SHA-256 of its bytes, in hexadecimal."""

    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class ShardEntry:
    """What the manifest says of a shard."""

    name: str
    num_documents: int
    num_held_out: int
    num_tokens: int
    num_letters: int
    files: dict[str, FileEntry]

    def path(self, folder: Path, part: str) -> Path:
        """Where a part of the shard lies in the corpus `folder`."""
        return folder / SHARD_FOLDER / f"{self.name}.{part}"


def shard_name(number: int) -> str:
    """The name of a shard, from which those of its files are made."""
    return f"{number:05d}"


def id_type(vocab_size: int) -> str:
    """The NumPy type of a corpus' ids: two bytes where they suffice."""
    return "<u2" if vocab_size <= 1 << 16 else "<u4"


def write_shard(folder: Path, number: int, documents: Sequence[TokenizedDocument], *, dtype: str) -> ShardEntry:
    """Write the files of a shard into the corpus `folder`, down to the disk; they replace an interrupted run's."""
    rows = [(len(document.ids), document.num_letters, document.held_out) for document in documents]
    table = np.array(rows, "<i8").reshape(-1, _COLUMNS)
    contents = {
        TOKENS: np.concatenate([np.zeros(0, dtype), *(document.ids for document in documents)]).astype(dtype).tobytes(),
        DOCUMENTS: table.tobytes(),
        NAMES: json.dumps([document.name for document in documents], ensure_ascii=False).encode(),
    }
    files = {part: FileEntry(len(data), hashlib.sha256(data).hexdigest()) for part, data in contents.items()}
    num_tokens, num_letters, num_held_out = (int(count) for count in table.sum(0))
    entry = ShardEntry(shard_name(number), len(documents), num_held_out, num_tokens, num_letters, files)
    for part, data in contents.items():
        with written_whole(entry.path(folder, part)) as path:
            path.write_bytes(data)
            sync(path)
    sync(folder / SHARD_FOLDER)
    return entry


def check_size(folder: Path, entry: ShardEntry, part: str) -> Path:
    """The path of a shard's file, if it is there and of the right length."""
    path, expected = entry.path(folder, part), entry.files[part].num_bytes
    try:
        found = path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}. {_CURE}") from None
    if found != expected:
        raise DataError(f"{path} has {found:,} bytes, the manifest says {expected:,}. {_CURE}")
    return path


def check_contents(folder: Path, entry: ShardEntry, part: str) -> Path:
    """The path of a shard's file, if its bytes are those that were written."""
    path = check_size(folder, entry, part)
    if sha256_of(path) != entry.files[part].sha256:
        raise DataError(f"{path} is damaged: its SHA-256 is not the manifest's. {_CURE}")
    return path


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    for data in _blocks_of(path):
        digest.update(data)
    return digest.hexdigest()


def read_documents_table(folder: Path, entry: ShardEntry) -> NDArray[np.int64]:
    """Tokens, letters and held out (1 or 0) of each document: int64 [documents, 3]."""
    path = check_contents(folder, entry, DOCUMENTS)
    table = np.fromfile(path, "<i8").astype(np.int64)
    if len(table) != entry.num_documents * _COLUMNS:
        raise DataError(f"{path} tells of {len(table) // _COLUMNS} documents, the manifest {entry.num_documents}")
    table = table.reshape(-1, _COLUMNS)
    sums = dict(zip(("num_tokens", "num_letters", "num_held_out"), table.sum(0).tolist(), strict=True))
    for name, found in sums.items():
        if found != getattr(entry, name):
            raise DataError(f"{path} sums up to {name} {found:,}, the manifest says {getattr(entry, name):,}. {_CURE}")
    return table


def map_tokens(folder: Path, entry: ShardEntry, *, dtype: str) -> NDArray[np.integer]:
    """The tokens of a shard, checked and mapped into memory."""
    path = check_contents(folder, entry, TOKENS)
    return np.memmap(path, dtype=dtype, mode="r") if entry.num_tokens else np.zeros(0, dtype)


def read_names(folder: Path, entry: ShardEntry) -> list[str]:
    """The names of a shard's documents."""
    path = check_contents(folder, entry, NAMES)
    names = json.loads(path.read_bytes())
    if not isinstance(names, list) or len(names) != entry.num_documents:
        raise DataError(f"{path} does not name {entry.num_documents} documents")
    return [str(name) for name in names]


_CURE = "Copy the corpus again, or delete its folder and prepare it anew."


def _blocks_of(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while data := file.read(_READ_BYTES):
                yield data
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
