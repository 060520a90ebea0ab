"""What to make of records whose REF is not what the genome has: tell it, with the likely cause."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.errors import DataError
from bigbird.genomics.variant_windows import RefCheck
from bigbird.genomics.vcf import Variant
from bigbird.tokenizers import clean_dna, reverse_complement

log = logging.getLogger(__name__)

OnRefMismatch = Literal["error", "skip", "warn"]

NUM_LOOKED_AT = 100  # records; enough to tell a cause from chance, where one REF in four agrees
_LEAST_FOR_A_CAUSE = 5
_EXPLAINED = 0.8  # share of the differing records that a cause must explain
_BY_CHANCE = 0.5  # below this share of agreeing records the file belongs to another genome
_MOST_CONTIGS = 200


class CheckedRef(NamedTuple):
    """A record with what the genome has at its REF; `contig` is the genome's name."""

    number: int
    variant: Variant
    contig: str
    check: RefCheck

    @property
    def differs(self) -> bool:
        """Whether the record contradicts the genome."""
        return self.check.state in ("differs", "outside")


class MismatchWatch:
    """Looks at records as they are read and speaks once, when the first that differs and some more are seen.

    The sample is the first 100 records that could be checked; when all of them agree, 100 from the first that does not.
    """

    def __init__(self, genome: Genome, *, source: str, policy: OnRefMismatch, lengths: Mapping[str, int]) -> None:
        self._genome, self._source, self._policy, self._lengths = genome, source, policy, lengths
        self._sample: list[CheckedRef] = []
        self._has_spoken = False

    def see(self, record: CheckedRef) -> None:
        """Take note of a record; may raise `DataError` under the policy "error"."""
        if self._has_spoken:
            return
        if len(self._sample) >= NUM_LOOKED_AT:
            if not record.differs:
                return
            self._sample = []
        self._sample.append(record)
        if len(self._sample) >= NUM_LOOKED_AT:
            self._speak()

    def end(self) -> None:
        """There are no more records."""
        if not self._has_spoken:
            self._speak()

    def _speak(self) -> None:
        if not any(record.differs for record in self._sample):
            return
        self._has_spoken = True
        text = f"{self._source}: {_found(self._sample)} {likely_cause(self._sample, self._genome, self._lengths)}"
        if self._policy == "error":
            raise DataError(
                f"{text} Nothing was scored. To keep such records without a score: --on-ref-mismatch skip; to score "
                f"them with the file's own REF: --on-ref-mismatch warn"
            )
        log.warning("%s", text)


def likely_cause(sample: list[CheckedRef], genome: Genome, lengths: Mapping[str, int]) -> str:
    """One sentence on why records differ from the genome.

    lengths  of contigs, by the file's names, as its header gives them
    """
    differing = [record for record in sample if record.differs]
    other = _other_length(sample, genome, lengths)
    if len(differing) >= _LEAST_FOR_A_CAUSE:
        causes = {cause: sum(map(test, differing)) / len(differing) for cause, test in _causes(genome).items()}
        best = max(causes, key=lambda cause: causes[cause])
        if causes[best] >= _EXPLAINED:
            return f"Likely cause: {best} in {causes[best]:.0%} of these records."
        if contig := _other_contig(differing, genome):
            return f"Likely cause: another contig; REF agrees with {contig} at the same places."
    if other:
        return f"Likely cause: another assembly; {other}."
    share = 1 - len(differing) / len(sample)
    if share >= _BY_CHANCE:
        return "Most agree, so these records may be faulty or written for a patch of the assembly."
    if len(differing) < _LEAST_FOR_A_CAUSE:
        return "These are too few to tell a cause."
    return (
        f"Likely cause: another assembly (GRCh37, GRCh38, T2T), another contig or another species; that {share:.0%} "
        f"agree is about what chance gives."
    )


def _found(sample: list[CheckedRef]) -> str:
    differing = [record for record in sample if record.differs]
    first = differing[0]
    has = f"has {_short(first.check.found)}" if first.check.found else f"has no such place on {first.contig}"
    return (
        f"REF differs from the genome in {len(differing)} of {len(sample)} records looked at. The first, in line "
        f"{first.number}, is {first.variant} where the genome {has}."
    )


def _causes(genome: Genome) -> dict[str, Callable[[CheckedRef], bool]]:
    def has(record: CheckedRef, letters: str, shift: int = 0) -> bool:
        start = record.variant.position - 1 + shift
        found = genome.window(Interval(record.contig, start, start + len(letters))).sequence
        return bool(letters) and found == letters

    def ref(record: CheckedRef) -> str:
        return clean_dna(record.variant.ref).sequence

    def alts(record: CheckedRef) -> list[str]:
        return [alt.upper() for alt in record.variant.alts if alt.strip("ACGTacgt") == ""]

    return {
        "positions count from 0, VCF counts from 1: REF agrees one base further to the right": lambda record: has(
            record, ref(record), 1
        ),
        "positions are one too high: REF agrees one base further to the left": lambda record: has(
            record, ref(record), -1
        ),
        "REF and ALT are swapped: an ALT agrees with the genome": lambda record: any(
            has(record, alt) for alt in alts(record)
        ),
        "alleles are those of the other strand: the complement of REF agrees": lambda record: has(
            record, reverse_complement(ref(record))
        ),
    }


def _other_contig(differing: list[CheckedRef], genome: Genome) -> str | None:
    own = {record.contig for record in differing}
    for contig in list(genome.contigs)[:_MOST_CONTIGS]:
        if contig not in own and _share_on(contig, differing, genome) >= _EXPLAINED:
            return contig
    return None


def _share_on(contig: str, records: list[CheckedRef], genome: Genome) -> float:
    def agrees(record: CheckedRef) -> bool:
        start, letters = record.variant.position - 1, clean_dna(record.variant.ref).sequence
        return genome.window(Interval(contig, start, start + len(letters))).sequence == letters

    return sum(map(agrees, records)) / len(records)


def _other_length(sample: list[CheckedRef], genome: Genome, lengths: Mapping[str, int]) -> str | None:
    """What the header says of a contig's length where it is not the genome's."""
    for record in sample:
        said, there = lengths.get(record.variant.contig), genome.contigs[record.contig]
        if said is not None and said != there:
            return f"the file's header gives {record.variant.contig} {said:,} bases, the genome has {there:,}"
    return None


def _short(letters: str) -> str:
    return letters if len(letters) <= 20 else f"{letters[:17]}…"
