"""Cutting a record into windows of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.records import Record, other_strand
from bigbird.errors import ConfigError, DataError
from bigbird.tokenizers import Encoding, Tokenizer, clean_dna, reverse_complement

Strands = Literal["given", "both"]


class TokenWindow(NamedTuple):
    """Token ids with [CLS] and [SEP] around them, and the characters of the record each stands for."""

    token_ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    is_reversed: bool


def check_window(max_length: int, overlap: int) -> None:
    """Raise unless windows of `max_length` tokens that share `overlap` go forward."""
    if max_length < 3 or not 0 <= overlap < max_length - 2:
        raise ConfigError(
            f"max_length must be at least 3 tokens and overlap between 0 and max_length - 3, got max_length "
            f"{max_length} and overlap {overlap}"
        )


def most_bases(max_length: int, tokenizer: Tokenizer) -> int:
    """The longest DNA that can be one window of `max_length` tokens, [CLS] and [SEP] among them."""
    return (max_length - 2) * tokenizer.max_letters


def columns_of_other_strand(labels: Sequence[str]) -> list[int]:
    """Where each label's answer stands on the other strand: that of start+ at start-, others where they are."""
    others = [other_strand(label) for label in labels]
    return [labels.index(other if other in labels else own) for own, other in zip(labels, others, strict=True)]


def token_windows(
    record: Record, tokenizer: Tokenizer, *, max_length: int, overlap: int, strands: Strands
) -> Iterator[TokenWindow]:
    """Windows of at most `max_length` tokens; neighbours share `overlap`; all of one strand, then all of the other.

    t t t t t t t t t        max_length 6 (4 and two specials), overlap 1
    c t t t t s
          c t t t t s
                c t t t s
    """
    length, source = len(record.sequence), f"record {record.name!r}"
    if not length:
        raise DataError(f"{source} has an empty sequence; leave it out")
    sequence = clean_dna(record.sequence, source=source).sequence
    forward = tokenizer.encode_batch([sequence])[0]
    yield from windows_of(forward, tokenizer, max_length, overlap, is_reversed=False, length=length)
    if strands == "both":
        ids, starts, ends = tokenizer.encode_batch([reverse_complement(sequence)])[0]
        on_record = Encoding(ids, length - ends, length - starts)
        yield from windows_of(on_record, tokenizer, max_length, overlap, is_reversed=True, length=length)


def windows_of(
    encoding: Encoding, tokenizer: Tokenizer, max_length: int, overlap: int, *, is_reversed: bool, length: int
) -> Iterator[TokenWindow]:
    """The windows of one strand, whose tokens and places on the record of `length` characters `encoding` holds."""
    first, last = tokenizer.special_id("[CLS]"), tokenizer.special_id("[SEP]")
    size = max_length - 2
    for start in range(0, max(len(encoding.ids) - overlap, 1), size - overlap):
        part = slice(start, start + size)
        outer = (length, 0) if is_reversed else (0, length)
        yield TokenWindow(
            np.concatenate(([first], encoding.ids[part], [last])),
            np.concatenate(([outer[0]], encoding.starts[part], [outer[1]])),
            np.concatenate(([outer[0]], encoding.ends[part], [outer[1]])),
            is_reversed,
        )
