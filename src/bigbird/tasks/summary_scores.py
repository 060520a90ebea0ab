r"""Summaries as ROUGE scores them (Lin 2004), by the rouge-score package, whose figures papers report.

    reference  "the cat sat\non the mat"       6 words, 5 pairs of neighbours, 2 lines
    summary    "on the mat\nthe cat slept"

    ROUGE-1     words shared, however placed            5 of 6 and 5 of 6     F1 0.83
    ROUGE-2     pairs of neighbours shared              "on the", "the mat", "the cat": 3 of 5      0.60
    ROUGE-L     longest series shared, lines ignored    "on the mat"                                0.50
    ROUGE-Lsum  of each line of the reference the words in series with any line of the summary      0.83

Of several references the best counts, for each figure on its own and by F1, as the package's `score_multi` has it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from bigbird.data.sentences import on_lines, sentence_spans
from bigbird.data.summaries import SummarizedDocument, text_numbers
from bigbird.errors import DataError, require
from bigbird.tasks.metrics import Estimate
from bigbird.tasks.rouge_words import EXTRA, RougeTokenizer, rouge_words
from bigbird.tasks.scored_questions import mean

log = logging.getLogger(__name__)

PEGASUS_NEWLINE = "<n>"  # how Pegasus' vocabulary writes a line end

_KINDS = ("rouge1", "rouge2", "rougeL", "rougeLsum")


class Rouge(NamedTuple):
    """F1 of one summary, 0 to 1."""

    rouge_1: float
    rouge_2: float
    rouge_l: float
    rouge_l_sum: float


class SummaryScores(NamedTuple):
    """Mean F1 over summaries, 0 to 1, with 95 % intervals over documents (those of one text are drawn together)."""

    rouge_1: Estimate
    rouge_2: Estimate
    rouge_l: Estimate
    rouge_l_sum: Estimate


def summary_scores(
    documents: Sequence[SummarizedDocument],
    summaries: Sequence[str],
    *,
    stem: bool = True,
    split_sentences: bool = False,
) -> SummaryScores:
    """Score one summary per document, in their order; "" where none was written scores 0. Settings as `rouge` has."""
    if len(documents) != len(summaries):
        raise DataError(
            f"there are {len(documents)} documents and {len(summaries)} summaries; give one each, in their order"
        )
    without = [one.name for one in documents if not any(rouge_words(text, stem=False) for text in one.summaries)]
    if without:
        log.warning(
            "%d of %d documents have no summary with a word of a-z and 0-9, all that ROUGE counts, so whatever is "
            "written scores 0; the first is %r",
            len(without),
            len(documents),
            without[0],
        )
    scores = [
        rouge(summary, one.summaries, stem=stem, split_sentences=split_sentences)
        for one, summary in zip(documents, summaries, strict=True)
    ]
    columns = np.array(scores, np.float64).reshape(-1, len(Rouge._fields)).T
    groups = text_numbers(documents)
    return SummaryScores(*(mean(column, groups) for column in columns))


def rouge(summary: str, references: Sequence[str], *, stem: bool = True, split_sentences: bool = False) -> Rouge:
    r"""Score a summary against what is known to be good ones.

    stem             compare words without their endings, as papers do
    split_sentences  set each sentence on a line of its own first. ROUGE-Lsum goes by lines, and these are where a text
                     has "\n" or Pegasus' "<n>": a text without any is a single line, and where both sides are,
                     ROUGE-Lsum equals ROUGE-L. Papers report it of one sentence a line; published figures go by the
                     lines that the data have, so False
    """
    scored = _scorer(stem).score_multi(
        [_lines(text, split_sentences=split_sentences) for text in references],
        _lines(summary, split_sentences=split_sentences),
    )
    return Rouge(*(float(scored[kind].fmeasure) for kind in _KINDS))


def _lines(text: str, split_sentences: bool) -> str:
    text = text.replace(PEGASUS_NEWLINE, "\n")
    return on_lines(text, sentence_spans(text)) if split_sentences else text


@lru_cache(maxsize=2)
def _scorer(stem: bool) -> Any:
    scoring = require("rouge_score.rouge_scorer", extra=EXTRA, purpose="scoring summaries")
    return scoring.RougeScorer(list(_KINDS), tokenizer=RougeTokenizer(stem=stem))
