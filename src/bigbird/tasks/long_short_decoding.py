"""The likeliest long and short answer of a page out of the logits of all its windows.

Each window says how much likelier than "nothing here" a place is: its logit less that of the first token, which
compares across windows. So does its kind, less that of "null".

    long answer    odds(start) + odds(end) + odds(any kind but null), in the window that shows the candidate best
    short answer   odds(start) + odds(end) + odds(short), of the spans inside that candidate, in any window
    yes, no        in its place where the candidate's window finds it likelier than "short": odds(yes) and the long
                   answer's start and end
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.long_short_questions import LongShortQuestion
from bigbird.data.questions import AnswerSpan
from bigbird.tasks.base import Example
from bigbird.tasks.long_short_scores import LongShortAnswer
from bigbird.tasks.long_short_windows import KINDS, LONG, SHORT, best_window
from bigbird.tasks.span_decoding import all_odds, log_sum

Floats = NDArray[np.float64]

_NULL, _, _SHORT, _YES, _NO = range(len(KINDS))


class WindowLogits(NamedTuple):
    """What a model says of a window.

    ends   float64 [length, 4]: start and end of a short answer, start and end of the long one
    kinds  float64 [KINDS]
    """

    ends: Floats
    kinds: Floats


class LongShortReading(NamedTuple):
    """The best answers of a page, however unlikely; whether they count is for a threshold of their scores to say.

    long   number of the candidate, None where there is none to choose
    short  characters of the document, None where there are none, or where the answer is yes or no
    scores log odds against no answer
    """

    long: int | None = None
    short: AnswerSpan | None = None
    yes_no: str = ""
    long_score: float = 0.0
    short_score: float = 0.0

    def answer_to(self, question: LongShortQuestion) -> LongShortAnswer:
        """As the official score takes it: in tokens of the question's page."""
        return LongShortAnswer(
            None if self.long is None else question.candidates[self.long],
            () if self.short is None else (question.tokens(self.short),),
            self.yes_no,
            self.long_score,
            self.short_score,
        )


def reading_of_page(windows: Sequence[tuple[Example, WindowLogits]], *, max_answer_tokens: int) -> LongShortReading:
    """The answers of one page; its windows in order, with the logits of each."""
    spans = _candidates([example for example, _ in windows])
    if not spans:
        return LongShortReading()
    places, room = [example.first_token for example, _ in windows], max(_num_tokens(e) for e, _ in windows)
    chosen = {number: best_window(span, places, room) for number, span in spans.items()}
    odds = {number: _long_odds(*windows[chosen[number]], span) for number, span in spans.items()}
    kinds = [logits.kinds - logits.kinds[_NULL] for _, logits in windows]
    scores = {number: odds[number] + log_sum(kinds[chosen[number]][1:]) for number in spans}
    best = max(scores, key=lambda number: (scores[number], -number))
    own = kinds[chosen[best]]
    told = _YES if own[_YES] >= own[_NO] else _NO
    score, short = _best_short(windows, kinds, spans[best], max_answer_tokens)
    if short is None or own[told] > own[_SHORT]:
        return LongShortReading(best, None, KINDS[told], scores[best], odds[best] + float(own[told]))
    return LongShortReading(best, short, "", scores[best], score)


def _candidates(examples: Sequence[Example]) -> dict[int, tuple[int, int]]:
    """First and last token of each candidate, by number; windows together show all tokens of a page."""
    found: dict[int, tuple[int, int]] = {}
    for example in examples:
        assert example.bins is not None
        bins = example.bins[example.starts >= 0]
        numbers, firsts, sizes = np.unique(bins, return_index=True, return_counts=True)  # those of one are neighbours
        for number, begin, size in zip(numbers.tolist(), firsts.tolist(), sizes.tolist(), strict=True):
            own = example.first_token + begin
            first, last = found.get(number, (own, own))
            found[number] = (min(first, own), max(last, own + size - 1))
    found.pop(-1, None)
    return found


def _num_tokens(example: Example) -> int:
    return int((example.starts >= 0).sum())


def _long_odds(example: Example, logits: WindowLogits, span: tuple[int, int]) -> float:
    """Start and end of a candidate; one that goes on behind the window ends where that does."""
    places = np.flatnonzero(example.starts >= 0)
    first, last = (min(int(places[0]) + token - example.first_token, int(places[-1])) for token in span)
    long = logits.ends[:, LONG] - logits.ends[0, LONG]
    return float(long[first, 0] + long[last, 1])


def _best_short(
    windows: Sequence[tuple[Example, WindowLogits]], kinds: Sequence[Floats], within: tuple[int, int], longest: int
) -> tuple[float, AnswerSpan | None]:
    """The best span of tokens inside a candidate, with its score; None where there is none."""
    found: tuple[float, AnswerSpan | None] = (-np.inf, None)
    pairs = [(example._replace(weights=example.weights[:, 0]), logits.ends[:, SHORT]) for example, logits in windows]
    for (example, odds), kind in zip(all_odds(pairs, longest), kinds, strict=True):
        first = example.first_token + np.arange(len(odds))[:, None]
        last = first + np.arange(odds.shape[1])
        inside = np.where((first >= within[0]) & (last <= within[1]), odds, -np.inf)
        place, reach = divmod(int(inside.argmax()), inside.shape[1])
        score = float(inside[place, reach] + kind[_SHORT])
        if score > found[0]:
            context = int(np.flatnonzero(example.starts >= 0)[0]) + place
            found = (score, AnswerSpan(int(example.starts[context]), int(example.ends[context + reach])))
    return found
