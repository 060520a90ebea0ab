"""The files a corpus is made of: found in folders, told apart by their endings, known again by their contents."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from bigbird.data.manifest import MANIFEST_FILE
from bigbird.data.shards import SHARD_FOLDER, TOKENIZER_FOLDER
from bigbird.data.unfinished import UNFINISHED_FILE
from bigbird.errors import DataError, InputError

log = logging.getLogger(__name__)

Format = Literal["text", "jsonl", "parquet", "fasta"]

ENDINGS: dict[str, Format] = {
    ".txt": "text",
    ".md": "text",
    ".rst": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".fa": "fasta",
    ".fasta": "fasta",
    ".fna": "fasta",
}
assert set(ENDINGS.values()) == set(get_args(Format))


class CorpusFile(NamedTuple):
    """A file of documents.

    name  of the file; of one found in a folder, the folder's name and the way from there
    """

    path: Path
    name: str
    format: Format


def find_files(sources: Sequence[Path], *, leave_out: Path | None = None) -> list[CorpusFile]:
    """The files that `sources` (files and folders) stand for: in the order given, those of a folder by name.

    In folders, what is hidden and the corpus' own folder `leave_out` are passed over, and links, other corpora and
    files of other kinds are passed over aloud.
    """
    if not sources:
        raise InputError("name at least one file or folder to read")
    found = [file for source in sources for file in _files_of(source, leave_out and leave_out.resolve())]
    for name, count in Counter(file.path.resolve() for file in found).items():
        if count > 1:
            raise InputError(f"{name} is among the sources {count} times; name each file once")
    return found


def _files_of(source: Path, leave_out: Path | None) -> Iterator[CorpusFile]:
    if source.is_file():
        kind = _format_of(source)
        if kind is None:
            raise DataError(
                f"{source}: cannot tell the format from the name; it must end in {', '.join(ENDINGS)} (and may be "
                f"gzip, .gz)"
            )
        yield CorpusFile(source, source.name, kind)
        return
    if not source.is_dir():
        raise DataError(f"{source} is neither a file nor a folder")
    if _is_corpus(source):
        raise InputError(f"{source} is a prepared corpus; name the files it was made of")
    files = list(_in_folder(source, source, leave_out))
    if not files:
        raise DataError(f"the folder {source} holds no file that ends in {', '.join(ENDINGS)} (or these and .gz)")
    yield from files


def _in_folder(folder: Path, top: Path, leave_out: Path | None) -> Iterator[CorpusFile]:
    links, strangers = [], []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            links.append(entry.name)
        elif entry.is_dir():
            if path.resolve() == leave_out:
                continue
            if _is_corpus(path):
                log.warning("%s: left out, a prepared corpus", path)
            else:
                yield from _in_folder(path, top, leave_out)
        elif (kind := _format_of(path)) and entry.is_file():
            yield CorpusFile(path, f"{top.absolute().name}/{path.relative_to(top).as_posix()}", kind)
        else:
            strangers.append(entry.name)
    if links:
        log.warning("%s: links are not followed in a folder: %s", folder, _some(links))
    if strangers:
        log.warning("%s: left out, not of a kind that is read: %s", folder, _some(strangers))


def _is_corpus(folder: Path) -> bool:
    """Whether `bigbird prepare` made or began the folder; the word lists of its tokenizer would be read as texts."""
    has_state = any((folder / name).is_file() for name in (MANIFEST_FILE, UNFINISHED_FILE))
    return has_state and any((folder / name).is_dir() for name in (SHARD_FOLDER, TOKENIZER_FOLDER))


def _format_of(path: Path) -> Format | None:
    endings = [ending.lower() for ending in path.suffixes]
    if endings and endings[-1] == ".gz":
        kind = ENDINGS.get(endings[-2]) if len(endings) > 1 else None
        return kind if kind != "parquet" else None
    return ENDINGS.get(endings[-1]) if endings else None


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
