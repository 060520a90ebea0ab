"""Documents to shards: worker processes turn them into ids, one process writes, in the order of the documents.

    documents ─► batches ─► workers ─► ids, in order ─► shard 00000, 00001, …

Which documents a shard holds depends on their lengths alone, so shards are the same whatever the number of workers and
however often the work was interrupted.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bigbird.data.corpus_tokenizer import reads_dna
from bigbird.data.documents import Document
from bigbird.data.shards import ShardEntry, TokenizedDocument, id_type, write_shard
from bigbird.data.text_parts import in_parts
from bigbird.errors import DataError
from bigbird.tokenizers import TextTokenizer, Tokenizer, clean_dna, load_tokenizer

_BATCH_LETTERS = 500_000  # of a worker at a time: a tenth of a second or more


def usable_cpus() -> int:
    """CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Batch(NamedTuple):
    """Documents for a worker, all of one shard."""

    shard: int
    documents: tuple[Document, ...]

    @property
    def num_letters(self) -> int:
        """Characters of the documents."""
        return sum(len(document.text) for document in self.documents)


@dataclass(frozen=True, kw_only=True)
class ShardMaking:
    """Where shards go and how large they get.

    tokenizer_folder  workers read the tokenizer there themselves
    vocab_size        of the tokenizer
    shard_letters     a shard is closed by the document that brings it to so many
    workers           processes; 1 works in this one
    """

    folder: Path
    tokenizer_folder: Path
    vocab_size: int
    shard_letters: int
    workers: int


def make_shards(
    documents: Iterable[Document], making: ShardMaking, *, first: int, advance: Callable[[int], None]
) -> Iterator[ShardEntry]:
    """Write the shards from number `first` on and give their entries; `documents` begin with those of shard 0.

    advance  is told the letters of documents that have become ids, or are passed over
    """
    batches = _batches(documents, making.shard_letters)
    with _encoder(making) as encode:
        done = _in_order(batches, encode, first=first, at_once=2 * making.workers, advance=advance)
        for number, of_shard in groupby(done, key=lambda pair: pair[0]):
            found = [document for _, some in of_shard for document in some]
            yield write_shard(making.folder, number, found, dtype=id_type(making.vocab_size))


def _batches(documents: Iterable[Document], shard_letters: int) -> Iterator[Batch]:
    shard, in_shard, some, in_batch = 0, 0, list[Document](), 0
    for document in documents:
        some.append(document)
        in_shard, in_batch = in_shard + len(document.text), in_batch + len(document.text)
        is_full = in_shard >= shard_letters
        if is_full or in_batch >= _BATCH_LETTERS:
            yield Batch(shard, tuple(some))
            some, in_batch = [], 0
        if is_full:
            shard, in_shard = shard + 1, 0
    if some:
        yield Batch(shard, tuple(some))


Encode = Callable[[Sequence[Document]], "Future[list[TokenizedDocument]]"]


def _in_order(
    batches: Iterable[Batch], encode: Encode, *, first: int, at_once: int, advance: Callable[[int], None]
) -> Iterator[tuple[int, list[TokenizedDocument]]]:
    """Shard and results of each batch, in order; no more than `at_once` are under way."""
    under_way: deque[tuple[Batch, Future[list[TokenizedDocument]]]] = deque()

    def oldest() -> tuple[int, list[TokenizedDocument]]:
        batch, future = under_way.popleft()
        found = future.result()
        advance(batch.num_letters)
        return batch.shard, found

    for batch in batches:
        if batch.shard < first:
            advance(batch.num_letters)
            continue
        under_way.append((batch, encode(batch.documents)))
        if len(under_way) >= at_once:
            yield oldest()
    while under_way:
        yield oldest()


@contextmanager
def _encoder(making: ShardMaking) -> Iterator[Encode]:
    if making.workers == 1:
        tokenizer = load_tokenizer(making.tokenizer_folder)
        yield lambda documents: _at_once(documents, tokenizer)
        return
    pool = ProcessPoolExecutor(
        making.workers,
        mp_context=get_context("spawn"),  # a fork would copy the threads' locks of PyTorch and tokenizers
        initializer=_begin_worker,
        initargs=(making.tokenizer_folder,),
    )
    try:
        yield lambda documents: pool.submit(_encode_in_worker, documents)
    except BrokenProcessPool:
        raise DataError(
            "a worker process ended by itself; most often the system had no memory left for it. Run the command again, "
            "with fewer --workers: what is finished is kept."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _at_once(documents: Sequence[Document], tokenizer: Tokenizer) -> Future[list[TokenizedDocument]]:
    future: Future[list[TokenizedDocument]] = Future()
    future.set_result(encode_documents(documents, tokenizer))
    return future


_tokenizers: list[Tokenizer] = []  # of a worker process: its one tokenizer


def _begin_worker(tokenizer_folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process' to take
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are as many as there shall be
    _tokenizers.append(load_tokenizer(tokenizer_folder))


def _end_with_parent() -> None:
    """A worker whose main process was killed would wait for work forever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _encode_in_worker(documents: Sequence[Document]) -> list[TokenizedDocument]:
    return encode_documents(documents, _tokenizers[0])


def encode_documents(documents: Sequence[Document], tokenizer: Tokenizer) -> list[TokenizedDocument]:
    """The ids of each document; those without any are left out."""
    cleaned = [
        clean_dna(document.text, source=document.where).sequence if reads_dna(tokenizer) else document.text
        for document in documents
    ]
    parts = [(index, part) for index, text in enumerate(cleaned) for part in in_parts(text)]
    ids: list[list[np.ndarray]] = [[] for _ in documents]
    for (index, _), found in zip(parts, _ids([part for _, part in parts], tokenizer), strict=True):
        ids[index].append(found)
    dtype = id_type(tokenizer.vocab_size)
    whole = [np.concatenate(some).astype(dtype) if some else np.zeros(0, dtype) for some in ids]
    return [
        TokenizedDocument(document.name, found, len(text), document.held_out)
        for document, text, found in zip(documents, cleaned, whole, strict=True)
        if len(found)
    ]


def _ids(texts: Sequence[str], tokenizer: Tokenizer) -> list[np.ndarray]:
    """Text that spells a special token is spelled out: a corpus may hold any text."""
    if isinstance(tokenizer, TextTokenizer):
        return [encoding.ids for encoding in tokenizer.encode_batch(texts, read_symbols=False)]
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]
