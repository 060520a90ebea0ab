r"""Documents and summaries as tokens, and tokens that a model wrote as text, line by line.

Pegasus      "It ends. \n They pay."   It ends. <n> They pay.        <n> stands for the end of a line
the others   "It ends. \n They pay."   it ends . they pay .          lines are not told apart
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.summaries import SummarizedDocument
from bigbird.errors import ConfigError, DataError
from bigbird.tasks.summary_scores import PEGASUS_NEWLINE
from bigbird.tokenizers import Encoding, TextTokenizer, Tokenizer

_WITH_TYPES = ("bert", "bigbird", "bigbird-repaired")


class Source(NamedTuple):
    """What is read of a document, special tokens around it.

    ids           int64 [length]
    starts, ends  int64 [length], characters of the document; empty, 0 to 0, for special tokens and for a query's
    token_types   int64 [length], None where the vocabulary's models know none
    num_left_out  tokens of the document's end that there was no room for
    """

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    token_types: NDArray[np.int64] | None
    num_left_out: int


def writer_tokenizer(tokenizer: Tokenizer) -> TextTokenizer:
    """The tokenizer, if it is one of text; raises else."""
    if not isinstance(tokenizer, TextTokenizer):
        raise ConfigError(
            f"summaries need a vocabulary of text, got {type(tokenizer).__name__}. Begin from a model that has one: "
            f"start=FOLDER."
        )
    return tokenizer


def first_and_last(tokenizer: TextTokenizer) -> tuple[int, int]:
    """The ids a summary is begun and ended with where no published model tells them.

    bert, roberta  [CLS], [SEP] (Rothe et al. 2020, BERT2BERT)      bigbird  <s>, </s>, as its original
    pegasus        <pad>, </s>, as transformers has it
    """
    names = {"pegasus": ("[PAD]", "[EOS]"), "bert": ("[CLS]", "[SEP]"), "roberta": ("[CLS]", "[SEP]")}
    first, last = names.get(tokenizer.family.name, ("[BOS]", "[EOS]"))
    return tokenizer.special_id(first), tokenizer.special_id(last)


def source_tokens(record: SummarizedDocument, tokenizer: TextTokenizer, *, most: int) -> Source:
    """Query, if there is one, and document; its end is left out where together they have more than `most` tokens."""
    document = _with_gaps(record, tokenizer)
    if not len(document.ids):
        raise DataError(f"document {record.name!r} holds no text that its vocabulary knows")
    query = _query(record.query, tokenizer) if record.query.strip() else None
    nothing = Encoding(*(column[:0] for column in document))
    room = most - len((tokenizer.join(nothing) if query is None else tokenizer.join(query, nothing)).ids)
    if room < 1:
        raise DataError(
            f"the query of document {record.name!r} leaves no room for the document in {most:,} tokens; shorten it"
        )
    begun = Encoding(*(column[:room] for column in document))
    left_out = len(document.ids) - len(begun.ids)
    tokens = tokenizer.join(begun) if query is None else tokenizer.join(query, begun)
    is_document = tokens.parts == (0 if query is None else 1)
    types = tokens.token_types if query is not None and tokenizer.family.name in _WITH_TYPES else None
    starts, ends = (np.where(is_document, column, 0) for column in (tokens.starts, tokens.ends))
    return Source(tokens.ids, starts, ends, types, left_out)


def _query(text: str, tokenizer: TextTokenizer) -> Encoding:
    """A query, told apart from the document by the end of a line where the family puts nothing between two texts."""
    tokens, mark = text_tokens(text, tokenizer), _end_of_line(tokenizer)
    if mark is None:
        return tokens
    return Encoding(*(np.concatenate(pair) for pair in zip(tokens, _one(mark, 0, 0), strict=True)))


def _with_gaps(record: SummarizedDocument, tokenizer: TextTokenizer) -> Encoding:
    """All of a document, with Pegasus' mask of sentences, or the family's mask, in each gap."""
    if not record.gaps:
        return text_tokens(record.document, tokenizer)
    mask = tokenizer.special_id("<mask_1>" if tokenizer.family.name == "pegasus" else "[MASK]")
    columns: list[Encoding] = []
    for number, (start, end) in enumerate(pairwise((0, *record.gaps, len(record.document)))):
        if number:
            columns.append(_one(mask, start, start))
        part = text_tokens(record.document[start:end], tokenizer)
        columns.append(Encoding(part.ids, part.starts + start, part.ends + start))
    return Encoding(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _one(token_id: int, start: int, end: int) -> Encoding:
    return Encoding(*(np.array([value], np.int64) for value in (token_id, start, end)))


def text_tokens(text: str, tokenizer: TextTokenizer) -> Encoding:
    """All of a text, its lines told apart where the vocabulary can; text that spells a special token is spelled out."""
    mark = _end_of_line(tokenizer)
    if mark is None:
        return tokenizer.encode_batch([text], read_symbols=False)[0]
    columns: list[Encoding] = []
    place = 0
    for line in text.splitlines(keepends=True):
        encoded = tokenizer.encode_batch([line], read_symbols=False)[0]
        columns.append(Encoding(encoded.ids, encoded.starts + place, encoded.ends + place))
        place += len(line)
        if place < len(text) and line.strip():
            columns.append(_one(mark, place - 1, place))
    if not columns:
        return tokenizer.encode_batch([text], read_symbols=False)[0]
    return Encoding(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def text_of(ids: Sequence[int], tokenizer: TextTokenizer) -> str:
    """What a model wrote, special tokens left out; a line for each that it told apart."""
    mark = _end_of_line(tokenizer)
    lines = (tokenizer.decode(line).strip() for line in _lines(ids, mark))
    return "\n".join(line for line in lines if line)


def _lines(ids: Sequence[int], mark: int | None) -> Iterator[list[int]]:
    for is_mark, line in groupby(ids, key=lambda one: one == mark):
        if not is_mark:
            yield list(line)


@lru_cache(maxsize=4)  # asked for every line; the vocabulary has 96,103 pieces
def _end_of_line(tokenizer: TextTokenizer) -> int | None:
    pieces = tokenizer.pieces
    return pieces.index(PEGASUS_NEWLINE) if tokenizer.family.name == "pegasus" and PEGASUS_NEWLINE in pieces else None
