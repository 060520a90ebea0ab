import dataclasses

import numpy as np
import pytest

from bigbird.data.intervals import Interval
from bigbird.data.records import Span
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.promoter_records import PromoterData, PromoterWindows
from bigbird.genomics.promoters import GC_TOLERANCE, Sites, centred, gc_share

REGIONS = [Interval("chr1", 0, 200_000), Interval("chr2", 0, 200_000)]
CONFIG = PromoterData(window_bp=2_000, span_bp=75, any_share=1.0)


@pytest.fixture
def windows(genome, sites):
    return PromoterWindows(genome, sites, REGIONS, CONFIG)


def genome_place(record, index):
    """Where base `index` of a record lies; a reversed record was cut from its interval and turned."""
    return record.interval.start + index


def test_an_epoch_shows_every_promoter_once_with_its_negative_and_others(windows, sites):
    assert len(windows) == 5 + 5 + 5
    for index, site in enumerate(sites.promoters):
        record = windows.record(index, epoch=0)
        assert record.interval.start <= site.start < record.interval.end
        assert any(span.label.startswith("promoter") for span in record.spans)
    for index in range(5, 10):
        assert windows.record(index, epoch=0).spans == ()


def test_a_promoter_moves_in_its_window_from_epoch_to_epoch_and_shows_both_strands(windows):
    records = [windows.record(1, epoch=epoch) for epoch in range(40)]
    assert len({record.interval.start for record in records}) > 30
    assert {span.label for record in records for span in record.spans} == {"promoter+", "promoter-"}
    assert windows.record(1, epoch=3) == records[3]


def test_no_window_reads_beyond_its_region(genome):
    promoters = [Interval("chr1", place, place + 1, "+") for place in (50_000, 50_700, 119_300, 119_999)]
    regions = [Interval("chr1", 50_000, 120_000)]
    source = PromoterWindows(genome, Sites(promoters), regions, CONFIG)
    for index in range(len(source)):
        for epoch in range(20):
            interval = source.record(index, epoch=epoch).interval
            assert interval.start >= 50_000
            assert interval.end <= 120_000


def test_a_negative_has_its_promoter_s_composition_around_a_place_far_from_every_start(genome, sites):
    source = PromoterWindows(genome, sites, REGIONS, dataclasses.replace(CONFIG, window_bp=8_000))
    matched = 0
    for index, site in enumerate(sites.promoters):
        own = gc_share(genome.window(centred(site, 2_000)).sequence)
        for epoch in range(10):
            place = source._negative(site, (0, epoch, 5 + index))
            assert sites.distance(place.contig, np.array([place.start]))[0] >= 9_000
            matched += abs(gc_share(genome.window(centred(place, 2_000)).sequence) - own) <= GC_TOLERANCE
            window = source.record(5 + index, epoch=epoch).interval
            assert window.start <= place.start < window.end
    assert matched >= 40


def test_a_region_shorter_than_a_window_is_refused(genome, sites):
    with pytest.raises(
        ConfigError, match=r"window_bp 2000 must fit into every region; chr1:19,501-20,500.* is shorter"
    ):
        PromoterWindows(genome, sites, [Interval("chr1", 19_500, 20_500)], CONFIG)


def test_labels_stand_where_the_sites_are_also_on_the_other_strand(genome, windows):
    for epoch in range(20):
        record = windows.record(3, epoch=epoch)  # the promoter at 60,000 on -
        forward = genome.window(dataclasses.replace(record.interval, strand="+")).sequence
        is_turned = record.sequence != forward
        (span,) = record.spans
        middle = (span.start + span.end - 1) // 2
        place = record.interval.end - 1 - middle if is_turned else record.interval.start + middle
        assert place == 60_000
        assert span.end - span.start == 151
        assert span.label == ("promoter+" if is_turned else "promoter-")


def test_starts_only_the_annotation_knows_are_left_out_of_account(genome, sites):
    source = PromoterWindows(genome, sites, REGIONS, CONFIG)
    record = source._labelled(Interval("chr1", 61_000, 63_000))
    assert record.spans == ()
    assert record.ignored == ((700, 1300),)


def test_a_promoter_beside_such_a_start_still_counts(genome):
    sites = Sites([Interval("chr1", 50_000, 50_001, "+")], [Interval("chr1", 50_200, 50_201, "+")])
    source = PromoterWindows(genome, sites, [Interval("chr1", 0, 200_000)], CONFIG)
    record = source._labelled(Interval("chr1", 49_000, 51_000))
    assert record.spans == (Span(925, 1076, "promoter+"),)
    assert record.ignored == ((1300, 1500),)


