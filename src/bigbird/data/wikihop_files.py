"""WikiHop's files, QAngaroo 1.1 (Welbl et al. 2018, arXiv 1710.06481), masked ones too; MedHop has the same form.

[{"id": …, "query": "country_of_citizenship stella pevsner", "candidates": […], "supports": […], "answer": …}, …]
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from bigbird.data.choice_questions import ChoiceQuestion
from bigbird.data.json_entries import Entry
from bigbird.data.json_files import read_entries
from bigbird.data.questions import AnswerSpan
from bigbird.errors import DataError

_BETWEEN = "\n\n"


def read_wikihop(path: Path) -> Iterator[ChoiceQuestion]:
    """The questions of a file, in its order; .json or one a line in .jsonl, plain or gzip.

    The supporting texts make one document, with an empty line between them.
    """
    for entry in read_entries(path):
        yield _question(entry)


def _question(entry: Entry) -> ChoiceQuestion:
    supports = entry.texts("supports")
    ends = list(accumulate((len(text) + len(_BETWEEN) for text in supports), initial=0))
    try:
        return ChoiceQuestion(
            name=entry.label("id"),
            question=entry.text("query"),
            document=_BETWEEN.join(supports),
            texts=tuple(AnswerSpan(start, start + len(text)) for start, text in zip(ends, supports, strict=False)),
            candidates=entry.texts("candidates"),
            answer=entry.text("answer", ""),
        )
    except DataError as error:
        raise error if entry.where in str(error) else DataError(f"{entry.where}: {error}") from None
