"""Sequences to vectors: what the encoder makes of them, pooled over each record or token by token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from bigbird.checkpoint import LoadedModel
from bigbird.data.intervals import Interval
from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.model.encoder import encoder_of
from bigbird.representations.encoding import Window, encoded, record_windows
from bigbird.representations.layers import vectors_of_layer
from bigbird.tasks.windows import Strands

Pool = Literal["mean", "first", "max", "none"]
Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig:
    """Which vectors, and how they become one.

    pool     "mean": of all letters (bases), each with the vector of its token, unknown ones (N) left out;
             "max": the greatest of each number over the same tokens;  "first": that of [CLS];  "none": one per token
    layer    -1 the last, with the encoder's final norm; 0 the embeddings, 1 the first layer, …; -2 the last but one
    strands  "both": the mean of a pooled DNA record and its reverse complement, which then have one embedding

    A record longer than the model's window is read in windows that overlap by an eighth; each token counts once, in the
    window in which it lies further from the edge. "first" is then the mean of the windows, by their letters.
    """

    pool: Pool = "mean"
    layer: int = -1
    strands: Strands = "given"

    def __post_init__(self) -> None:
        for name, kind in {"pool": Pool, "strands": Strands}.items():
            if getattr(self, name) not in get_args(kind):
                raise ConfigError(f"{name} must be one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}")
        if self.pool == "none" and self.strands == "both":
            raise ConfigError(
                "strands 'both' averages pooled embeddings; the tokens of one strand (pool 'none') have no "
                "counterparts on the other. Use pool mean, max or first, or strands 'given'."
            )


class Embedded(NamedTuple):
    """Vectors of one record.

    starts, ends  int64 [rows], the characters of the record that each row stands for: all of them when pooled
    vectors       float32 [rows, hidden]; of a pooled record one row, else the tokens of one window
    """

    name: str
    interval: Interval | None
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    vectors: Vectors


def embeddings(loaded: LoadedModel, records: Iterable[Record], config: EmbeddingConfig) -> Iterator[Embedded]:
    """The vectors of each record, in order; read and given a few windows at a time.

    They depend on the record alone: not on its neighbours, nor on how many there are.
    """
    encoder = encoder_of(loaded.model)
    vectors = vectors_of_layer(encoder, config.layer)
    windows = record_windows(records, loaded, strands=config.strands)
    was_training = loaded.model.training
    loaded.model.eval()
    try:
        with torch.inference_mode():
            pairs = encoded(windows, encoder, vectors)
            yield from _tokens(pairs) if config.pool == "none" else _pooled(pairs, config.pool)
    finally:
        loaded.model.train(was_training)


def _tokens(pairs: Iterable[tuple[Window, Vectors]]) -> Iterator[Embedded]:
    for window, vectors in pairs:
        kept = window.kept
        yield Embedded(
            window.record.name,
            window.record.interval,
            window.tokens.starts[kept],
            window.tokens.ends[kept],
            vectors[kept],
        )


def _pooled(pairs: Iterable[tuple[Window, Vectors]], pool: Pool) -> Iterator[Embedded]:
    """Gather the windows of a record, which come one behind the other, and give it when its last one is there."""
    strands: dict[bool, _Pool] = {}
    for window, vectors in pairs:
        strands.setdefault(window.tokens.is_reversed, _Pool(pool, vectors.shape[1])).add(window, vectors)
        if window.is_last:
            mean = np.mean([strand.result() for strand in strands.values()], axis=0)
            places = np.array([0]), np.array([len(window.record.sequence)])
            yield Embedded(window.record.name, window.record.interval, *places, mean[None].astype(np.float32))
            strands = {}


class _Pool:
    """What the windows of one strand of a record come to."""

    def __init__(self, pool: Pool, width: int) -> None:
        self._pool = pool
        self._total, self._weight = np.zeros(width, np.float64), 0
        self._greatest = np.full(width, -np.inf)

    def add(self, window: Window, vectors: Vectors) -> None:
        """Count a window's own tokens by the known letters they stand for."""
        weights, own = window.weights, vectors[window.kept].astype(np.float64)
        if not weights.any():
            return
        if self._pool == "max":
            self._greatest = np.maximum(self._greatest, own[weights > 0].max(0))
        elif self._pool == "first":
            self._total += vectors[0].astype(np.float64) * weights.sum()
        else:
            self._total += (own * weights[:, None]).sum(0)
        self._weight += int(weights.sum())

    def result(self) -> NDArray[np.float64]:
        """One vector."""
        return self._greatest if self._pool == "max" else self._total / self._weight