def test_a_window_over_the_contig_s_end_is_filled_with_n(windows):
    sequences = [windows.record(4, epoch=epoch).sequence for epoch in range(30)]
    assert all(len(sequence) == 2_000 for sequence in sequences)
    assert any("NNN" in sequence for sequence in sequences)


def bed(tmp_path, text):
    path = tmp_path / "sites.bed"
    path.write_text(text)
    return str(path)


def test_the_whole_way_from_files(tmp_path, fasta):
    sites = bed(
        tmp_path,
        "chr1\t3000\t3001\ta\t0\t+\nchr1\t60000\t60001\tb\t0\t-\nchr2\t90000\t90001\tc\t0\t+\nchr9\t1\t2\td\t0\t+\n",
    )
    config = PromoterData(
        genomes=(str(fasta),),
        sites=sites,
        train_regions=("chr1",),
        validation_regions=("chr2",),
        window_bp=2_000,
    )
    datasets = config.open()
    assert len(datasets.train) == 2 + 2 + 1
    assert {record.interval.contig for record in datasets.validation} == {"chr2"}
    assert datasets.labels == ("promoter+", "promoter-")
    assert len(next(iter(datasets.corpus()))) == 500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t10\t12\ta\t0\t+\n", r"must hold one base per line, the start site, and its strand in column 6"),
        ("chr1\t10\t11\n", r"must hold one base per line"),
        ("chr2\t10\t11\ta\t0\t+\n", r"no promoter site lies in chr1"),
    ],
)
def test_a_file_that_holds_no_start_sites_is_refused(tmp_path, fasta, text, message):
    config = PromoterData(
        genomes=(str(fasta),), sites=bed(tmp_path, text), train_regions=("chr1",), validation_regions=("chr2",)
    )
    with pytest.raises(DataError, match=message):
        config.open()


def test_validation_on_training_bases_is_refused(tmp_path, fasta):
    config = PromoterData(
        genomes=(str(fasta),),
        sites=bed(tmp_path, "chr1\t3000\t3001\ta\t0\t+\n"),
        train_regions=("chr1:1-100000",),
        validation_regions=("chr1:99001-200000",),
    )
    with pytest.raises(ConfigError, match=r"share chr1:99,001-100,000; validate on bases not trained on"):
        config.open()


def test_what_is_not_set_is_named():
    with pytest.raises(ConfigError, match=r"data.sites is not set; for example --set 'data.sites=promoters.bed'"):
        PromoterData(genomes=("x",)).open()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("window_bp", 0, "data.window_bp must be at least 50, got 0"),
        ("window_bp", 4_010, "data.window_bp must be a multiple of 50, got 4010"),
        ("span_bp", -1, "data.span_bp must be at least 0, got -1"),
        ("any_share", -0.1, "data.any_share must be at least 0, got -0.1"),
        ("any_share", float("nan"), "data.any_share must be at least 0, got nan"),
        ("any_share", float("inf"), "data.any_share must be at least 0, got inf"),
        ("seed", -1, r"data.seed must be from 0 to 2\*\*63 - 1, got -1"),
    ],
)
def test_settings_that_give_no_records_are_refused(name, value, message):
    with pytest.raises(ConfigError, match=message):
        PromoterData(**{name: value})


def test_a_contrast_counts_only_the_bases_around_one_place(genome, sites):
    source = PromoterWindows(genome, sites, REGIONS, dataclasses.replace(CONFIG, contrast_share=2.0))
    assert len(source) == 15 + 20
    distances = []
    for index in range(15, 35):
        for epoch in range(5):
            record = source.record(index, epoch=epoch)
            (_, first), (last, length) = sorted(record.ignored)
            assert (length, last - first) == (2_000, 151) or first == 0 or last == length
            middle = (first + last) // 2
            forward = genome.window(dataclasses.replace(record.interval, strand="+")).sequence
            is_turned = record.sequence != forward
            place = record.interval.end - 1 - middle if is_turned else record.interval.start + middle
            distance = int(sites.distance(record.interval.contig, np.array([place]))[0])
            is_negative = (index - 15) % 2
            assert distance > 1_400 if is_negative else distance <= 75
            if is_negative:
                distances.append(distance)
    assert min(distances) < 8_000 < max(distances)  # some beside a promoter, some far from all
