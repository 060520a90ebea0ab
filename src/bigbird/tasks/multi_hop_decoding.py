"""Answers with their supporting sentences out of what a model says of all windows of a document.

- The kind of the answer is the likeliest of the three, by the mean of the windows' probabilities: a window that lacks
  the evidence cannot know, says so by a probability in between, and so does not outvote one that has it.
- A span is the likeliest of all windows together, see `span_decoding`.
- A sentence's log odds are the mean of those in the windows where it counts, see `multi_hop_windows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bigbird.data.multi_hop_questions import Fact, MultiHopQuestion
from bigbird.tasks.base import Example
from bigbird.tasks.multi_hop_scores import MultiHopAnswer
from bigbird.tasks.multi_hop_windows import KINDS, sentences_of
from bigbird.tasks.span_decoding import Decoding, Floats, SpanAnswer, decoded


class SentenceScore(NamedTuple):
    """A sentence by its number among the question's, and the probability that it supports the answer."""

    number: int
    score: float


class MultiHopReading(NamedTuple):
    """What a reader says to a question.

    yes_no      "yes" or "no" where that is the answer, else ""
    score       probability of the answer: of "yes" or "no", or of the span
    span        the likeliest span, with its probability if the answer is one; None where the answer is "yes" or "no"
    sentences   every sentence that has tokens, in order
    supporting  those of them that are said to support the answer
    """

    yes_no: str
    score: float
    span: SpanAnswer | None
    sentences: tuple[SentenceScore, ...]
    supporting: tuple[SentenceScore, ...]

    def answer_to(self, question: MultiHopQuestion) -> MultiHopAnswer:
        """In words, and the sentences by title and number."""
        text = question.asked.document[self.span.start : self.span.end] if self.span else self.yes_no
        return MultiHopAnswer(text, tuple(self.facts(question)))

    def facts(self, question: MultiHopQuestion) -> dict[Fact, float]:
        """The supporting sentences by title and number, with the probability of each."""
        return {question.sentences[number].fact: score for number, score in self.supporting}


class WindowLogits(NamedTuple):
    """What the model says of a window.

    ends     float64 [length, 2]
    kinds    float64 [3], of `KINDS`
    support  float64 [sentences that count], as `sentences_of` names them
    """

    ends: Floats
    kinds: Floats
    support: Floats


def reading(
    windows: Sequence[tuple[Example, WindowLogits]],
    *,
    max_answer_tokens: int,
    support_threshold: float,
    least_support: int,
) -> MultiHopReading:
    """The answer to one question, from its windows in order; the rest as in `MultiHopQA`."""
    kinds = np.mean([_softmax(logits.kinds) for _, logits in windows], axis=0)
    best = int(kinds.argmax())
    spans = decoded([(example, logits.ends) for example, logits in windows], Decoding(1, max_answer_tokens, 1, -np.inf))
    is_span = KINDS[best] == "span"
    sentences = _sentences(windows)
    return MultiHopReading(
        "" if is_span else KINDS[best],
        float(kinds[best]) * (spans.answers[0].score if is_span else 1.0),
        spans.answers[0] if is_span else None,
        sentences,
        chosen(sentences, support_threshold, least_support),
    )


def chosen(sentences: Sequence[SentenceScore], threshold: float, least: int) -> tuple[SentenceScore, ...]:
    """Those at the threshold or above; where these are fewer than `least`, so many of the likeliest. In order."""
    ranked = sorted(sentences, key=lambda one: (-one.score, one.number))
    num_above = sum(one.score >= threshold for one in sentences)
    return tuple(sorted(ranked[: max(num_above, least)]))


def _sentences(windows: Sequence[tuple[Example, WindowLogits]]) -> tuple[SentenceScore, ...]:
    said: dict[int, list[float]] = {}
    for example, logits in windows:
        for number, log_odds in zip(sentences_of(example).tolist(), logits.support.tolist(), strict=True):
            said.setdefault(number, []).append(log_odds)
    return tuple(SentenceScore(number, _sigmoid(float(np.mean(said[number])))) for number in sorted(said))


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    shares: Floats = powers / powers.sum()
    return shares


def _sigmoid(log_odds: float) -> float:
    return float(np.exp(-np.logaddexp(0, -log_odds)))
