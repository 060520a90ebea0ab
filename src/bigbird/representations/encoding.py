"""Records cut into windows, and the encoder over them, a few windows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bigbird.attention import DocumentLayout
from bigbird.checkpoint import LoadedModel
from bigbird.data.records import Record
from bigbird.data.text_parts import in_parts
from bigbird.errors import DataError
from bigbird.model.encoder import Encoder
from bigbird.representations.layers import LayerVectors
from bigbird.tasks.base import MAX_TOKENS_PER_BATCH
from bigbird.tasks.windows import Strands, TokenWindow, windows_of
from bigbird.tokenizers import Encoding, TextTokenizer, Tokenizer, clean_dna, reverse_complement

_PART_TOKENS = 65_536  # DNA is made into tokens that many at a time: a chromosome's would fill the memory


class Window(NamedTuple):
    """A window of a record's tokens.

    kept     the tokens that count in this window; those at the edges count in its neighbours. Never [CLS] and [SEP]
    weights  int64 [kept tokens], the known letters each stands for
    is_last  the record has no more windows
    """

    record: Record
    tokens: TokenWindow
    kept: slice
    weights: NDArray[np.int64]
    is_last: bool


def record_windows(records: Iterable[Record], loaded: LoadedModel, *, strands: Strands) -> Iterator[Window]:
    """The windows of each record, one strand after the other."""
    tokenizer, max_length = loaded.tokenizer, min(loaded.task.max_length, loaded.encoder.max_length)
    is_text = isinstance(tokenizer, TextTokenizer)
    for record in records:
        source, text = f"record {record.name!r}", record.sequence
        letters = text if is_text else clean_dna(text, source=source).sequence
        encodings = _text_encodings(letters, tokenizer) if is_text else _dna_encodings(letters, tokenizer, strands)
        unknown = "" if is_text or not letters.strip("N") else "N"  # where nothing is known, all counts alike
        previous = None
        for tokens, kept in _cut(encodings, tokenizer, max_length, len(letters)):
            if previous is not None:
                yield previous
            previous = Window(record, tokens, kept, _weights(letters, tokens, kept, unknown), is_last=False)
        if previous is None:
            raise DataError(f"{source} holds no tokens; leave it out")
        yield previous._replace(is_last=True)


def encoded(
    windows: Iterable[Window], encoder: Encoder, vectors: LayerVectors
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Each window with its vectors, float32 [tokens, hidden]."""
    device = next(encoder.parameters()).device
    for batch in _in_batches(windows):
        lengths = tuple(len(window.tokens.token_ids) for window in batch)
        layout = DocumentLayout(lengths, encoder.config.pattern.block_size)
        token_ids = torch.from_numpy(np.concatenate([window.tokens.token_ids for window in batch])).to(device)
        rows = layout.unpack(vectors(layout.pack(token_ids), layout)).float().cpu().numpy()
        yield from zip(batch, np.split(rows, np.cumsum(lengths)[:-1]), strict=True)


def _in_batches(windows: Iterable[Window]) -> Iterator[list[Window]]:
    """Consecutive windows of together no more than MAX_TOKENS_PER_BATCH tokens."""
    batch: list[Window] = []
    for window in windows:
        if batch and sum(len(one.tokens.token_ids) for one in (*batch, window)) > MAX_TOKENS_PER_BATCH:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _cut(
    encodings: Iterable[tuple[Encoding, bool]], tokenizer: Tokenizer, max_length: int, length: int
) -> Iterator[tuple[TokenWindow, slice]]:
    overlap = max_length // 8
    for encoding, is_reversed in encodings:
        windows = list(windows_of(encoding, tokenizer, max_length, overlap, is_reversed=is_reversed, length=length))
        for number, window in enumerate(windows):
            first = 1 + (overlap // 2 if number else 0)
            is_end = number == len(windows) - 1
            yield window, slice(first, len(window.token_ids) - 1 - (0 if is_end else overlap - overlap // 2))


def _text_encodings(text: str, tokenizer: Tokenizer) -> Iterator[tuple[Encoding, bool]]:
    """The tokens of a text, in parts, with their places in it; none of them is on another strand."""
    return ((encoding, False) for encoding in _encoded_parts(in_parts(text), tokenizer))


def _dna_encodings(sequence: str, tokenizer: Tokenizer, strands: Strands) -> Iterator[tuple[Encoding, bool]]:
    """A record's tokens in parts, with their places on the record, and whether they are read on the other strand."""
    length, size = len(sequence), _PART_TOKENS * tokenizer.max_letters

    def parts(strand: str) -> Iterator[str]:
        return (strand[start : start + size] for start in range(0, length, size))

    yield from ((encoding, False) for encoding in _encoded_parts(parts(sequence), tokenizer))
    if strands == "both":
        for ids, starts, ends in _encoded_parts(parts(reverse_complement(sequence)), tokenizer):
            yield Encoding(ids, length - ends, length - starts), True


def _encoded_parts(parts: Iterable[str], tokenizer: Tokenizer) -> Iterator[Encoding]:
    start = 0
    for part in parts:
        encoding = tokenizer.encode_batch([part])[0]
        if len(encoding.ids):  # of white space alone nothing is left
            yield Encoding(encoding.ids, start + encoding.starts, start + encoding.ends)
        start += len(part)


def _weights(letters: str, tokens: TokenWindow, kept: slice, unknown: str) -> NDArray[np.int64]:
    places = zip(tokens.starts[kept].tolist(), tokens.ends[kept].tolist(), strict=True)
    widths = [end - start - (letters.count(unknown, start, end) if unknown else 0) for start, end in places]
    return np.array(widths, np.int64)
