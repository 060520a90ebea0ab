"""The likeliest answers of a document out of the logits of all its windows together.

A window says how much likelier than "no answer here" a span is: its start and end logits less those of the first token.
That compares across windows, which plain logits do not: training moves each window's up and down as one. With at most
one answer in a document, the probabilities over all spans s of all windows and "none" are

    p(s) = exp(scale * odds(s)) / Z      p(none) = exp(offset) / Z      Z = exp(offset) + sum of exp(scale * odds(s))

A span that two windows hold counts once, in the window where its middle has more text on both sides:

    window 0   . . . . . . . a a b b            overlap of 4 tokens; the middle of a span lies left of its middle
    window 1                 a a b b . . .      (a, window 0) or right of it (b, window 1)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.tasks.answers import span_scores
from bigbird.tasks.base import Example

Floats = NDArray[np.float64]


class SpanAnswer(NamedTuple):
    """Characters [start, end) of the document, and the probability that they are the answer."""

    start: int
    end: int
    score: float


class SpanAnswers(NamedTuple):
    """What a reader says: answers that do not overlap, the best first, and the probability that there is none."""

    answers: tuple[SpanAnswer, ...]
    no_answer: float

    @property
    def best(self) -> SpanAnswer | None:
        """The likeliest answer, or None where "no answer" is likelier."""
        is_found = bool(self.answers) and self.answers[0].score >= self.no_answer
        return self.answers[0] if is_found else None


class Decoding(NamedTuple):
    """How probabilities and answers are made.

    top_k              most answers
    max_answer_tokens  longest answer
    scale, offset      see above; offset -inf where there is always an answer
    """

    top_k: int
    max_answer_tokens: int
    scale: float = 1.0
    offset: float = 0.0


def window_odds(example: Example, logits: Floats, limits: tuple[float, float], longest: int) -> Floats:
    """Log odds of every span that counts in a window, [tokens of the document, reach]; -inf for all others.

    logits  float64 [length, 2]
    limits  the middle of a span that counts lies in [first, second), in tokens of the document
    """
    places = np.flatnonzero(example.starts >= 0)
    part = slice(int(places[0]), int(places[-1]) + 1)
    may_answer = example.weights[part, None] > 0
    relative = np.where(may_answer, logits[part] - logits[0], -np.inf)
    odds = span_scores(relative[:, 0], relative[:, 1], longest)
    middle = example.first_token + np.arange(len(odds))[:, None] + np.arange(odds.shape[1]) / 2
    odds[(middle < limits[0]) | (middle >= limits[1])] = -np.inf
    return odds


def all_odds(windows: Sequence[tuple[Example, Floats]], longest: int) -> Iterator[tuple[Example, Floats]]:
    """Each window of a document with `window_odds`; windows in order, with the logits of each."""
    firsts = [example.first_token for example, _ in windows]
    behind = [example.first_token + int((example.starts >= 0).sum()) for example, _ in windows]
    cuts = [-np.inf, *((start + end - 1) / 2 for start, end in zip(firsts[1:], behind, strict=False)), np.inf]
    for (example, logits), low, high in zip(windows, cuts, cuts[1:], strict=False):
        yield example, window_odds(example, logits, (low, high), longest)


def decoded(windows: Sequence[tuple[Example, Floats]], decoding: Decoding) -> SpanAnswers:
    """The answers of one document; windows with their logits, float64 [length, 2]."""
    candidates: list[tuple[float, int, int]] = []
    totals = [decoding.offset]
    for example, odds in all_odds(windows, decoding.max_answer_tokens):
        scaled = odds * decoding.scale
        totals.append(log_sum(scaled))
        candidates += _best_of_window(example, scaled, decoding.top_k)
    total = log_sum(np.array(totals))
    if total == -np.inf:  # neither a span nor "none" may be the answer
        return SpanAnswers((), 0.0)
    found: list[SpanAnswer] = []
    for score, start, end in sorted(candidates, key=lambda one: (-one[0], one[1], one[2])):
        if len(found) < decoding.top_k and not any(start < other.end and other.start < end for other in found):
            found.append(SpanAnswer(start, end, float(np.exp(score - total))))
    return SpanAnswers(tuple(found), float(np.exp(decoding.offset - total)))


def log_sum(values: Floats) -> float:
    """Logarithm of the sum of exponentials; -inf of nothing but -inf."""
    highest = float(values.max(initial=-np.inf))
    return highest if highest == -np.inf else highest + float(np.log(np.exp(values - highest).sum()))


def _best_of_window(example: Example, odds: Floats, top_k: int) -> Iterator[tuple[float, int, int]]:
    """(log odds, start, end) of the best answer, then of the best that does not overlap it, and so on."""
    places = np.flatnonzero(example.starts >= 0)
    starts, ends = example.starts[places], example.ends[places]
    left, width = odds.copy(), odds.shape[1]
    for _ in range(top_k):
        first, reach = divmod(int(left.argmax()), width)
        score = float(left[first, reach])
        if score == -np.inf:
            return
        start, end = int(starts[first]), int(ends[first + reach])
        yield score, start, end
        taken = np.flatnonzero((starts < end) & (start < ends))  # two tokens may be parts of one character
        left[taken] = -np.inf
        for before in range(max(0, int(taken[0]) - width + 1), int(taken[0])):  # begins before, reaches into it
            left[before, int(taken[0]) - before :] = -np.inf
