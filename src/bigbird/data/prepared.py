"""A prepared corpus as data of a run: mapped tokens, rows of an epoch, rows of what is held out.

manifest.json, tokenizer/, shards/  ─PreparedCorpus─►  tokens of any document
                                    ─corpus_plan─►     which of them make which row in an epoch
                                    ─PackedRows─►      row i of epoch e
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from bigbird import randomness
from bigbird.data.corpus_plan import CorpusPlan, plan_epoch, rows_per_epoch
from bigbird.data.corpus_tokenizer import load_corpus_tokenizer
from bigbird.data.manifest import read_manifest
from bigbird.data.packing import NUM_SPECIAL, RowShape, TokenPiece, TokenRow
from bigbird.data.shards import check_size, map_tokens, read_documents_table, read_names
from bigbird.data.sources import Datasets, check_least, check_seed
from bigbird.errors import ConfigError, DataError
from bigbird.tokenizers import Tokenizer

_HELD_OUT_EPOCH = -1  # its draws are those of no epoch of training


class PreparedCorpus:
    """A corpus folder that `bigbird prepare` made.

    manifest      see `Manifest`
    sha256        of manifest.json, and thereby of all that it tells
    num_tokens    int64 [documents]
    is_held_out   bool [documents]

    Lengths of files are checked at once. A shard is mapped, and held against its SHA-256, when it is first read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest, self.sha256 = read_manifest(folder)
        for shard in self.manifest.shards:
            for part in shard.files:
                check_size(folder, shard, part)
        tables = [read_documents_table(folder, shard) for shard in self.manifest.shards]
        table = np.concatenate([np.zeros((0, 3), np.int64), *tables])
        self.num_tokens: NDArray[np.int64] = table[:, 0].copy()
        self.is_held_out: NDArray[np.bool_] = table[:, 2] == 1
        counts = [shard.num_documents for shard in self.manifest.shards]
        self._firsts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])  # document with which a shard begins
        within = [part[:, 0].cumsum() - part[:, 0] for part in tables]
        self._offsets = np.concatenate([np.zeros(0, np.int64), *within])  # of a document's tokens in its shard
        self._tokens = lru_cache(maxsize=None)(self._map_tokens)
        self._names = lru_cache(maxsize=None)(self._read_names)

    @classmethod
    def open(cls, folder: str | Path) -> PreparedCorpus:
        """Open a corpus; a `DataError` names the file that is missing or damaged."""
        return cls(Path(folder))

    @property
    def tokenizer_id(self) -> str:
        """See `corpus_tokenizer.tokenizer_id`."""
        return self.manifest.tokenizer_id

    @property
    def train_documents(self) -> NDArray[np.int64]:
        """Numbers of the documents to train on."""
        return np.flatnonzero(~self.is_held_out)

    @property
    def held_out_documents(self) -> NDArray[np.int64]:
        """Numbers of the documents not to train on."""
        return np.flatnonzero(self.is_held_out)

    def load_tokenizer(self) -> Tokenizer:
        """The tokenizer its ids belong to."""
        return load_corpus_tokenizer(self.folder, expected_id=self.tokenizer_id)

    def tokens(self, document: int, start: int = 0, end: int | None = None) -> NDArray[np.int32]:
        """Tokens [start, end) of a document, all of them by default, without special tokens."""
        length = int(self.num_tokens[document])
        end = length if end is None else end
        if not 0 <= start <= end <= length:
            raise IndexError(f"tokens {start} to {end} of document {document}, which has {length}")
        shard = self._shard_of(document)
        first = int(self._offsets[document])
        return self._tokens(shard)[first + start : first + end].astype(np.int32)

    def name(self, document: int) -> str:
        """The name of a document."""
        shard = self._shard_of(document)
        return self._names(shard)[document - int(self._firsts[shard])]

    def _shard_of(self, document: int) -> int:
        return int(np.searchsorted(self._firsts, document, side="right")) - 1

    def _map_tokens(self, shard: int) -> NDArray[np.integer]:
        return map_tokens(self.folder, self.manifest.shards[shard], dtype=self.manifest.dtype)

    def _read_names(self, shard: int) -> list[str]:
        return read_names(self.folder, self.manifest.shards[shard])


