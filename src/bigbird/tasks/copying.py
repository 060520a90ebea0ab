"""How much of a summary could be copied at all out of the beginning of its document, before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from bigbird.tasks.rouge_words import rouge_words

_WORD = re.compile("[A-Za-z0-9]+")


def copyable(document: str, references: Sequence[str], ends: Sequence[int]) -> list[float]:
    """For each end the share of a reference's pairs of neighbouring words that stand in `document[:end]`.

        document "We sell it. They buy all of it today."    reference "they buy it"    ends 11, 37   →   0, 0.5

    About as high as the recall of ROUGE-2 gets for what copies phrases (only where two copied ones meet can chance add
    to it); words are not stemmed. Of several references the best counts; one without such pairs counts 0.
    """
    firsts = _first_ends(document)
    shares = [[_share(reference, firsts, end) for end in ends] for reference in references]
    return [max(column) for column in zip(*shares, strict=True)]


def _first_ends(document: str) -> dict[tuple[str, str], int]:
    """Where each pair of neighbouring words has stood for the first time, its last letter included."""
    firsts: dict[tuple[str, str], int] = {}
    for left, right in pairwise(_WORD.finditer(document)):
        firsts.setdefault((left[0].lower(), right[0].lower()), right.end())
    return firsts


def _share(reference: str, firsts: dict[tuple[str, str], int], end: int) -> float:
    pairs = list(pairwise(rouge_words(reference, stem=False)))
    return sum(firsts.get(pair, end + 1) <= end for pair in pairs) / len(pairs) if pairs else 0.0
