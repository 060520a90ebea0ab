"""Answers out of the start and end logits of a document's windows; NumPy alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class AnswerWindow(NamedTuple):
    """What a model says of one window.

    start_logits, end_logits  float64 [length]
    no_answer                 place of the token that stands for "no answer", the first of the window
    first                     place of the window's first token of the context; they stand one behind the other
    offsets                   int64 [tokens of the context, 2]: the characters that each covers in the document
    """

    start_logits: NDArray[np.float64]
    end_logits: NDArray[np.float64]
    no_answer: int
    first: int
    offsets: NDArray[np.int64]

    @property
    def places(self) -> slice:
        """Where the context stands."""
        return slice(self.first, self.first + len(self.offsets))


def best_answers(
    context: str,
    windows: Sequence[AnswerWindow],
    *,
    top_k: int,
    max_answer_length: int,
    may_be_impossible: bool,
) -> list[dict[str, Any]]:
    """The `top_k` likeliest answers, the best first; fewer where there are not so many.

    An answer is one or more tokens of the context in one window, at most `max_answer_length`. Its score is
    p(start) * p(end), each a softmax over the context of all windows together (and, if there may be no answer, each
    window's token for that). An answer that several windows see is one answer, with its best score.
    """
    starts = _log_probabilities([window.start_logits for window in windows], windows, may_be_impossible)
    ends = _log_probabilities([window.end_logits for window in windows], windows, may_be_impossible)
    scores: dict[tuple[int, int], float] = {}
    for window, start, end in zip(windows, starts, ends, strict=True):
        for place, score in _best_of_window(context, window, start, end, top_k, max_answer_length):
            scores[place] = max(score, scores.get(place, -np.inf))
    if may_be_impossible:  # there is no answer if no window has one, so the least sure of that decides
        scores[0, 0] = min(
            float(s[w.no_answer] + e[w.no_answer]) for w, s, e in zip(windows, starts, ends, strict=True)
        )
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:top_k]
    return [
        {"score": float(np.exp(score)), "start": start, "end": end, "answer": context[start:end]}
        for (start, end), score in ranked
    ]


def span_scores(start: NDArray[np.float64], end: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """The sum for every span of at most `longest` tokens, [tokens, reach]: from token i to token i + reach.

    start, end  float64 [tokens]; -inf where none may start or end, as for spans beyond the last token
    """
    width = min(longest, len(start))
    behind = np.pad(end, (0, width - 1), constant_values=-np.inf)
    sums: NDArray[np.float64] = start[:, None] + np.lib.stride_tricks.sliding_window_view(behind, width)
    return sums


def _log_probabilities(
    logits: list[NDArray[np.float64]], windows: Sequence[AnswerWindow], may_be_impossible: bool
) -> list[NDArray[np.float64]]:
    """Logarithm of the softmax over all places of all windows where an answer may be; -inf elsewhere."""
    masked = [np.full_like(values, -np.inf) for values in logits]
    for out, values, window in zip(masked, logits, windows, strict=True):
        out[window.places] = values[window.places]
        if may_be_impossible:
            out[window.no_answer] = values[window.no_answer]
    highest = max(float(values.max()) for values in masked)
    if highest == -np.inf:  # the model allows no place at all
        return masked
    total = sum(float(np.exp(values - highest).sum()) for values in masked)
    return [values - highest - np.log(total) for values in masked]


def _best_of_window(
    context: str,
    window: AnswerWindow,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    top_k: int,
    max_answer_length: int,
) -> Iterator[tuple[tuple[int, int], float]]:
    """The window's best answers with their scores, until `top_k` are distinct; no other is among those of all."""
    scores = span_scores(start[window.places], end[window.places], max_answer_length)
    width = scores.shape[1]
    found: set[tuple[int, int]] = set()
    for cell in np.argsort(-scores, axis=None, kind="stable"):
        first, reach = divmod(int(cell), width)
        if scores[first, reach] == -np.inf or len(found) == top_k:
            return
        place = _stripped(context, int(window.offsets[first, 0]), int(window.offsets[first + reach, 1]))
        if place is not None:
            found.add(place)
            yield place, float(scores[first, reach])


def _stripped(context: str, start: int, end: int) -> tuple[int, int] | None:
    """Without the blanks around it, which some tokenizers count to a word; None if nothing else is there."""
    text = context[start:end]
    if not text.strip():
        return None
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())
