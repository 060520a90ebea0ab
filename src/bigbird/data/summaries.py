"""Documents and what they come to in a few sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bigbird.errors import DataError


@dataclass(frozen=True, kw_only=True)
class SummarizedDocument:
    """A document with its summary, or several people's.

        document "… four pages …"   query "What was decided?"   summaries ("They buy it.", "It is bought.")

    name       what tells it apart in a file
    summaries  each of them one good summary of the whole; a newline parts sentences where somebody set one. Of a
               document that is still to be summarized there is none
    query      what the summary answers; "" where it is of the document as such
    gaps       ascending places in the document where sentences were taken out; a reader sees a mask there
    draw       key for random choices a task makes for this document
    """

    document: str
    summaries: tuple[str, ...] = ()
    query: str = ""
    name: str = ""
    gaps: tuple[int, ...] = ()
    draw: int = 0

    def __post_init__(self) -> None:
        if not self.document.strip():
            raise DataError(f"document {self.name!r} is empty; leave it out")
        if not all(summary.strip() for summary in self.summaries):
            raise DataError(f"a summary of document {self.name!r} is empty; leave it out")


def text_numbers(documents: Iterable[SummarizedDocument]) -> NDArray[np.int64]:
    """A number per item; those about the same text share it, as intervals must draw them together."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(one.document, len(numbers)) for one in documents], np.int64)
