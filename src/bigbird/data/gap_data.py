"""Runs that learn to write the sentences that were taken out of texts: Pegasus' pretraining, on any corpus."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from bigbird import randomness
from bigbird.data.corpus_files import find_files
from bigbird.data.documents import Document, Reading, read_documents
from bigbird.data.gap_sentences import GapSentences
from bigbird.data.sentences import Span, sentence_spans
from bigbird.data.sources import Datasets, check_least, check_seed
from bigbird.data.summaries import SummarizedDocument
from bigbird.errors import ConfigError, DataError

_CUT, _HELD_OUT = 0, 1  # keys of what is drawn
_MOST_SCORED = 200
_PAPER_GAPS = GapSentences(max_letters=1000)


@dataclass(frozen=True)
class GapSource:
    """Texts with gaps, other ones each epoch where something is drawn; of a long text a piece, another each time.

    max_letters  of a piece, which begins and ends with a sentence
    """

    documents: Sequence[Document]
    gaps: GapSentences
    max_letters: int
    seed: int = 0

    def __len__(self) -> int:
        return len(self.documents)

    def record(self, index: int, *, epoch: int) -> SummarizedDocument:
        """See `RecordSource`."""
        one = self.documents[index]
        draw = randomness.derived_seed(self.seed, epoch, index)
        text, spans = self._piece(one.text, draw)
        example = self.gaps.example(text, draw=draw, spans=spans)
        assert example is not None, "documents of one sentence were left out"
        return SummarizedDocument(
            document="".join(example.parts),
            summaries=(example.target,),
            gaps=tuple(accumulate(len(part) for part in example.parts[:-1])),
            name=one.name,
            draw=draw,
        )

    def _piece(self, text: str, draw: int) -> tuple[str, list[Span]]:
        """Consecutive sentences of at most max_letters letters, but two at least, and where they stand in them."""
        spans = sentence_spans(text)
        if len(text) <= self.max_letters:
            return text, spans
        starts, ends = ([span[side] for span in spans] for side in (0, 1))
        last_start = max(1, bisect_right(starts, max(0, ends[-1] - self.max_letters)))
        first = min(int(randomness.integers(0, last_start, draw, _CUT)), len(spans) - 2)
        begin = starts[first]
        last = max(bisect_right(ends, begin + self.max_letters) - 1, first + 1)
        return text[begin : ends[last]], [Span(start - begin, end - begin) for start, end in spans[first : last + 1]]


@dataclass(frozen=True, kw_only=True)
class GapData:
    """Texts in files that `bigbird prepare` reads too: .txt .md .rst .jsonl .parquet, or folders of them.

    sources       files and folders; of several a list: --set 'data.sources=["a", "b"]'
    text_field    of .jsonl and .parquet
    validation    share of the texts that are scored and not learned from, 200 at most, drawn by the seed
    max_letters   of a text at a time; some 5 letters are a token
    gaps          which sentences are taken out; 1,000 letters of them are about the 250 tokens that a decoder writes
    """

    sources: tuple[str, ...] = ()
    text_field: str = "text"
    validation: float = 0.05
    max_letters: int = 20_000
    gaps: GapSentences = _PAPER_GAPS
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_least(self, max_letters=200)
        if not 0 < self.validation < 1:
            raise ConfigError(f"data.validation must be a share between 0 and 1, got {self.validation}")

    def open(self) -> Datasets:
        """See `DataConfig`."""
        if not self.sources:
            raise ConfigError("data.sources is not set; give files or folders of texts: --set data.sources=texts")
        documents = list(self._documents())
        if len(documents) < 2:
            raise DataError(
                f"{', '.join(self.sources)}: {len(documents)} texts of two sentences or more; at least two are needed, "
                f"one to learn from and one to score"
            )
        num_scored = min(max(round(len(documents) * self.validation), 1), _MOST_SCORED, len(documents) - 1)
        order = randomness.permutation(len(documents), self.seed, _HELD_OUT).tolist()
        scored, learned = (
            [documents[place] for place in sorted(some)] for some in (order[:num_scored], order[num_scored:])
        )
        validation = GapSource(scored, self.gaps, self.max_letters, self.seed)
        return Datasets(
            GapSource(learned, self.gaps, self.max_letters, self.seed),
            [validation.record(index, epoch=0) for index in range(len(scored))],
            (),
            lambda: (one.text for one in learned),
        )

    def _documents(self) -> Iterator[Document]:
        reading = Reading(text_field=self.text_field)
        for file in find_files([Path(source) for source in self.sources]):
            if file.format == "fasta":
                raise DataError(f"{file.path} holds DNA, which has no sentences; give texts")
            yield from (one for one in read_documents(file, reading) if len(sentence_spans(one.text)) > 1)