class PackedRows:
    """Documents of a corpus as full rows, packed anew each epoch: a `RecordSource` of `TokenRow`.

    documents    int64, numbers of documents, each with at least one token
    word_starts  bool [vocabulary], True for a token with which a word starts; needed when the shape keeps words whole
    """

    def __init__(
        self,
        corpus: PreparedCorpus,
        documents: NDArray[np.int64],
        shape: RowShape,
        *,
        seed: int,
        word_starts: NDArray[np.bool_] | None = None,
    ) -> None:
        self._corpus, self._documents, self._shape, self._seed = corpus, documents, shape, seed
        self._word_starts = word_starts
        self._lengths = corpus.num_tokens[documents]
        self._num_rows = rows_per_epoch(self._lengths, shape)
        self.plan = lru_cache(maxsize=2)(self._plan)  # two: at an epoch's end the next one's first rows are asked for

    def __len__(self) -> int:
        return self._num_rows

    def record(self, index: int, *, epoch: int) -> TokenRow:
        """Row `index` of an epoch; see `RecordSource`."""
        if not 0 <= index < self._num_rows:
            raise IndexError(f"row {index} of {self._num_rows}")
        plan = self.plan(epoch)
        first, end = plan.row_starts[index : index + 2].tolist()
        return TokenRow(tuple(self._piece(plan, number, epoch) for number in range(first, end)))

    def _plan(self, epoch: int) -> CorpusPlan:
        ordered = None if epoch == _HELD_OUT_EPOCH else epoch
        return plan_epoch(self._lengths, self._shape, seed=self._seed, epoch=ordered)

    def _piece(self, plan: CorpusPlan, number: int, epoch: int) -> TokenPiece:
        document = int(self._documents[plan.documents[number]])
        length = int(self._corpus.num_tokens[document])
        start, end = (self._cut(document, int(place[number]), length) for place in (plan.starts, plan.ends))
        return TokenPiece(
            self._corpus.tokens(document, start, end),
            document,
            start,
            randomness.derived_seed(self._seed, epoch, document),
            self._corpus.name(document),
        )

    def _cut(self, document: int, place: int, length: int) -> int:
        """Where a document is cut that the plan cuts at `place`: in front of the last word that starts shortly before.

        Both rows the cut lies between find the same place, since it depends on the document's tokens alone.
        """
        shift = self._shape.shift
        if not shift or not 0 < place < length:
            return place
        assert self._word_starts is not None
        begins = self._word_starts[self._corpus.tokens(document, place - shift, place + 1)]
        found = np.flatnonzero(begins)
        return place - shift + int(found[-1]) if len(found) else place


class HeldOutRows(Sequence[TokenRow]):
    """Rows of the held-out documents in their own order, the same each time; some of them, evenly spread, or all."""

    def __init__(self, rows: PackedRows, num_rows: int) -> None:
        self._rows = rows
        count = min(num_rows, len(rows)) if num_rows else len(rows)
        self._chosen = (np.arange(count) * len(rows) // max(count, 1)).tolist()

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> TokenRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TokenRow]: ...
    def __getitem__(self, index: int | slice) -> TokenRow | Sequence[TokenRow]:
        """A row, or several."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return self._rows.record(self._chosen[index], epoch=_HELD_OUT_EPOCH)


def packed_rows(
    corpus: PreparedCorpus, documents: NDArray[np.int64], *, row_length: int, block_size: int, seed: int
) -> PackedRows:
    """Rows of these documents, cut where words start; of DNA any token starts one."""
    starts = corpus.load_tokenizer().word_starts
    shape = RowShape(row_length=row_length, block_size=block_size, whole_words=True)
    some = documents[corpus.num_tokens[documents] > 0]
    return PackedRows(corpus, some, shape, seed=seed, word_starts=starts)


def held_out_rows(
    corpus: PreparedCorpus, *, row_length: int, block_size: int, seed: int = 0, num_rows: int = 0
) -> HeldOutRows:
    """Rows of the held-out documents; num_rows 0 for all. What is masked depends on neither shape nor number."""
    if not corpus.is_held_out.any():
        raise DataError(
            f"the corpus {corpus.folder} holds out no documents, so nothing tells how good a model is. Prepare it with "
            f"--held-out SHARE or --hold-out NAME."
        )
    rows = packed_rows(corpus, corpus.held_out_documents, row_length=row_length, block_size=block_size, seed=seed)
    return HeldOutRows(rows, num_rows)


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """A corpus that `bigbird prepare` made.

    corpus          its folder
    row_length      tokens and special tokens of a row; no document's piece is longer
    block_size      of the model's attention pattern
    num_validation  rows of held-out documents that are scored during training, evenly spread; 0 for all
    """

    corpus: str = ""
    row_length: int = 4096
    block_size: int = 64
    num_validation: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_least(self, num_validation=0)
        RowShape(row_length=self.row_length, block_size=self.block_size)

    def open(self) -> Datasets:
        """See `DataConfig`."""
        if not self.corpus:
            raise ConfigError(
                "data.corpus is not set; give the folder of a prepared corpus, for example --set data.corpus=corpus"
            )
        corpus = PreparedCorpus.open(self.corpus)
        row_length, block_size, seed = self.row_length, self.block_size, self.seed
        return Datasets(
            packed_rows(corpus, corpus.train_documents, row_length=row_length, block_size=block_size, seed=seed),
            held_out_rows(
                corpus, row_length=row_length, block_size=block_size, seed=seed, num_rows=self.num_validation
            ),
            (),
            tuple,
            tokenizer=corpus.load_tokenizer(),
            block_size=self.block_size,
            longest=min(row_length, int(corpus.num_tokens.max(initial=0)) + NUM_SPECIAL),
            sha256=corpus.sha256,
        )
