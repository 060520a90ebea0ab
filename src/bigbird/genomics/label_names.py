"""Labels by the names a user gives them."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Sequence

from bigbird.errors import ConfigError

_NUM_NEAREST = 3


def check_labels(wanted: Iterable[str], known: Sequence[str], *, source: str = "this model") -> None:
    """Raise `ConfigError` on the first label that is not known, with those whose names are nearest."""
    for label in wanted:
        if label not in known:
            near = ", ".join(_nearest(label, known))
            raise ConfigError(f"{source} has no label {label!r} among its {len(known)}; nearest are {near}")


def _nearest(wanted: str, known: Sequence[str]) -> list[str]:
    """A few names, the likest first; upper and lower case are alike, as names of genes are written in either."""
    alike = difflib.SequenceMatcher(b=wanted.casefold())

    def likeness(label: str) -> tuple[float, str]:
        alike.set_seq1(label.casefold())
        return alike.ratio(), label

    return heapq.nlargest(_NUM_NEAREST, known, key=likeness)
