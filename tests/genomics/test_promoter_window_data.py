import dataclasses
import re
from pathlib import Path

import pytest

from bigbird.errors import ConfigError, DataError
from bigbird.genomics.negatives import Reach
from bigbird.genomics.promoter_sets import PromoterSetConfig, promoter_set
from bigbird.genomics.promoter_window_data import PromoterWindowData

SITES = """\
chr1\t20000\t20001\ta\t0\t-
chr1\t40300\t40301\tb\t0\t+
chr1\t99990\t99991\tc\t0\t+
chr2\t60000\t60001\td\t0\t-
chr2\t90000\t90001\te\t0\t+
"""


@pytest.fixture
def config(tmp_path, fasta):
    (tmp_path / "sites.bed").write_text(SITES)
    return PromoterWindowData(
        genomes=(str(fasta),),
        sites=str(tmp_path / "sites.bed"),
        train_regions=("chr1",),
        validation_regions=("chr2",),
        before_bp=249,
        after_bp=51,
        negatives=("genomic", "shifted"),
    )


def test_promoters_stay_and_negatives_are_new_every_epoch(config):
    source = config.open().train
    assert len(source) == 2 * 3  # c reaches into a stretch of N
    for index in range(2):
        assert source.record(index, epoch=0) == source.record(index, epoch=5)
        assert source.record(index, epoch=0).labels == ("promoter",)
    for index in range(2, 6):
        drawn = {source.record(index, epoch=epoch).interval.start for epoch in range(12)}
        assert len(drawn) > 8
        assert source.record(index, epoch=3) == source.record(index, epoch=3)
        assert source.record(index, epoch=3).labels == ("background",)
    site, shifted = source.record(0, epoch=0).interval, source.record(4, epoch=0).interval
    assert 3_000 <= abs(site.start - shifted.start) <= 9_000


def test_promoters_are_seen_on_their_strand_and_near_their_place_when_asked(config, genome):
    source = dataclasses.replace(config, jitter_bp=20).open().train
    starts = {source.record(0, epoch=epoch).interval.start for epoch in range(60)}
    assert len(starts) > 20
    exact = 20_000 + 1 - 51
    assert exact - 20 <= min(starts) < max(starts) <= exact + 20
    record = source.record(0, epoch=1)
    assert record.interval.strand == "-"
    assert record.sequence == genome.window(record.interval).sequence


def test_windows_of_several_lengths_follow_one_another(config):
    data = dataclasses.replace(config, spans_bp=(300, 1_000), negatives=("genomic",)).open()
    lengths = [len(data.train.record(index, epoch=2).sequence) for index in range(len(data.train))]
    assert lengths == [300] * 4 + [1_000] * 4
    assert [len(record.sequence) for record in data.validation] == [300] * 4 + [1_000] * 4
    for index in (0, 4):
        place = data.train.record(index, epoch=0).interval
        assert place.end - 1 - 20_000 == place.length // 2  # on the - strand so many bases come first
        assert data.train.record(index, epoch=0).labels == ("promoter",)


def test_labels_along_a_window_stand_at_its_sites_and_nothing_else_counts(config, genome):
    (site_b, other_strand) = (40_300, 40_330)
    with Path(config.sites).open("a") as file:
        file.write(f"chr1\t{other_strand}\t{other_strand + 1}\tf\t0\t-\n")
    along = dataclasses.replace(config, spans_bp=(1_000,), label_bp=50, negatives=("genomic",)).open()
    assert along.labels == ("promoter+", "promoter-")
    seen = set()
    for epoch in range(20):
        for index in range(len(along.train)):
            record = along.train.record(index, epoch=epoch)
            place = record.interval
            is_turned = record.sequence != genome.window(place).sequence
            first, last = sorted(record.ignored)
            counted = (first[1], last[0])
            assert counted == ((449, 550) if is_turned else (450, 551))
            assert record.labels == ()
            if (place.start, place.end) == (site_b - 500, site_b + 500) and place.strand == "+":
                expected = {(450, 551, "promoter+"), (480, 581, "promoter-")}
                if is_turned:
                    expected = {(449, 550, "promoter-"), (419, 520, "promoter+")}
                assert set(record.spans) == expected
                seen.add(is_turned)
            for start, end, label in record.spans:  # where a label says, a site of that strand is
                middle = (start + end) // 2
                on_place = len(record.sequence) - 1 - middle if is_turned else middle
                position = place.start + on_place if place.strand == "+" else place.end - 1 - on_place
                assert position in {20_000, site_b, other_strand}
                reads_minus = (place.strand == "-") != is_turned
                assert ((position != site_b) == reads_minus) == (label == "promoter+")
    assert seen == {True, False}
    held_out = along.validation[0]
    assert held_out.spans == ((450, 551, "promoter+"),)
    assert along.validation[-1].spans == ()


def test_validation_is_that_of_a_set_with_the_same_seed(config, fasta):
    one = dataclasses.replace(config, negatives=("genomic",), seed=4)
    made = promoter_set(
        PromoterSetConfig(
            genomes=(fasta,),
            sites=Path(config.sites),
            regions={"train": ["chr1"], "validation": ["chr2"]},
            reach=Reach(before_bp=249, after_bp=51),
            negatives="genomic",
            seed=4,
        )
    )
    assert one.open().validation == [window.record for window in made.parts["validation"]]
    assert one.open().labels == ("background", "promoter")


def test_a_run_against_synthetic_negatives_is_told_what_kmers_reach(config, caplog):
    pytest.importorskip("sklearn")
    config.open()
    assert caplog.text.count("synthetic") == 0
    dataclasses.replace(config, negatives=("permutation",)).open()
    assert "the negatives of this set are synthetic" in caplog.text
    assert re.search(r"Counts of 1- to 5-mers alone reach an AUROC of \d\.\d{3} on the validation windows", caplog.text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"negatives": ()}, r"data.negatives must name a strategy, for example \[\"gc-matched\"\]"),
        ({"negatives": ("fake",)}, r"negatives must be one of substitution, .*got 'fake'"),
        ({"after_bp": 0}, r"data.after_bp must be at least 1, got 0"),
        ({"spans_bp": (300, 120)}, r"data.spans_bp must be multiples of 50, got 120"),
        ({"label_bp": -1}, r"data.label_bp must be at least 0, got -1"),
        (
            {"label_bp": 100, "negatives": ("permutation",)},
            r"data.label_bp needs negatives of real genome: .*; use gc-matched, shifted or genomic, or label_bp=0",
        ),
        ({"jitter_bp": -1}, r"data.jitter_bp must be at least 0, got -1"),
        ({"genomes": ()}, r"data.genomes is not set; for example"),
        ({"train_regions": ("chr2",)}, r"data.train_regions and data.validation_regions share chr2:1-200,000"),
    ],
)
def test_settings_that_give_no_records_are_refused(config, changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(config, **changes).open()


def test_regions_without_a_usable_site_are_refused(config):
    with pytest.raises(
        DataError, match=r"no start site in chr1:99,000-101,000 has a window of 300 bases and a negative"
    ):
        dataclasses.replace(config, train_regions=("chr1:99,000-101,000",), negatives=("shifted",)).open()
