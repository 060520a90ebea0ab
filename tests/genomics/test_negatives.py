from itertools import pairwise

import numpy as np
import pytest

from bigbird.data.intervals import Interval
from bigbird.data.records import on_genome
from bigbird.errors import ConfigError
from bigbird.genomics.negatives import IN_WORDS, SYNTHETIC, Negatives, Reach
from bigbird.genomics.promoters import Sites, gc_share

REGIONS = [Interval("chr1", 0, 200_000), Interval("chr2", 0, 200_000)]
REACH = Reach(before_bp=600, after_bp=400)
REAL = sorted(set(IN_WORDS) - SYNTHETIC)


def drawn(genome, sites, strategy, number, *, reach=REACH, regions=REGIONS):
    """A promoter's window and negatives for it."""
    negatives = Negatives(genome, sites, regions, reach, strategy)
    site = sites.promoters[number]
    positive = on_genome(reach.window(site), genome)
    return positive, [one for key in range(40) if (one := negatives.draw(site, positive, key)) is not None]


@pytest.mark.parametrize("strategy", REAL)
def test_real_negatives_are_windows_of_the_genome_away_from_every_start(genome, sites, strategy):
    positive, found = drawn(genome, sites, strategy, 1)
    assert len({one.interval.start for one in found}) > 10
    for one in found:
        assert len(one.sequence) == 1_000
        assert "N" not in one.sequence
        assert one.sequence == genome.window(one.interval).sequence
        middle = np.array([one.interval.start + 500])
        assert sites.distance(one.interval.contig, middle)[0] > (1_300 if strategy == "shifted" else 8_000)
    if strategy == "gc-matched":
        assert all(abs(gc_share(one.sequence) - gc_share(positive.sequence)) <= 0.02 for one in found)


def test_a_shifted_negative_is_its_promoter_s_window_moved(genome, sites):
    positive, found = drawn(genome, sites, "shifted", 1)
    for one in found:
        assert 3_000 <= abs(one.interval.start - positive.interval.start) <= 9_000
        assert (one.interval.contig, one.interval.strand) == ("chr1", "-")


def test_a_shifted_negative_never_leaves_its_part(genome, sites):
    part = [Interval("chr1", 15_000, 26_000)]
    _, found = drawn(genome, sites, "shifted", 1, regions=part)
    assert found
    assert all(one.interval.start >= 15_000 and one.interval.end <= 26_000 for one in found)


def test_a_shifted_negative_holds_no_n(genome):
    beside = Sites([Interval("chr1", 96_000, 96_001, "+")])  # 4,000 bases before a stretch of N
    positive, found = drawn(genome, beside, "shifted", 0)
    assert 0 < len(found) < 40
    assert all("N" not in one.sequence for one in found)
    assert "N" not in positive.sequence


@pytest.mark.parametrize("strategy", sorted(SYNTHETIC))
def test_synthetic_negatives_say_so_and_lie_nowhere(genome, sites, strategy):
    positive, found = drawn(genome, sites, strategy, 0)
    assert len({one.sequence for one in found}) == len(found) == 40
    assert all(one.interval is None and len(one.sequence) == len(positive.sequence) for one in found)
    assert IN_WORDS[strategy].startswith("synthetic: ")
    assert "not real genome" in IN_WORDS[strategy]


@pytest.mark.parametrize("strategy", ["genomic", "gc-matched"])
def test_negatives_of_a_set_share_no_bases(genome, sites, strategy):
    negatives = Negatives(genome, sites, REGIONS, REACH, strategy)
    positives = [(site, on_genome(REACH.window(site), genome)) for site in sites.promoters[:4]] * 5
    pairs = list(negatives.pairs(positives, 0))
    assert len(pairs) >= 15
    places = sorted((pair.negative.interval.contig, pair.negative.interval.start) for pair in pairs)
    for (contig, start), (other, after) in pairwise(places):
        assert contig != other or after - start >= 1_000
    assert pairs == list(negatives.pairs(positives, 0))
    assert pairs != list(negatives.pairs(positives, 1))


def test_what_cannot_be_drawn_is_refused(genome, sites):
    with pytest.raises(ConfigError, match=r"negatives must be one of substitution, .*, shifted, got 'random'"):
        Negatives(genome, sites, REGIONS, REACH, "random")
    with pytest.raises(ConfigError, match="negatives gc-matched need windows of a multiple of 50 bases, got 309"):
        Negatives(genome, sites, REGIONS, Reach(before_bp=249, after_bp=60), "gc-matched")
