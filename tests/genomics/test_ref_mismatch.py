"""A VCF file for another genome is told after its first records, with the likely cause."""

import pytest

from bigbird.errors import DataError
from bigbird.genomics.ref_mismatch import NUM_LOOKED_AT, CheckedRef, MismatchWatch
from bigbird.genomics.variant_windows import check_ref
from bigbird.genomics.vcf import Variant
from bigbird.tokenizers import reverse_complement
from variant_cases import CHR1, genome_in, other


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return genome_in(tmp_path_factory.mktemp("genome"))


def variants(count=150, *, indels=True):
    """True records of chr1, a few longer than one base."""
    found = []
    for number in range(count):
        position = 10 + 5 * number
        length = 1 + (indels and number % 4 == 0)
        ref = CHR1[position - 1 : position - 1 + length]
        found.append(Variant("chr1", position, ref, (other(ref),)))
    return found


def said(genome, records, caplog, *, policy="error", lengths=None):
    """What is said of records, refused or warned of; "" for nothing."""
    watch = MismatchWatch(genome, source="in.vcf", policy=policy, lengths=lengths or {})
    try:
        for number, variant in enumerate(records, start=10):
            watch.see(CheckedRef(number, variant, variant.contig, check_ref(variant, genome, variant.contig)))
        watch.end()
    except DataError as error:
        assert policy == "error"
        return str(error)
    return caplog.text


def swapped(variant):
    return variant._replace(ref=variant.alts[0], alts=(variant.ref,))


def turned(variant):
    ref, (alt,) = variant.ref, variant.alts
    return variant._replace(ref=reverse_complement(ref), alts=(reverse_complement(alt),))


def test_records_that_agree_are_passed_over_in_silence(genome, caplog):
    for policy in ("error", "skip", "warn"):
        assert said(genome, variants(), caplog, policy=policy) == ""
    assert said(genome, [], caplog) == ""


CAUSES = {
    "counted from 0": (lambda v: v._replace(position=v.position - 1), "positions count from 0, VCF counts from 1: REF"),
    "one too high": (lambda v: v._replace(position=v.position + 1), "positions are one too high: REF agrees one base"),
    "swapped": (swapped, "REF and ALT are swapped: an ALT agrees with the genome in 100% of these records"),
    "other strand": (turned, "alleles are those of the other strand: the complement of REF agrees in 100% of these"),
    "far away": (lambda v: v._replace(position=v.position + 777), "another assembly (GRCh37, GRCh38, T2T), another"),
    "another contig": (lambda v: v._replace(contig="chr2"), "another contig; REF agrees with chr1 at the same places"),
}


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("policy", ["error", "skip", "warn"])
def test_the_likely_cause_is_named_after_the_first_records(genome, caplog, cause, policy):
    change, message = CAUSES[cause]
    text = said(genome, map(change, variants()), caplog, policy=policy)
    assert f"Likely cause: {message}" in text
    assert f"of {NUM_LOOKED_AT} records looked at. The first, in line 1" in text
    assert ("Nothing was scored. To keep such records without a score: --on-ref-mismatch skip" in text) == (
        policy == "error"
    )


def test_no_more_than_the_first_records_are_read_before_it_is_told(genome, caplog):
    def records():
        yield from (swapped(variant) for variant in variants()[:NUM_LOOKED_AT])
        raise AssertionError("read on")

    assert "swapped" in said(genome, records(), caplog)


def test_half_of_the_records_swapped_are_told_as_swapped(genome, caplog):
    mixed = [swapped(variant) if number % 2 else variant for number, variant in enumerate(variants())]
    assert "REF differs from the genome in 50 of 100 records looked at." in said(genome, mixed, caplog)
    assert "an ALT agrees with the genome in 100% of these records" in said(genome, mixed, caplog)


def test_a_later_record_that_differs_is_told_with_those_behind_it(genome, caplog):
    good = variants(300)
    bad = good[250]._replace(ref=other(good[250].ref))
    text = said(genome, [*good[:250], bad, *good[251:]], caplog)
    assert "in 1 of 50 records looked at. The first, in line 260, is chr1:1260" in text
    assert f"where the genome has {good[250].ref}. Most agree, so these records may be faulty" in text


def test_the_first_of_several_is_the_one_that_is_shown(genome, caplog):
    good = variants(20)
    records = [swapped(variant) if number in (7, 9) else variant for number, variant in enumerate(good)]
    assert "in 2 of 20 records looked at. The first, in line 17, is chr1:45 " in said(genome, records, caplog)


def test_the_last_record_is_told_too(genome, caplog):
    good = variants(3)
    text = said(genome, [*good[:2], swapped(good[2])], caplog)
    assert "in 1 of 3 records looked at. The first, in line 12," in text


def test_a_length_of_the_header_tells_another_assembly(genome, caplog):
    far = [variant._replace(position=variant.position + 777) for variant in variants()]
    text = said(genome, far, caplog, lengths={"chr1": 3_100})
    assert "Likely cause: another assembly; the file's header gives chr1 3,100 bases, the genome has 3,000." in text


def test_places_beyond_the_contig_count_as_differing(genome, caplog):
    text = said(genome, [Variant("chr1", 3_001, "A", ("C",))], caplog)
    assert "REF differs from the genome in 1 of 1 records looked at. The first, in line 10, is chr1:3001 A>C" in text
    assert "where the genome has no such place on chr1. These are too few to tell a cause." in text


def test_a_warning_comes_once(genome, caplog):
    said(genome, [swapped(variant) for variant in variants(450)], caplog, policy="skip")
    assert len(caplog.records) == 1
