"""Variants and models that answer in bins: all alleles of a record are read from the same bins."""

import numpy as np
import pytest

from bigbird.data.genome import Genome
from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.genomics.variant_config import VariantsConfig, settled
from bigbird.genomics.variant_windows import AlleleWindow, allele_window_in_bins
from bigbird.genomics.variants import read_out, score_variants
from bigbird.genomics.vcf import Variant
from bigbird.predictor import Predictor
from bigbird.tasks import BinClassification, BinLabels
from helpers import loaded_model
from variant_cases import CHR1, base, genome_in, other

BINS = BinClassification(labels=("a", "b"), bin_bp=20, context_bp=40, max_length=2_000)


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return genome_in(tmp_path_factory.mktemp("genome"))


class Blind:
    """A stand-in for a predictor that never looks at the letters; no two neighbouring bins of its answer are alike."""

    def __init__(self, task):
        self.loaded = loaded_model(task)

    def predict(self, records):
        task = self.loaded.task
        for record in records:
            num_bins = (len(record.sequence) - 2 * task.context_bp) // task.bin_bp
            column = np.where(np.arange(num_bins) % 2 == 0, 0.1, 0.9) + np.arange(num_bins) / (100 * num_bins)
            yield BinLabels(np.repeat(column[:, None], 2, 1).astype(np.float32), task.context_bp, task.bin_bp)


def records_at(position):
    """One of each kind: single base, short and long insertions and deletions, several ALTs, a complex one."""
    here = base(position)
    alts = [(other(here),), (here + "G",), (here + "ACGT" * 40,), (other(here), here + "GG", here + "T" * 150)]
    yield from (Variant("chr1", position, here, some) for some in alts)
    for length in (2, 19, 21, 60, 170, 180):
        yield Variant("chr1", position, base(position, count=length), (here, here + "TT", other(here) * 30))


@pytest.mark.parametrize("window_bp", [100, 120, 180, 200, 400])
@pytest.mark.parametrize("config", [{}, {"reach_bp": 30}, {"reading": "max"}, {"placements": 3}, {"placements": 64}])
def test_a_model_that_never_looks_at_the_letters_sees_no_variant(genome, window_bp, config):
    variants = [variant for position in (1, 1_501, 2_600) for variant in records_at(position)]
    some = VariantsConfig(window_bp=window_bp, **config)
    num_scored = 0
    for scored in score_variants(Blind(BINS), genome, variants, some):
        for allele in scored.alleles:
            if allele.reason != "too_long":
                num_scored += 1
                assert not allele.log_odds.any(), (scored.variant, allele)
    assert num_scored >= 3 * 13


@pytest.mark.parametrize(
    ("window_bp", "length"), [(120, 1), (200, 1), (200, 2), (200, 33), (200, 150), (400, 1), (400, 399)]
)
@pytest.mark.parametrize("alt", ["C", "ACGT" * 60])
def test_every_allele_begins_in_the_middle_of_the_same_bin(genome, window_bp, length, alt):
    variant = Variant("chr1", 1_001, base(1_001, count=length), (alt,))
    cut = {"contig": "chr1", "window_bp": window_bp, "bin_bp": 20}
    ref = allele_window_in_bins(variant, variant.ref, genome, **cut)
    of_alt = allele_window_in_bins(variant, alt, genome, **cut)
    assert ref.first % 20 == 10
    assert abs(ref.first + length / 2 - window_bp / 2) <= 20
    assert ref.sequence == CHR1[1_000 - ref.first : 1_000 - ref.first + window_bp]
    changed = CHR1[:1_000] + alt + CHR1[1_000 + length :]
    assert of_alt == (changed[1_000 - ref.first : 1_000 - ref.first + window_bp], ref.first, ref.first + length)


def test_the_picture_of_windows_in_bins_is_true(tmp_path):
    (tmp_path / "genome.fa").write_text(">chr1\nacgtACGttac\n")
    genome, variant = Genome.open(tmp_path / "genome.fa"), Variant("chr1", 5, "ACG", ("A",))
    cut = {"contig": "chr1", "window_bp": 9, "bin_bp": 3}
    assert allele_window_in_bins(variant, "ACG", genome, **cut) == ("ACGTACGTT", 4, 7)
    assert allele_window_in_bins(variant, "A", genome, **cut) == ("ACGTATTAC", 4, 7)


@pytest.mark.parametrize(("shift", "first"), [(-3, 87), (5, 95), (-200, 0), (200, 199)])
def test_windows_in_bins_are_moved_as_far_as_the_allele_stays_in_sight(genome, shift, first):
    variant = Variant("chr1", 1_001, base(1_001), ("AC",))
    for allele in (variant.ref, "AC"):
        found = allele_window_in_bins(variant, allele, genome, contig="chr1", window_bp=200, bin_bp=20, shift_bp=shift)
        assert (found.first, found.last, len(found.sequence)) == (first, first + 1, 200)


@pytest.mark.parametrize(("length", "left", "bins"), [(1, 110, slice(3, 4)), (30, 90, slice(2, 4))])
def test_a_score_is_read_from_the_bins_of_ref(genome, length, left, bins):
    """Windows of 220 hold 40 of context, seven bins of 20 and 40 of context."""
    predictor = Predictor(loaded_model(BINS))
    variant = Variant("chr1", 1_501, base(1_501, count=length), (other(base(1_501)), base(1_501) + "GATTACA" * 9))
    (scored,) = score_variants(predictor, genome, [variant], VariantsConfig(window_bp=220))
    before, after = CHR1[1_500 - left : 1_500], CHR1[1_500 + length : 1_800]
    sequences = [(before + allele + after)[:220] for allele in (variant.ref, *variant.alts)]
    ref, *alts = (answer.probabilities[bins] for answer in predictor.predict(Record(sequence=one) for one in sequences))
    for allele, alt in zip(scored.alleles, alts, strict=True):
        np.testing.assert_allclose(allele.reference, log_odds(ref).mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(allele.alternative, log_odds(alt).mean(0), rtol=1e-5, atol=1e-6)
        assert allele.log_odds.any()


def test_where_an_allele_lies_in_the_context_the_nearest_bin_is_read():
    values = np.arange(1, 7, dtype=np.float32).reshape(3, 2) / 10
    for first, row in ((0, 0), (119, 2), (200, 2)):
        window = AlleleWindow("A" * 140, first, first + 1)
        found = read_out(BinLabels(values, 40, 20), window, reach_bp=0, reading="mean")
        np.testing.assert_allclose(found, log_odds(values[row]), rtol=1e-6)


def test_a_window_without_a_bin_besides_the_context_is_refused():
    predictor = Predictor(loaded_model(BINS))
    assert settled(VariantsConfig(window_bp=100), predictor).window_bp == 100
    with pytest.raises(
        ConfigError, match="window_bp must be more than the 80 bases of context around the bins of this model, got 80"
    ):
        settled(VariantsConfig(window_bp=80), predictor)


def test_the_shipped_model_of_bins_is_read_in_the_bin_of_the_allele():
    predictor = Predictor.load("yeast-chromatin")
    assert settled(VariantsConfig(), predictor) == VariantsConfig(window_bp=8_000, reach_bp=0, placements=1)


def log_odds(probabilities):
    values = np.asarray(probabilities, np.float64)
    return np.log(values / (1 - values))
