"""How well hidden tokens were guessed: per window, per record or document, and in bits per letter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.packing import TokenRow
from bigbird.data.segment_pairs import PairRow
from bigbird.data.sources import Item
from bigbird.errors import DataError
from bigbird.tasks import metrics
from bigbird.tasks.metrics import Estimate


class OrderScore(NamedTuple):
    """Whether a pair's order was guessed right, and what it adds to the loss."""

    is_right: bool
    loss: float


class WindowScore(NamedTuple):
    """Hidden tokens of one window: their summed negative log-likelihood, the letters they stand for, their number.

    order  of a pair of segments
    """

    nats: float
    num_letters: int
    num_tokens: int
    order: OrderScore | None = None


class MaskedScore(NamedTuple):
    """How hard the hidden tokens of a record or of a row were to guess; of a row each piece is a window."""

    windows: tuple[WindowScore, ...]

    @property
    def nats(self) -> float:
        """Summed negative log-likelihood of the hidden tokens."""
        return math.fsum(window.nats for window in self.windows)

    @property
    def num_letters(self) -> int:
        """Letters (bases) the hidden tokens stand for."""
        return sum(window.num_letters for window in self.windows)

    @property
    def num_tokens(self) -> int:
        """How many tokens were hidden."""
        return sum(window.num_tokens for window in self.windows)

    @property
    def orders(self) -> list[OrderScore]:
        """Of its pairs."""
        return [window.order for window in self.windows if window.order is not None]


class DocumentScores(NamedTuple):
    """One entry per record, or per document of a corpus in the order they first come.

    numbers  int64 [documents], of the record or of the document in its corpus
    names    of the documents
    nats     float64 [documents]
    letters  int64 [documents]
    """

    numbers: NDArray[np.int64]
    names: tuple[str, ...]
    nats: NDArray[np.float64]
    letters: NDArray[np.int64]


def by_document(predictions: Sequence[MaskedScore], items: Sequence[Item]) -> DocumentScores:
    """Windows of one document put together, wherever its pieces lay; a pair counts for the document of its first part.

    `items` are all records or all rows.
    """
    windows: dict[int, list[WindowScore]] = {}
    names: dict[int, str] = {}
    for number, (prediction, item) in enumerate(zip(predictions, items, strict=True)):
        if isinstance(item, TokenRow | PairRow):
            pieces = item.pieces if isinstance(item, TokenRow) else [pair.first for pair in item.pairs]
            for window, piece in zip(prediction.windows, pieces, strict=True):
                windows.setdefault(piece.document, []).append(window)
                names[piece.document] = piece.name
        else:
            windows[number], names[number] = list(prediction.windows), item.name
    scores = [MaskedScore(tuple(some)) for some in windows.values()]
    return DocumentScores(
        np.array(list(windows), np.int64),
        tuple(names.values()),
        np.array([score.nats for score in scores], np.float64),
        np.array([score.num_letters for score in scores], np.int64),
    )


def bits_per_letter(nats: NDArray[np.float64], letters: NDArray[np.int64]) -> float:
    """Negative log-likelihood in bits per character or base; NaN when no letter was hidden."""
    return float(nats.sum() / letters.sum() / math.log(2)) if letters.sum() else math.nan


def estimate(documents: DocumentScores) -> Estimate:
    """Bits per letter, with an interval over documents."""
    return metrics.bootstrap(bits_per_letter, documents.nats, documents.letters)


def order_accuracy(predictions: Sequence[MaskedScore]) -> Estimate:
    """Share of pairs whose order was guessed right, with an interval over pairs."""
    is_right = np.array([order.is_right for prediction in predictions for order in prediction.orders], np.float64)
    return metrics.bootstrap(lambda some: float(np.mean(some)), is_right)


def difference(one: DocumentScores, other: DocumentScores) -> Estimate:
    """Bits per letter of `one` less those of `other` on the same documents, in any order, with a paired interval."""
    here, there = np.argsort(one.numbers), np.argsort(other.numbers)
    if not np.array_equal(one.numbers[here], other.numbers[there]):
        raise DataError(
            f"a difference needs scores of the same documents, got {len(one.numbers)} and {len(other.numbers)} that "
            f"differ; score both models on one corpus"
        )

    def less(*columns: NDArray[np.generic]) -> float:
        nats, letters, other_nats, other_letters = (np.asarray(column) for column in columns)
        return bits_per_letter(nats, letters) - bits_per_letter(other_nats, other_letters)

    return metrics.bootstrap(less, one.nats[here], one.letters[here], other.nats[there], other.letters[there])
