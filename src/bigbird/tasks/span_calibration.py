"""Probabilities of answers that hold what they say: a temperature and an offset for "no answer", fitted on questions
that the reader has not learned from.

A reader sees one window at a time, most of them with an answer; asked about a whole document it is too sure, or sure of
too much. Of all temperatures and offsets those are taken under which what is true was likeliest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bigbird.data.questions import Question
from bigbird.errors import DataError
from bigbird.tasks.base import Example
from bigbird.tasks.characters import covering
from bigbird.tasks.span_decoding import Floats, all_odds
from bigbird.tasks.span_qa import SpanQA
from bigbird.tokenizers import Tokenizer

_LEAST, _MOST, _WIDTH = -40.0, 40.0, 0.05  # of log odds; what lies outside counts as at the ends
_CENTRES = np.arange(_LEAST, _MOST, _WIDTH) + _WIDTH / 2
_SCALES, _OFFSETS = (0.05, 20.0), (-20.0, 20.0)
_STEPS, _ROUNDS = 17, 6  # of the search, each round on a finer grid around the best


class Spread(NamedTuple):
    """What of a question's spans the search needs.

    counts  float64 [bins], how many spans have such log odds
    right   float64 [any], log odds of the spans that are right; empty where "no answer" is
    """

    counts: Floats
    right: Floats


class Fit(NamedTuple):
    """Settings for `SpanQA`, and the mean negative log-likelihood of the truth in nats with and without them."""

    temperature: float
    no_answer_offset: float
    nats: float
    nats_before: float


def calibrate(
    questions: Iterable[Question], *, model: nn.Module, task: SpanQA, tokenizer: Tokenizer, block_size: int
) -> Fit:
    """Fit on questions whose answers are known. Those of which no answer can be given by this task are left out."""
    spreads: list[Spread] = []
    num_questions = 0
    for question in questions:
        num_questions += 1
        with torch.inference_mode():
            examples = task.encode(question, tokenizer, purpose="predict")
            logits = task.logits(model, examples, block_size=block_size)
        spread = spread_of(list(zip(examples, logits, strict=True)), question, task)
        if len(spread.right) or question.is_impossible:
            spreads.append(spread)
    if not spreads:
        raise DataError(
            f"none of the {num_questions} questions has an answer that the reader could give, so nothing can be "
            f"fitted; give questions with answers of at most {task.max_answer_tokens} tokens"
        )
    return fitted(spreads, none_allowed=task.none_allowed)


def spread_of(windows: Sequence[tuple[Example, Floats]], question: Question, task: SpanQA) -> Spread:
    """Of one question, from its windows and their logits."""
    counts, right = np.zeros(len(_CENTRES)), []
    for example, odds in all_odds(windows, task.max_answer_tokens):
        finite = odds[odds > -np.inf]
        place = np.clip((finite - _LEAST) / _WIDTH, 0, len(_CENTRES) - 1).astype(np.int64)
        counts += np.bincount(place, minlength=len(_CENTRES))
        inside = np.flatnonzero(example.starts >= 0)
        starts, ends = example.starts[inside], example.ends[inside]
        for start, end in question.answers:
            first, last = covering(starts, ends, start, end)
            if first < len(odds) and 0 <= last - first < odds.shape[1] and odds[first, last - first] > -np.inf:
                right.append(float(odds[first, last - first]))
    return Spread(counts, np.array(right))


def fitted(spreads: Sequence[Spread], *, none_allowed: bool) -> Fit:
    """The temperature and offset that make the truth likeliest."""
    low, high = np.log(_SCALES)
    scales, offsets = (low + high) / 2, 0.0
    reach, around = (high - low) / 2, (_OFFSETS[1] - _OFFSETS[0]) / 2 if none_allowed else 0.0
    for _ in range(_ROUNDS):
        some_scales = np.clip(np.linspace(scales - reach, scales + reach, _STEPS), low, high)
        some_offsets = np.clip(
            np.linspace(offsets - around, offsets + around, _STEPS if none_allowed else 1), *_OFFSETS
        )
        nats = mean_nats(spreads, np.exp(some_scales), some_offsets if none_allowed else np.array([-np.inf]))
        row, column = divmod(int(nats.argmin()), nats.shape[1])
        scales, offsets = float(some_scales[row]), float(some_offsets[column])
        reach, around = 2 * reach / (_STEPS - 1), 2 * around / (_STEPS - 1)
    before = mean_nats(spreads, np.ones(1), np.array([0.0 if none_allowed else -np.inf]))
    return Fit(float(np.exp(-scales)), offsets, float(nats.min()), float(before[0, 0]))


def mean_nats(spreads: Sequence[Spread], scales: Floats, offsets: Floats) -> Floats:
    """Minus the mean log-likelihood of the truth under every scale and offset: [scales, offsets]."""
    total: NDArray[np.float64] = np.zeros((len(scales), len(offsets)))
    for counts, right in spreads:
        filled = np.flatnonzero(counts)
        each = np.log(counts[filled])[None, :] + scales[:, None] * _CENTRES[filled]
        spans = np.logaddexp.reduce(each, axis=1)[:, None]
        of_truth = np.logaddexp.reduce(scales[:, None] * right, axis=1)[:, None] if len(right) else offsets[None, :]
        total += np.logaddexp(spans, offsets) - of_truth
    return total / len(spreads)
