"""`bigbird prepare`: documents of files, turned into tokens once, in a folder that training maps into memory.

    sources ─► counted and checked ─► tokenizer ─► shards ─► manifest.json

Each step leaves a file that is written whole, so that a run killed at any moment goes on where it stood when the same
command is given again, and ends with the same bytes. Until the manifest is there, unfinished.json holds what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bigbird.data.corpus_files import CorpusFile, find_files
from bigbird.data.corpus_reading import CorpusReader
from bigbird.data.corpus_tokenizer import (
    NewTokenizer,
    asked_tokenizer,
    check_masks,
    load_corpus_tokenizer,
    make_tokenizer,
    reads_dna,
    save_tokenizer,
    tokenizer_id,
    training_sample,
)
from bigbird.data.files import check_new_folder
from bigbird.data.folder_lock import LOCK_FILE, folder_lock
from bigbird.data.manifest import MANIFEST_FILE, Manifest, SourceEntry, read_manifest, write_manifest
from bigbird.data.prepare_config import PrepareConfig
from bigbird.data.preparing_progress import PreparingProgress
from bigbird.data.shard_making import ShardMaking, make_shards
from bigbird.data.shards import TOKENIZER_FOLDER, check_size, id_type, sha256_of
from bigbird.data.unfinished import (
    UNFINISHED_FILE,
    Counted,
    Unfinished,
    check_same,
    read_unfinished,
    whole_shards,
    write_unfinished,
)
from bigbird.errors import ConfigError, DataError, InputError
from bigbird.tokenizers import Tokenizer, load_tokenizer


def prepare(
    config: PrepareConfig, folder: Path, *, workers: int = 1, progress: PreparingProgress | None = None
) -> Manifest:
    """Prepare a corpus in `folder`, or finish what an interrupted run has left there; returns its manifest.

    workers  processes that make tokens; more than one need a program whose main module can be imported again
    """
    if workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {workers}")
    progress = progress or PreparingProgress()
    check_new_folder(folder)
    asked = asked_tokenizer(config.tokenizer)
    files = find_files(config.sources, leave_out=folder)
    _check_folder(folder)
    with folder_lock(folder):
        return _Preparing(config, folder, asked, files, progress, workers).run()


def _check_folder(folder: Path) -> None:
    """Raise when the folder holds what is no corpus."""
    there = {path.name for path in folder.iterdir()} - {LOCK_FILE} if folder.exists() else set()
    ours = {MANIFEST_FILE, UNFINISHED_FILE, f".{UNFINISHED_FILE}.part"}
    if there and not there & ours:
        raise InputError(f"--out {folder} holds other files ({min(there)}); name a new or an empty folder")


class _Preparing:
    """The work, step by step."""

    def __init__(
        self,
        config: PrepareConfig,
        folder: Path,
        asked: NewTokenizer | Path,
        files: Sequence[CorpusFile],
        progress: PreparingProgress,
        workers: int,
    ) -> None:
        self._config, self._folder, self._asked, self._files = config, folder, asked, files
        self._progress, self._workers = progress, workers
        self._reader = CorpusReader(files, config)
        self._stamps = _stamps(files)
        self._given = load_tokenizer(asked) if isinstance(asked, Path) else None
        if self._given is not None:
            check_masks(self._given)

    def run(self) -> Manifest:
        """Do what is not done yet."""
        settings = {**self._config.asked(), "tokenizer": self._tokenizer_setting()}
        sources = self._fingerprints()
        if (self._folder / MANIFEST_FILE).exists():
            return self._finished(settings, sources)
        state = read_unfinished(self._folder)
        if state is None or state.counted is None:  # nothing is done yet, and a fault may have been mended
            state = self._keep(Unfinished(settings=settings, sources=sources))
        else:
            check_same(self._folder, settings=(state.settings, settings), sources=(state.sources, sources))
        counted = state.counted or self._count()
        if state.counted is None:
            state = self._keep(replace(state, counted=counted))
        if not state.tokenizer_id:
            tokenizer = self._given or self._new_tokenizer(counted)
            self._tell_size(tokenizer)
            made = save_tokenizer(tokenizer, self._folder)
            state = self._keep(replace(state, tokenizer_id=made, vocab_size=tokenizer.vocab_size))
        load_corpus_tokenizer(self._folder, expected_id=state.tokenizer_id)
        state = self._make_shards(state, counted)
        self._check_tokens(state, counted)
        return self._finish(state)

    def _tokenizer_setting(self) -> str:
        return str(self._asked) if self._given is None else f"the tokenizer with id {tokenizer_id(self._given)}"

    def _keep(self, state: Unfinished) -> Unfinished:
        write_unfinished(self._folder, state)
        return state

    def _fingerprints(self) -> tuple[SourceEntry, ...]:
        sizes = [size for size, _ in self._stamps]
        found = []
        with self._progress.step("hashing sources", sum(sizes), "bytes") as advance:
            for file, size in zip(self._files, sizes, strict=True):
                found.append(SourceEntry(file.name, size, sha256_of(file.path)))
                advance(size)
        return tuple(found)

    def _finished(self, settings: dict[str, Any], sources: tuple[SourceEntry, ...]) -> Manifest:
        manifest, _ = read_manifest(self._folder)
        check_same(self._folder, settings=(manifest.settings, settings), sources=(manifest.sources, sources))
        load_corpus_tokenizer(self._folder, expected_id=manifest.tokenizer_id)
        for shard in manifest.shards:
            for part in shard.files:
                check_size(self._folder, shard, part)
        (self._folder / UNFINISHED_FILE).unlink(missing_ok=True)
        self._progress.say(f"nothing to do: {self._folder} holds this corpus already")
        return manifest

    def _count(self) -> Counted:
        is_dna = self._asked.kind != "text-bpe" if isinstance(self._asked, NewTokenizer) else self._reads_dna()
        total = sum(size for size, _ in self._stamps)
        with self._progress.step("counting", total, "bytes") as advance:
            return self._reader.count(is_dna=is_dna, advance=advance)

    def _reads_dna(self) -> bool:
        return self._given is not None and reads_dna(self._given)

    def _new_tokenizer(self, counted: Counted) -> Tokenizer:
        asked = self._asked
        assert isinstance(asked, NewTokenizer)
        with self._progress.step("training the tokenizer", counted.num_train_letters, "letters") as advance:
            texts = _told((document.text for document in self._reader.documents() if not document.held_out), advance)
            sample = training_sample(
                texts, num_letters=counted.num_train_letters, kind=asked.kind, seed=self._config.seed
            )
            return make_tokenizer(asked, sample)

    def _tell_size(self, tokenizer: Tokenizer) -> None:
        if isinstance(self._asked, NewTokenizer) and tokenizer.vocab_size < self._asked.number:
            self._progress.say(f"the tokenizer has {tokenizer.vocab_size} tokens: the documents give no more pairs")

    def _make_shards(self, state: Unfinished, counted: Counted) -> Unfinished:
        whole = whole_shards(self._folder, state.shards)
        if state.shards:
            self._progress.say(f"going on behind {len(whole)} finished shards")
        state = replace(state, shards=whole)
        making = ShardMaking(
            folder=self._folder,
            tokenizer_folder=self._folder / TOKENIZER_FOLDER,
            vocab_size=state.vocab_size,
            shard_letters=self._config.shard_letters,
            workers=self._workers,
        )
        with self._progress.step("making tokens", counted.num_letters, "letters") as advance:
            for shard in make_shards(self._reader.documents(), making, first=len(whole), advance=advance):
                state = self._keep(replace(state, shards=(*state.shards, shard)))
        return state

    def _check_tokens(self, state: Unfinished, counted: Counted) -> None:
        num_documents, num_held_out = (
            sum(getattr(shard, name) for shard in state.shards) for name in ("num_documents", "num_held_out")
        )
        if num_documents < counted.num_documents:
            self._progress.say(f"{counted.num_documents - num_documents} documents that give no tokens are left out")
        if num_documents == num_held_out:
            raise DataError(
                f"no document that is trained on gives any tokens with this tokenizer. Delete {self._folder} and "
                f"prepare with another one."
            )

    def _finish(self, state: Unfinished) -> Manifest:
        if _stamps(self._files) != self._stamps:
            raise DataError(
                f"a source has changed while it was read, so the corpus is of no use. Delete {self._folder} and "
                f"prepare it anew."
            )
        total = {
            name: sum(getattr(shard, name) for shard in state.shards)
            for name in ("num_documents", "num_held_out", "num_tokens", "num_letters")
        }
        manifest = Manifest(
            settings=state.settings,
            sources=state.sources,
            tokenizer_id=state.tokenizer_id,
            vocab_size=state.vocab_size,
            dtype=id_type(state.vocab_size),
            **total,
            shards=state.shards,
        )
        write_manifest(self._folder, manifest)
        (self._folder / UNFINISHED_FILE).unlink()
        return manifest


def _told(texts: Iterable[str], advance: Callable[[int], None]) -> Iterator[str]:
    for text in texts:
        advance(len(text))
        yield text


def _stamps(files: Sequence[CorpusFile]) -> list[tuple[int, int]]:
    """Length and time of the last change of each file."""
    found = [file.path.stat() for file in files]
    return [(stat.st_size, stat.st_mtime_ns) for stat in found]
