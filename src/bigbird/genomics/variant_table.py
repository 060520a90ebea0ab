"""Scores of variants as a long table: one line for each ALT and label, separated by tabs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bigbird.genomics.variant_fields import number
from bigbird.genomics.variants import AlleleScore, ScoredVariant

COLUMNS = (
    "contig", "position", "id", "ref", "alt", "label",
    "ref_probability", "alt_probability", "difference", "log_odds", "reason",
)  # fmt: skip


def header() -> bytes:
    """The first line."""
    return _line(COLUMNS)


def rows(scored: ScoredVariant, *, labels: Sequence[str], shown: Iterable[str]) -> Iterator[bytes]:
    """The lines of one variant; an ALT without a score has one line, with the reason.

    labels  all labels of the model, in its order
    shown   those that have lines
    """
    columns = [(label, labels.index(label)) for label in shown]
    contig, position, ref, _, name = scored.variant
    for allele in scored.alleles:
        place = (contig, str(position), name, ref, allele.alt)
        for cells in _cells(allele, columns):
            yield _line((*place, *cells))


def _cells(allele: AlleleScore, columns: Sequence[tuple[str, int]]) -> Iterator[tuple[str, ...]]:
    if allele.reason is not None:
        yield (*["."] * 5, allele.reason)
        return
    (reference, alternative), log_odds = allele.probabilities, allele.log_odds
    for label, column in columns:
        before, after = reference[column], alternative[column]
        values = (before, after, after - before, log_odds[column])
        yield (label, *map(number, values), ".")


def _line(cells: Iterable[str]) -> bytes:
    return ("\t".join(cells) + "\n").encode("utf-8", "surrogateescape")
