"""A variant's alleles as windows of the genome, and the alleles that no window can show."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.genomics.vcf import Variant
from bigbird.tokenizers import clean_dna

REASONS = {
    "no_alt": "ALT is '.', there is nothing to compare",
    "spanning_deletion": "ALT is '*', a deletion that another record describes",
    "symbolic": "ALT is symbolic, such as <DEL>, and names no bases",
    "breakend": "ALT joins another place of the genome",
    "ambiguous_ref": "REF holds N or another letter for several bases",
    "ambiguous_alt": "ALT holds N or another letter for several bases",
    "not_dna": "REF or ALT holds something that is no DNA letter, or nothing",
    "too_long": "REF or ALT is longer than the window",
    "contig_missing": "the genome lacks the contig",
    "outside_contig": "REF reaches beyond an end of the contig",
    "genome_unknown": "the genome has nothing but N where REF lies",
    "ref_mismatch": "REF differs from the genome",
}
"""Why an allele has no score."""

RefState = Literal["agrees", "differs", "unknown", "outside"]

_BASES = re.compile(r"[ACGTacgt]+")
_LETTERS = re.compile(r"[ACGTNRYSWKMBDHVacgtnryswkmbdhv]+")


class AlleleWindow(NamedTuple):
    """Clean DNA around an allele, and its letters [first, last), where a model that answers along it is read."""

    sequence: str
    first: int
    last: int


class RefCheck(NamedTuple):
    """What the genome says of a variant's REF.

    state  "unknown": the genome has nothing but N there; "outside": not all of it lies on the contig
    found  the genome's letters there
    """

    state: RefState
    found: str


def why_unscored(variant: Variant, *, window_bp: int) -> list[str | None]:
    """For each ALT the reason (see REASONS) why no window can show it; None where one can."""
    of_ref = _reason_of_letters(variant.ref, "ambiguous_ref", window_bp)
    return [
        _reason_of_kind(alt) or of_ref or _reason_of_letters(alt, "ambiguous_alt", window_bp) for alt in variant.alts
    ]


def check_ref(variant: Variant, genome: Genome, contig: str) -> RefCheck:
    """Hold REF against the genome's `contig`. A base the genome does not know (N) is taken to agree."""
    start, ref = variant.position - 1, clean_dna(variant.ref).sequence
    if start < 0 or start + len(ref) > genome.contigs[contig]:
        return RefCheck("outside", "")
    found = genome.window(Interval(contig, start, start + len(ref))).sequence
    if not found.strip("N"):
        return RefCheck("unknown", found)
    return RefCheck("agrees" if _agree(ref, found) else "differs", found)


def allele_window(
    variant: Variant, allele: str, genome: Genome, *, contig: str, window_bp: int, shift_bp: int = 0
) -> AlleleWindow:
    """`window_bp` bases with the allele in the middle and the genome's bases on both sides of REF around it.

    genome        a c g t A C G t t a c          REF "ACG" (capital), ALT "A", windows of 7
    REF             g t A C G t t                2 bases on the left, 2 on the right
    ALT           c g t A t t a                  3 and 3: where the allele is shorter, more of the genome is seen

    When the rest is odd, the right side has one more. Beyond the contig's ends there is N.

    shift_bp  more bases on the left and as many fewer on the right, as far as there are any
    """
    start, letters = variant.position - 1, clean_dna(allele).sequence
    left = min(max((window_bp - len(letters)) // 2 + shift_bp, 0), window_bp - len(letters))
    right = window_bp - len(letters) - left
    end = start + len(variant.ref)
    before = genome.window(Interval(contig, start - left, start)).sequence
    after = genome.window(Interval(contig, end, end + right)).sequence
    return AlleleWindow(before + letters + after, left, left + len(letters))


def allele_window_in_bins(
    variant: Variant, allele: str, genome: Genome, *, contig: str, window_bp: int, bin_bp: int, shift_bp: int = 0
) -> AlleleWindow:
    """`window_bp` bases for a model that answers in bins: every allele begins at one place and is read where REF lies.

    genome        a c g t A C G t t a c          REF "ACG" (capital), ALT "A", windows of 9 in bins of 3
    REF         a c g|t A C|G t t                it begins in the middle of a bin
    ALT         a c g|t A t|t a c                and so does ALT; what stands behind it moves up

    Were each allele in the middle of its own window, the two would be read from different bins, and bins differ
    whatever the letters. `first` and `last` are thus REF's for all alleles; an allele reaching beyond the window is cut
    there, as a genome that has it would be.

    shift_bp  more bases on the left and as many fewer on the right, as far as there are any
    """
    start, letters = variant.position - 1, clean_dna(allele).sequence
    usual = max(window_bp - len(variant.ref), 0) // 2 // bin_bp * bin_bp + bin_bp // 2
    left = min(max(usual + shift_bp, 0), window_bp - 1)
    end = start + len(variant.ref)
    before = genome.window(Interval(contig, start - left, start)).sequence
    after = genome.window(Interval(contig, end, end + max(window_bp - left - len(letters), 0))).sequence
    return AlleleWindow((before + letters + after)[:window_bp], left, left + len(variant.ref))


def shifts(placements: int, *, bases_per_token: int) -> list[int]:
    """How far each of several windows is moved off the middle, so that together they part a token evenly.

    4 placements, 16 bases per token: -6, -2, 2, 6
    """
    step = max(bases_per_token // placements, 1)
    return [number * step - (placements - 1) * step // 2 for number in range(placements)]


def _reason_of_kind(alt: str) -> str | None:
    if alt == ".":
        return "no_alt"
    if alt == "*":
        return "spanning_deletion"
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return "breakend"
    return "symbolic" if "<" in alt else None


def _reason_of_letters(allele: str, if_ambiguous: str, window_bp: int) -> str | None:
    if not _LETTERS.fullmatch(allele):
        return "not_dna"
    if not _BASES.fullmatch(allele):
        return if_ambiguous
    return "too_long" if len(allele) > window_bp else None


def _agree(ref: str, found: str) -> bool:
    return ref == found or all(ours in (theirs, "N") for theirs, ours in zip(ref, found, strict=True))
