"""A VCF file through a model: looked through first, then written again with scores in INFO, line by line."""

from __future__ import annotations

import gzip
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bigbird.data.files import check_new_file, written_whole
from bigbird.data.genome import Genome
from bigbird.genomics import variant_table
from bigbird.genomics.variant_config import VariantsConfig, settled
from bigbird.genomics.variant_fields import InfoFields
from bigbird.genomics.variants import ScoredVariant, score_variants
from bigbird.genomics.vcf import (
    Variant,
    VcfLine,
    check_kind,
    read_header,
    read_lines,
    vcf_writer,
    with_declarations,
    with_info,
)
from bigbird.genomics.vcf_survey import look_through
from bigbird.predictor import Predictor

Watch = Callable[[Iterable[VcfLine], int], Iterable[VcfLine]]


@dataclass(frozen=True, kw_only=True)
class VariantCounts:
    """What became of a file's records.

    num_alleles    ALTs of all records
    reasons        ALTs without a score, by reason (see `REASONS`)
    num_checked    records whose REF was held against the genome
    num_differing  those whose REF differs from it or reaches beyond the contig
    num_unknown    scored records with a window of which more than half is N
    """

    num_records: int
    num_alleles: int
    reasons: Mapping[str, int]
    num_checked: int
    num_differing: int
    num_unknown: int

    @property
    def num_scored(self) -> int:
        """ALTs with a score."""
        return self.num_alleles - sum(self.reasons.values())


def annotate_vcf(
    predictor: Predictor,
    genome: Genome,
    source: Path,
    target: Path,
    config: VariantsConfig,
    *,
    model: str,
    table: Path | None = None,
    watch: Watch = lambda lines, _: lines,
) -> VariantCounts:
    """Write the file `source` again as `target` with scores in INFO; every line is kept, in its order.

    The file is read twice: first REF and contigs of all records are held against the genome. `watch` may wrap the lines
    as they are taken the second time; it is told how many there are. Neither file is there before it is complete.

    model  what the model is, for the header
    table  where to write the scores of all labels, or those of the config, as a table; gzip when it ends in .gz
    """
    config = settled(config, predictor, source=f"model {model}")
    check_new_file(target, source)
    check_kind(target)
    fields = InfoFields(labels=predictor.loaded.task.labels, config=config, model=model)
    num_lines = look_through(source, genome, fields)
    tally = _Tally()
    with ExitStack() as stack:
        output = stack.enter_context(vcf_writer(stack.enter_context(written_whole(target)), target=target))
        declared = with_declarations(read_header(source), fields.declarations(), stale=fields.stale_header)
        _write(output, declared)
        rows = None if table is None else stack.enter_context(_table(stack.enter_context(written_whole(table)), table))
        lines = _Lines(watch(read_lines(source), num_lines))
        for scored in score_variants(predictor, genome, lines.variants(), config):
            _write(output, lines.before_record())
            output.write(with_info(lines.record(), fields.values(scored), stale=fields.stale_entries))
            if rows is not None:
                shown = config.labels or fields.labels
                _write(rows, variant_table.rows(scored, labels=fields.labels, shown=shown))
            tally.add(scored)
        _write(output, lines.before_record())
    return tally.counts()


def in_words(counts: VariantCounts) -> Iterator[str]:
    """What became of the records, in a few lines."""
    yield (
        f"{counts.num_records:,} records with {counts.num_alleles:,} ALT alleles: {counts.num_scored:,} scored, "
        f"{counts.num_alleles - counts.num_scored:,} kept without a score"
    )
    for reason, number in sorted(counts.reasons.items()):
        yield f"  {reason}: {number:,}"
    yield (
        f"REF agrees with the genome in {counts.num_checked - counts.num_differing:,} of {counts.num_checked:,} "
        f"records in which it was looked at"
    )
    if counts.num_unknown:
        yield f"{counts.num_unknown:,} scored records have a window of which more than half is N"


def _write(file: IO[bytes], lines: Iterable[bytes]) -> None:
    for line in lines:  # pysam's files know no writelines
        file.write(line)


@contextmanager
def _table(temporary: Path, target: Path) -> Iterator[IO[bytes]]:
    with gzip.open(temporary, "wb") if target.suffix == ".gz" else temporary.open("wb") as file:
        file.write(variant_table.header())
        yield file  # type: ignore[misc]  # a GzipFile writes like any binary file


class _Lines:
    """Hands out variants and keeps the lines that wait until these are scored."""

    def __init__(self, lines: Iterable[VcfLine]) -> None:
        self._lines = lines
        self._waiting: deque[VcfLine] = deque()

    def variants(self) -> Iterator[Variant]:
        for line in self._lines:
            self._waiting.append(line)
            if line.variant is not None:
                yield line.variant

    def before_record(self) -> Iterator[bytes]:
        """Comments and blank lines up to the next record."""
        while self._waiting and self._waiting[0].variant is None:
            yield self._waiting.popleft().raw

    def record(self) -> bytes:
        return self._waiting.popleft().raw


class _Tally:
    """Counts as records go by."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()
        self._states: Counter[str | None] = Counter()
        self._num_alleles = self._num_unknown = 0

    def add(self, scored: ScoredVariant) -> None:
        self._states[scored.ref_state] += 1
        self._num_alleles += len(scored.alleles)
        self._reasons.update(allele.reason for allele in scored.alleles if allele.reason)
        self._num_unknown += scored.unknown > 0.5

    def counts(self) -> VariantCounts:
        num_differing = self._states["differs"] + self._states["outside"]
        return VariantCounts(
            num_records=self._states.total(),
            num_alleles=self._num_alleles,
            reasons=dict(self._reasons),
            num_checked=self._states["agrees"] + num_differing,
            num_differing=num_differing,
            num_unknown=self._num_unknown,
        )
