"""Writing texts with a decoder: one per document, or several, whole or as they come.

    written = generate(model.begin(encoded, layout), GenerationConfig(start_token=2, end_token=1, max_new_tokens=256))
    written[0][0].token_ids    the best text of the first document

What is written for a document depends on that document's own rows alone: each has its own search, a finished one
leaves the batch, and random numbers are made from keys (`bigbird.randomness`).

    generation_config   what can be asked for         beam_search, token_by_token   the two searches
    token_rules         what may follow a text        sampling, ranking             drawing; the highest scores
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bigbird.errors import ConfigError, InputError, ShapeError
from bigbird.model.beam_search import BeamSearch
from bigbird.model.generation_config import GenerationConfig
from bigbird.model.token_by_token import TokenByToken
from bigbird.model.written import Written


class Decoding(Protocol):
    """Texts in the making, one per row, and the model that goes on with them."""

    @property
    def documents(self) -> Tensor:
        """int64 [rows], the document that each row is written for; at first one row per document, in order."""

    def step(self, token_ids: Tensor) -> Tensor:
        """int64 [rows], the token written last in each row -> float32 logits [rows, vocab] of the one that follows."""

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, int64 [new rows]. One may stand several times (beams) or not at all."""


class _Search(Protocol):
    @property
    def num_rows(self) -> int: ...
    def advance(self, logits: Tensor) -> list[tuple[int, int]]: ...
    def certain(self) -> tuple[int, ...]: ...
    def results(self) -> list[Written]: ...


@dataclass(frozen=True)
class Piece:
    """What became certain of one document's text in one step.

    document   its place in the batch
    token_ids  the next tokens of the text; never the start or the end token
    written    the whole text, in its document's last piece alone
    """

    document: int
    token_ids: tuple[int, ...]
    written: Written | None = None


def generate(
    decoding: Decoding, config: GenerationConfig, *, document_keys: Sequence[int] | None = None
) -> list[list[Written]]:
    """Per document its texts: beams the best first, draws by their number.

    decoding       at its beginning; it is used up
    document_keys  a whole number per document that the random numbers are made from, for example its place in all of
                   the input: equal keys, equal draws. Needed when config.sampling is set and read only then

    There are num_return_sequences texts each; fewer where the rules leave fewer. Raises ConfigError, InputError or
    ShapeError where config, scores or decoding do not fit.
    """
    searches = _searches(decoding, config, document_keys)
    for _ in _steps(decoding, config, searches):
        pass
    return [search.results() for search in searches]


def stream(
    decoding: Decoding, config: GenerationConfig, *, document_keys: Sequence[int] | None = None
) -> Iterator[Piece]:
    """The texts of `generate` piece by piece, as soon as no later step can change them.

    A document's pieces side by side are its text; its last piece holds the `Written`. Greedy and drawn texts come
    token by token; with beams a token comes when all live beams, and the best text that has ended, begin with it.
    """
    if config.num_return_sequences > 1:
        raise ConfigError(
            f"one text per document can be streamed, got num_return_sequences {config.num_return_sequences}; set it to "
            "1, or call generate"
        )
    searches = _searches(decoding, config, document_keys)
    return _pieces(searches, _steps(decoding, config, searches))


def _pieces(searches: list[_Search], steps: Iterator[list[int]]) -> Iterator[Piece]:
    num_shown = [0] * len(searches)
    for advanced in steps:
        for document in advanced:
            search = searches[document]
            written = None if search.num_rows else search.results()[0]
            certain = search.certain() if written is None else written.token_ids
            piece = Piece(document, certain[num_shown[document] :], written)
            num_shown[document] = len(certain)
            if piece.token_ids or written is not None:
                yield piece


def _searches(decoding: Decoding, config: GenerationConfig, document_keys: Sequence[int] | None) -> list[_Search]:
    if min(config.start_token, config.end_token) < 0:
        raise ConfigError(
            f"start_token and end_token must be tokens of the model, got {config.start_token} and {config.end_token}"
        )
    documents = decoding.documents.tolist()
    if documents != list(range(len(documents))):
        raise InputError(f"a decoding must have one row per document, in order; its rows are of documents {documents}")
    if document_keys is None and config.sampling is not None:
        raise ConfigError(
            "sampling needs document_keys, a whole number per document, for example its place in the input: random "
            "numbers are made from it, so that a document is written alike in any batch"
        )
    keys = [0] * len(documents) if document_keys is None else document_keys
    if len(keys) != len(documents):
        raise ShapeError(f"document_keys must be one per document, {len(documents)}, got {len(keys)}")
    if config.num_beams > 1:
        return [BeamSearch(config) for _ in documents]
    return [TokenByToken(config, key) for key in keys]


def _steps(decoding: Decoding, config: GenerationConfig, searches: list[_Search]) -> Iterator[list[int]]:
    """Write until every search has ended; yields the documents that took each step."""
    device = decoding.documents.device
    first_rows = [document for document, search in enumerate(searches) for _ in range(search.num_rows)]
    token_ids = [config.start_token] * len(first_rows)
    _select(decoding, first_rows, device=device)
    live = list(range(len(searches)))
    while live:
        logits = _logits(decoding, token_ids, config, device=device)
        rows: list[int] = []
        token_ids = []
        first = 0
        for document in live:
            search = searches[document]
            num_rows = search.num_rows
            for row, token in search.advance(logits[first : first + num_rows]):
                rows.append(first + row)
                token_ids.append(token)
            first += num_rows
        advanced, live = live, [document for document in live if searches[document].num_rows]
        yield advanced
        if live:
            _select(decoding, rows, device=device)


@torch.no_grad()
def _logits(decoding: Decoding, token_ids: list[int], config: GenerationConfig, *, device: torch.device) -> Tensor:
    logits = decoding.step(torch.tensor(token_ids, device=device))
    if logits.shape[:-1] != (len(token_ids),) or logits.dtype != torch.float32:
        raise ShapeError(
            f"step must return float32 logits [{len(token_ids)}, vocab], got {logits.dtype} {list(logits.shape)}"
        )
    if config.end_token >= logits.shape[1]:
        raise ConfigError(f"end_token must be one of the model's {logits.shape[1]} tokens, got {config.end_token}")
    return logits


@torch.no_grad()
def _select(decoding: Decoding, rows: list[int], *, device: torch.device) -> None:
    if rows != list(range(len(decoding.documents))):  # nothing to move otherwise
        decoding.select(torch.tensor(rows, device=device))
