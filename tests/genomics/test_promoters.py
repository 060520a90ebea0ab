from itertools import pairwise

import numpy as np
import pytest

from bigbird.data.intervals import Interval
from bigbird.data.records import on_genome
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.promoters import (
    FAR_BP,
    Candidates,
    Sites,
    centred,
    gc_of_windows,
    gc_share,
    matched_negatives,
    shifted_negatives,
)

CHR1, CHR2 = Interval("chr1", 0, 200_000), Interval("chr2", 0, 200_000)


def test_the_site_stands_in_the_middle_on_either_strand(genome):
    for strand in "+-":
        site = Interval("chr1", 5_000, 5_001, strand)
        window = genome.window(centred(site, 100)).sequence
        assert len(window) == 100
        assert window[50] == genome.window(site).sequence


def test_sites_know_places_and_distances(sites):
    assert [site.start for site in sites.promoters_in(Interval("chr1", 20_000, 60_000))] == [20_000, 21_000]
    assert sites.known_in(Interval("chr1", 60_000, 70_000)).tolist() == [60_000, 62_000]
    assert sites.distance("chr1", np.array([0, 20_400, 61_500, 199_999])).tolist() == [3_000, 400, 500, 499]
    assert sites.distance("chr2", np.array([0, 60_000])).tolist() == [50_000, 10_000]
    assert (sites.distance("chrX", np.array([5])) > 10**9).all()
    assert sites.promoters_in(CHR2) == []


def test_shares_of_g_and_c_are_those_of_the_windows(genome):
    starts, shares, has_n = gc_of_windows(genome, Interval("chr1", 90_000, 110_000), 2_000)
    assert starts[0] == 90_000
    assert starts[-1] == 108_000
    for index in (0, 37, 180, 360):
        sequence = genome.window(Interval("chr1", int(starts[index]), int(starts[index]) + 2_000)).sequence
        assert shares[index] == pytest.approx(gc_share(sequence))
        assert has_n[index] == ("N" in sequence)
    with pytest.raises(ConfigError, match=r"window_bp must be a multiple of 50 and fit into .*got 2010"):
        gc_of_windows(genome, CHR1, 2_010)


def test_candidates_are_far_from_every_known_start_and_hold_no_n(genome, sites):
    candidates = Candidates(genome, sites, [CHR1, CHR2], window_bp=2_000)
    windows = [candidates.any(number) for number in range(300)]
    assert {window.contig for window in windows} == {"chr1", "chr2"}
    assert {window.strand for window in windows} == {"+", "-"}
    for window in windows:
        assert "N" not in genome.window(window).sequence
        known = sites.known[window.contig]
        assert min(abs(known - window.start).min(), abs(known - window.end).min()) >= FAR_BP - 50
    assert candidates.any(7) == windows[7]


def test_matched_windows_have_the_wanted_share(genome, sites):
    candidates = Candidates(genome, sites, [CHR1, CHR2], window_bp=2_000)
    for wanted in (0.3, 0.45, 0.6):
        window = candidates.matching(wanted, 1)
        assert abs(gc_share(genome.window(window).sequence) - wanted) <= 0.02
    assert candidates.matching(0.99, 1) is None


def test_no_candidate_at_all_is_told(genome):
    everywhere = Sites([Interval("chr1", place, place + 1, "+") for place in range(0, 200_000, 5_000)])
    with pytest.raises(DataError, match="no window of 2000 bases lies 8000 bases from every known start site"):
        Candidates(genome, everywhere, [CHR1], window_bp=2_000)


def test_matched_negatives_pair_with_their_positives_and_do_not_overlap(genome, sites):
    candidates = Candidates(genome, sites, [CHR1, CHR2], window_bp=2_000)
    positives = [on_genome(centred(site, 2_000), genome) for site in sites.promoters] * 3
    pairs = list(matched_negatives(positives, candidates, seed=0))
    assert len(pairs) >= 10
    for index, window in pairs:
        share = gc_share(genome.window(window).sequence)
        assert abs(share - gc_share(positives[index].sequence)) <= 0.02
    windows = sorted((window for _, window in pairs), key=lambda window: (window.contig, window.start))
    assert all(one.contig != other.contig or one.end <= other.start for one, other in pairwise(windows))
    assert pairs == list(matched_negatives(positives, candidates, seed=0))


def test_shifted_negatives_lie_near_their_promoter_but_on_no_start(sites):
    windows = list(shifted_negatives(sites, [Interval("chr1", 10_000, 190_000)], window_bp=2_000, seed=0))
    assert len(windows) == 3
    for window, site in zip(windows, sites.promoters[1:4], strict=True):
        middle = window.start + 1_000
        assert 2_999 <= abs(middle - site.start) <= 9_001
        assert sites.distance("chr1", np.array([middle]))[0] >= 1_499
        assert window.strand == site.strand
