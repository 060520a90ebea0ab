"""In-silico saturation mutagenesis: every base of a stretch to each other base, and what that does to the score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from bigbird.genomics.explain_target import Question, Target
from bigbird.genomics.log_odds import Reader
from bigbird.predictor import Predictor

BASES = "ACGT"
_SEQUENCES_AT_ONCE = 16

Watch = Callable[[Iterable["Change"], int], Iterable["Change"]]


class Change(NamedTuple):
    """A sequence that differs in one base: number of the base in the region, column of the result, and the sequence.

    place  where the score is read: one further left when a base before it is missing
    """

    base: int
    column: int
    sequence: str
    place: int


class Mutations(NamedTuple):
    """What changes of single bases do.

    effects    float32 [bases, 5, labels]: log odds with the base changed to A, C, G, T or left out, minus those of the
               sequence as it is. 0 for the base that is there; NaN where it is N, and for deletions that nobody asked
    reference  float32 [labels]: log odds of the sequence as it is
    """

    effects: NDArray[np.float32]
    reference: NDArray[np.float32]

    def importance(self, column: int) -> NDArray[np.float32]:
        """What each base does for a label: minus the mean effect of the three others, 0 where it is N. [bases]."""
        importance: NDArray[np.float32] = 0 - np.nan_to_num(self.effects[:, :4, column]).sum(1) / 3
        return importance


def mutations(
    predictor: Predictor,
    target: Target,
    question: Question,
    *,
    deletions: bool = False,
    watch: Watch = lambda changes, _: changes,
) -> Mutations:
    """Change each base of the target. `watch` may wrap the changed sequences as they are taken."""
    reader, num_labels = Reader(predictor.loaded), len(predictor.loaded.task.labels)
    effects = np.full((target.last - target.first, 5, num_labels), np.nan, np.float32)
    for number, base in enumerate(target.region):
        if base in BASES:
            effects[number, BASES.index(base)] = 0
    reference = _log_odds(predictor, reader, [Change(0, 0, target.sequence, question.place)])[0]
    count = sum(base in BASES for base in target.region) * (4 if deletions else 3)
    changes = iter(watch(_changes(target, question.place, deletions=deletions), count))
    while some := list(islice(changes, _SEQUENCES_AT_ONCE)):
        for change, values in zip(some, _log_odds(predictor, reader, some), strict=True):
            effects[change.base, change.column] = values - reference
    return Mutations(effects, reference)


def _changes(target: Target, place: int, *, deletions: bool) -> Iterator[Change]:
    sequence = target.sequence
    for number, old in enumerate(target.region):
        index = target.first + number
        before, behind = sequence[:index], sequence[index + 1 :]
        if old not in BASES:
            continue
        for column, base in enumerate(BASES):
            if base != old:
                yield Change(number, column, before + base + behind, place)
        if deletions:
            yield Change(number, 4, before + behind + target.beyond, place - (index < place))


def _log_odds(predictor: Predictor, reader: Reader, changes: list[Change]) -> NDArray[np.float32]:
    """float32 [changes, labels]"""
    model = predictor.loaded.model
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            prepared = reader.prepared([change.sequence for change in changes], [change.place for change in changes])
            log_odds: NDArray[np.float32] = reader.log_odds(*prepared).cpu().numpy()
            return log_odds
    finally:
        model.train(was_training)
