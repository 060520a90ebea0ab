r"""Summaries out of a document's own sentences: what a written one has to beat.

    document "It rains. Birds fear cats.  Why?"    lead(…, 2)  →  (0, 9), (10, 26)  →  "It rains.\nBirds fear cats."

Sentences are given as places in the document, in its order, without the blanks around them; `on_lines` makes a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bigbird.data.sentences import Span, sentence_spans
from bigbird.errors import ConfigError, require
from bigbird.tasks.metrics import Floats
from bigbird.tasks.rouge_words import EXTRA

THRESHOLD = 0.1  # of cosines; the best of those that Erkan & Radev 2004 tried
DAMPING = 0.15  # section 3.2 there: "typically chosen in the interval [0.1, 0.2]"

_WORD = r"[^\W_]+"
_ROWS_AT_ONCE = 256
_MOST_STEPS, _CLOSE = 100, 1e-6  # until no share changes by more than this in the mean
_ENOUGH_DIGITS = 9  # ranks equal but for rounding are equal, and the sentence that comes first wins


def lead(document: str, num_sentences: int) -> tuple[Span, ...]:
    """The first sentences."""
    check_count(num_sentences)
    return tuple(sentence_spans(document)[:num_sentences])


def lex_rank(
    document: str, num_sentences: int, *, threshold: float = THRESHOLD, damping: float = DAMPING
) -> tuple[Span, ...]:
    """The most central sentences: LexRank with a threshold (Erkan & Radev 2004, section 3.2).

    threshold  cosines above it join two sentences
    damping    how likely a random walk over joined sentences jumps to any sentence instead

    A word's idf is of this document's sentences, as no others are given: log(sentences / sentences with the word).
    """
    check_count(num_sentences)
    if not 0 <= threshold < 1:
        raise ConfigError(f"threshold must be from 0 to below 1, got {threshold}")
    if not 0 < damping < 1:
        raise ConfigError(f"damping must be between 0 and 1, got {damping}")
    spans = sentence_spans(document)
    ranks = _ranks([document[start:end] for start, end in spans], threshold, damping)
    best = np.argsort(-ranks.round(_ENOUGH_DIGITS), kind="stable")[:num_sentences]
    return tuple(spans[place] for place in sorted(best))


def check_count(num_sentences: int) -> None:
    """Raise where no sentence is asked for."""
    if num_sentences < 1:
        raise ConfigError(f"num_sentences must be at least 1, got {num_sentences}")


def _ranks(sentences: Sequence[str], threshold: float, damping: float) -> Floats:
    """Each sentence's share of a random walk."""
    text = require("sklearn.feature_extraction.text", extra=EXTRA, purpose="LexRank")
    preprocessing = require("sklearn.preprocessing", extra=EXTRA, purpose="LexRank")
    counter = text.CountVectorizer(token_pattern=_WORD)
    words = counter.build_analyzer()
    if not any(words(sentence) for sentence in sentences):
        return np.zeros(len(sentences))
    counts = counter.fit_transform(sentences).astype(np.float64)
    idf = np.log(len(sentences) / np.bincount(counts.indices, minlength=counts.shape[1]))
    vectors = preprocessing.normalize(counts.multiply(idf).tocsr())
    others = vectors.T.tocsr()
    firsts = range(0, len(sentences), _ROWS_AT_ONCE)  # most cosines are above 0, few above the threshold
    joined = [((vectors[first : first + _ROWS_AT_ONCE] @ others) > threshold).astype(np.float64) for first in firsts]
    return _walked(joined, damping)


def _walked(joined: Sequence[Any], damping: float) -> Floats:
    """The power method, as exact as networkx.pagerank; joined: rows of a symmetric sparse matrix of ones."""
    degrees = np.concatenate([np.asarray(rows.sum(1)).ravel() for rows in joined])
    number, alone = len(degrees), degrees == 0
    shares = np.full(number, 1 / number)
    for _ in range(_MOST_STEPS):
        before = shares
        given = np.divide(before, degrees, out=np.zeros(number), where=~alone)
        walked = np.concatenate([rows @ given for rows in joined]) + before[alone].sum() / number
        shares = (1 - damping) * walked + damping / number
        if np.abs(shares - before).sum() < _CLOSE * number:
            break
    return shares
