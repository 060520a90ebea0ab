"""The documents of a corpus' sources, one after the other, and what they amount to."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bigbird import randomness
from bigbird.data.corpus_files import CorpusFile
from bigbird.data.documents import Document, read_documents
from bigbird.data.genome_documents import contig_of
from bigbird.data.prepare_config import PrepareConfig
from bigbird.data.unfinished import Counted
from bigbird.errors import ConfigError, DataError
from bigbird.tokenizers import clean_dna

log = logging.getLogger(__name__)

Advance = Callable[[int], None]  # told how many bytes or letters more are done


def _nothing(_: int) -> None:
    pass


def _holds_something(document: Document) -> bool:
    return bool(document.text) and not document.text.isspace()


@dataclass(frozen=True)
class CorpusReader:
    """Reads the files as `config` says; every time the same."""

    files: Sequence[CorpusFile]
    config: PrepareConfig

    def documents(self, advance: Advance = _nothing) -> Iterator[Document]:
        """All documents that hold something, marked as held out or not; `advance` is told the bytes of each file."""
        return (document for document in self._all_documents(advance) if _holds_something(document))

    def _all_documents(self, advance: Advance) -> Iterator[Document]:
        for file in self.files:
            for document in read_documents(file, self.config.reading):
                yield document._replace(held_out=self._is_held_out(document))
            advance(file.path.stat().st_size)

    def count(self, *, is_dna: bool, advance: Advance = _nothing) -> Counted:
        """Read everything once: faults are found before any work, and the amount of work is known.

        is_dna  every document must be DNA
        """
        unseen = {*self.config.hold_out, *self.config.regions}
        may_be_documents = set(self.config.hold_out)
        counts = {True: 0, False: 0}  # by whether held out
        letters = {True: 0, False: 0}
        empty: list[str] = []  # where they are
        for document in self._all_documents(advance):
            if not _holds_something(document):
                empty.append(document.where)
                continue
            if is_dna:
                clean_dna(document.text, source=document.where)
            if document.contig:
                unseen = {name for name in unseen if not contig_of(name, {document.contig})}
            unseen -= may_be_documents & {document.name}
            counts[document.held_out] += 1
            letters[document.held_out] += len(document.text)
        if empty:
            log.warning("%d documents without text are left out; the first is %s", len(empty), empty[0])
        self._check_counts(sum(counts.values()), counts[True], unseen)
        return Counted(
            num_documents=sum(counts.values()),
            num_held_out=counts[True],
            num_letters=sum(letters.values()),
            num_train_letters=letters[False],
        )

    def _is_held_out(self, document: Document) -> bool:
        """By its place, its name, or a number drawn for its name, which stays when other documents come and go."""
        config = self.config
        if document.held_out or document.name in config.hold_out:
            return True
        key = int.from_bytes(hashlib.sha256(document.name.encode()).digest()[:7])
        return bool(config.share and randomness.uniform(config.seed, key) < config.share)

    def _check_counts(self, documents: int, held_out: int, unseen: set[str]) -> None:
        if unseen:
            raise ConfigError(
                f"--hold-out or --region names {min(unseen)!r}, and the sources hold no such document or contig"
            )
        if not documents:
            raise DataError(f"the sources hold no documents: {', '.join(file.name for file in self.files[:3])}")
        if documents == 1 and (self.config.share or held_out):
            raise ConfigError(
                "the sources hold a single document, and what is trained on and what is held out must be two. Part it, "
                "for example at its chapters into files or lines of JSON, or add others."
            )
        if held_out == documents:
            raise ConfigError(f"all {documents} documents are held out; none would be left to train on")
        if not self.config.share and not held_out:
            log.warning(
                "no document is held out, so bigbird train will refuse the corpus: give --held-out or --hold-out"
            )
        if self.config.share and not held_out:
            raise ConfigError(
                f"--held-out {self.config.share} drew none of the {documents} documents. Give a larger share, name "
                f"some with --hold-out, or add documents."
            )
