"""What the parts of a window set share, and its kinds of windows with one another: a report beside every set.

Splits by chromosome keep bases apart, not repeats and paralogues; and a kind that shares more with training than
another is a hint a model may use. So everything is told by kind of window.

    overlap         windows with bases of the other part: any, or at least half of them
    between_kinds   the same within a part, of one kind with another
    shared_32mers   windows of which some, a tenth, a half of all runs of 32 bases occur in training, on either strand
    duplicates      windows that occur twice letter for letter, or as reverse complements
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bigbird.data.intervals import Interval
from bigbird.genomics.kmer_words import LETTERS_PER_WORD, shared_words
from bigbird.genomics.window_sets import PARTS, Part, SetWindow
from bigbird.tokenizers import reverse_complement

Parts = Mapping[Part, Sequence[SetWindow]]


def leakage_report(parts: Parts) -> dict[str, Any]:
    """Shares and counts by pair of parts and by kind, ready for JSON."""
    pairs = [(later, earlier) for earlier, later in combinations([part for part in PARTS if part in parts], 2)]
    return {
        "overlap": {
            f"{later} with {earlier}": _overlap_by_kind(parts[later], parts[earlier]) for later, earlier in pairs
        },
        "between_kinds": {part: _between_kinds(windows) for part, windows in parts.items()},
        "shared_32mers": {
            f"{later} with {earlier}": _shared_by_kind(parts[later], parts[earlier]) for later, earlier in pairs
        },
        "duplicates": _duplicates(parts),
    }


def leakage_lines(report: Mapping[str, Any]) -> list[str]:
    """The report in sentences."""
    lines = []
    for pair, kinds in report["overlap"].items():
        for kind, found in kinds.items():
            lines.append(
                f"{pair}: {_counted(found)} {kind} windows share bases, {_percent(found['half'])} at least half"
            )
    for part, kind_pairs in report["between_kinds"].items():
        for pair, found in kind_pairs.items():
            lines.append(
                f"{part}: {_counted(found)} windows of {pair} share bases, {_percent(found['half'])} at least half"
            )
    for pair, kinds in report["shared_32mers"].items():
        for kind, found in kinds.items():
            lines.append(
                f"{pair}: {_percent(found['any'])} of {kind} windows share a {LETTERS_PER_WORD}-mer, "
                f"{_percent(found['tenth'])} a tenth of them, {_percent(found['half'])} a half"
            )
    lines.extend(
        f"letter for letter (or reversed) the same, {name}: {count}" for name, count in report["duplicates"].items()
    )
    return lines


def _counted(found: Mapping[str, Any]) -> str:
    return f"{_percent(found['any'])} of {found['windows']:,}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _by_kind(windows: Sequence[SetWindow]) -> Iterator[tuple[str, list[SetWindow]]]:
    for kind in sorted({window.kind for window in windows}):
        yield kind, [window for window in windows if window.kind == kind]


def _placed(windows: Sequence[SetWindow]) -> list[Interval]:
    return [window.record.interval for window in windows if window.record.interval is not None]


def _overlap_by_kind(windows: Sequence[SetWindow], others: Sequence[SetWindow]) -> dict[str, Any]:
    return {kind: _overlap(_placed(some), _placed(others)) for kind, some in _by_kind(windows) if _placed(some)}


def _between_kinds(windows: Sequence[SetWindow]) -> dict[str, Any]:
    kinds = {kind: _placed(some) for kind, some in _by_kind(windows) if _placed(some)}
    return {f"{one} with {other}": _overlap(kinds[one], kinds[other]) for one, other in permutations(kinds, 2)}


def _overlap(windows: Sequence[Interval], others: Sequence[Interval]) -> dict[str, Any]:
    """Shares of windows of which any base, or at least half, lies in one of the others."""
    shares = np.zeros(len(windows))
    for contig in {window.contig for window in windows}:
        mine = [index for index, window in enumerate(windows) if window.contig == contig]
        theirs = np.array(sorted((o.start, o.end) for o in others if o.contig == contig)).reshape(-1, 2)
        reach = int((theirs[:, 1] - theirs[:, 0]).max(initial=0))
        for index in mine:
            window = windows[index]
            first, last = np.searchsorted(theirs[:, 0], [window.start - reach, window.end])
            near = theirs[first:last]
            common = np.minimum(near[:, 1], window.end) - np.maximum(near[:, 0], window.start)
            shares[index] = common.max(initial=0) / window.length
    return {"windows": len(windows), "any": float((shares > 0).mean()), "half": float((shares >= 0.5).mean())}


def _shared_by_kind(windows: Sequence[SetWindow], others: Sequence[SetWindow]) -> dict[str, Any]:
    shares = shared_words([window.record.sequence for window in windows], [window.record.sequence for window in others])
    kinds = np.array([window.kind for window in windows])
    return {"all": _shares(shares), **{kind: _shares(shares[kinds == kind]) for kind in sorted(set(kinds.tolist()))}}


def _shares(shares: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "windows": len(shares),
        "any": float((shares > 0).mean()),
        "tenth": float((shares >= 0.1).mean()),
        "half": float((shares >= 0.5).mean()),
    }


def _duplicates(parts: Parts) -> dict[str, int]:
    """How many windows more than distinct ones a part has, and how many of a later part occur in an earlier one."""
    letters = {part: Counter(_either_strand(window) for window in windows) for part, windows in parts.items()}
    counts = {f"within {part}": found.total() - len(found) for part, found in letters.items()}
    for earlier, later in combinations([part for part in PARTS if part in parts], 2):
        common = letters[later].keys() & letters[earlier].keys()
        counts[f"{later} with {earlier}"] = sum(letters[later][sequence] for sequence in common)
    return counts


def _either_strand(window: SetWindow) -> str:
    sequence = window.record.sequence
    return min(sequence, reverse_complement(sequence))
