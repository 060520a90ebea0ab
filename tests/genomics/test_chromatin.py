import dataclasses
import gzip
import re

import numpy as np
import pytest

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.chromatin import ChromatinData, Peaks, read_peaks
from bigbird.genomics.tiles import known_parts, tiled
from bigbird.recipes import recipe
from bigbird.tasks.bins import bin_truth
from bigbird.tokenizers import reverse_complement
from helpers import dna


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("chromatin")
    (path / "genome.fa").write_text(f">chrI\n{dna(10_050, 1)}\n>chrII\n{dna(3_000, 2)}{'N' * 50_000}{dna(3_000, 3)}\n")
    rows = [f"chrI\t{place}\t{place + 1}\tsummit\n" for place in range(50, 10_000, 100)]
    rows += [
        "chrI\t400\t1000\twide\n",
        "chrII\t100\t101\tsummit\n",
        "chrII\t2000\t2001\trare\n",
        "chrII\t9000\t9001\tsummit\n",
    ]
    (path / "peaks.bed").write_text("".join(rows))
    return path


@pytest.fixture
def data(folder):
    return ChromatinData(
        genomes=(str(folder / "genome.fa"),),
        peaks=(str(folder / "peaks.bed"),),
        train_regions=("chrII:1-3000",),
        validation_regions=("chrI",),
        window_bp=1_000,
        bin_bp=100,
        step_bp=600,
        min_peaks=1,
    )


def test_validation_counts_every_bin_once_to_the_ends_of_the_contig(data):
    datasets = data.open()
    assert datasets.labels == ("rare", "summit")  # "wide" has no peak to learn from
    seen = []
    for record in datasets.validation:
        truth = bin_truth(record, datasets.labels, bin_bp=100)
        for number in np.flatnonzero(truth.is_known):
            place = record.interval.start + 100 * number
            seen.append(place)
            expected = place % 100 == 0 and 0 <= place < 10_000
            assert truth.targets[number, 1] == expected, place
    assert seen == list(range(0, 10_050, 100))


def test_the_label_of_a_record_is_that_of_its_middle_bin(data):
    whole = dataclasses.replace(
        data, train_regions=("chrI",), validation_regions=("chrII",), window_bp=300, step_bp=100
    )
    labels = {record.interval.start + 100: record.labels for record in whole.open().validation}
    assert labels[100] == ("summit",)
    assert labels[2000] == ()  # "rare" is not among the training labels
    assert labels[200] == ()
    assert len(labels) == 60  # windows of N alone are left out


def test_training_windows_move_with_the_epoch_and_cover_their_region(data):
    source = data.open().train
    genome = Genome.open(*data.genomes)
    starts, strands, depth = set(), set(), np.zeros(3_000)
    for epoch in range(40):
        for index in range(len(source)):
            record = source.record(index, epoch=epoch)
            place = record.interval
            assert (place.contig, place.length) == ("chrII", 1_000)
            assert 0 <= place.start <= 2_000
            forward = genome.window(place).sequence
            is_turned = record.sequence == reverse_complement(forward)
            assert is_turned or record.sequence == forward
            strands.add(is_turned)
            starts.add(place.start)
            depth[place.start : place.end] += 1 / 40
            truth = bin_truth(record, ("rare", "summit"), bin_bp=1).targets
            truth = truth[::-1] if is_turned else truth
            assert np.flatnonzero(truth[:, 1]).tolist() == [100 - place.start] * (place.start <= 100)
    assert len(starts) > 60
    assert strands == {False, True}
    assert depth.mean() == pytest.approx(1)
    assert depth.min() > 0.4
    assert depth.max() < 1.8
    same = [source.record(1, epoch=3) == source.record(1, epoch=other) for other in (3, 4)]
    assert same == [True, False]


def test_stretches_of_n_are_not_trained_on(folder):
    genome = Genome.open(folder / "genome.fa")
    parts = known_parts(genome, [Interval("chrII", 0, 56_000)], least=1_000)
    assert [(part.start, part.end) for part in parts] == [(0, 20_000), (40_000, 56_000)]
    assert known_parts(genome, [Interval("chrII", 5_000, 25_000)], least=1) == []


def test_tiles_end_in_whole_bins_where_a_region_ends(folder):
    genome = Genome.open(folder / "genome.fa")
    tiles = list(tiled(genome, [Interval("chrI", 500, 1_750)], window_bp=1_000, step_bp=600, bin_bp=200))
    assert [(tile.window.start, tile.window.end, tile.counted) for tile in tiles] == [
        (300, 1_300, (200, 800)),
        (900, 1_900, (200, 800)),
        (1_300, 2_300, (400, 600)),
    ]


def test_peaks_are_named_by_column_or_by_file(tmp_path):
    (tmp_path / "CTCF.narrowPeak").write_text("chr1\t10\t20\tpeak_1\t0\t.\t5\t-1\t-1\t5\n")
    (tmp_path / "GATA1.bed").write_text("chr1\t30\t40\n")
    with gzip.open(tmp_path / "many.bed.gz", "wt") as file:
        file.write("chr1\t50\t51\tREST\t0\t-\n9\t1\t2\tlost\n")
    paths = [tmp_path / name for name in ("CTCF.narrowPeak", "GATA1.bed", "many.bed.gz")]
    peaks = read_peaks(paths, {"chr1": 100})
    assert [(peak.name, peak.start, peak.strand) for peak in peaks] == [
        ("CTCF", 10, "."),
        ("GATA1", 30, "."),
        ("REST", 50, "."),
    ]


def test_peaks_are_found_by_place_however_wide():
    peaks = Peaks(
        [Interval("c", 0, 1000, name="wide"), Interval("c", 400, 401, name="x"), Interval("c", 401, 402, name="y")]
    )
    assert [peak.name for peak in peaks.within(Interval("c", 400, 401))] == ["wide", "x"]
    assert [peak.name for peak in peaks.within(Interval("c", 401, 500))] == ["wide", "y"]
    assert peaks.within(Interval("d", 0, 10)) == []


def test_labels_left_out_are_told(data, caplog):
    with pytest.raises(
        DataError, match=r"none of the 3 labels has 2 peaks in the training regions, the most is 1; set data.min_peaks"
    ):
        dataclasses.replace(data, min_peaks=2).open()
    data.open()
    assert re.search(r"1 of 3 labels are left out: they have fewer than 1 peaks", caplog.text)


def test_labels_can_be_chosen(data):
    assert dataclasses.replace(data, labels=("wide",)).open().labels == ("wide",)
    with pytest.raises(ConfigError, match=r"no peak has the label 'wid' of data.labels; there are rare, summit, wide"):
        dataclasses.replace(data, labels=("wid",)).open()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_bp": 1_050}, r"data.window_bp must be a multiple of data.bin_bp.*got window_bp 1050"),
        ({"step_bp": 1_100}, r"leave whole bins of context on either side"),
        ({"step_bp": 700}, r"leave whole bins of context on either side"),
        ({"min_peaks": 0}, r"data.min_peaks must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(data, changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(data, **changes)


def test_regions_must_hold_a_window_and_lie_apart(data):
    with pytest.raises(ConfigError, match=r"window_bp 1000 must fit into every region; chrII:1-900 is shorter"):
        dataclasses.replace(data, train_regions=("chrII:1-900",)).open()
    with pytest.raises(DataError, match=r"hold no stretch of known bases"):
        dataclasses.replace(data, train_regions=("chrII:3001-53000",)).open()
    with pytest.raises(ConfigError, match=r"share chrI:1-10,050"):
        dataclasses.replace(data, train_regions=("chrI",)).open()
    for part, other in (("train_regions", "validation_regions"), ("validation_regions", "train_regions")):
        twice = {part: ("chrI", "chrI:1-2000"), other: ("chrII",)}
        with pytest.raises(ConfigError, match=r"the regions chrI:.* and chrI:.* share bases; give each base once"):
            dataclasses.replace(data, **twice).open()
    with pytest.raises(ConfigError, match=r"data.peaks is not set"):
        dataclasses.replace(data, peaks=()).open()


def test_the_recipe_s_parts_fit_together():
    run = recipe("genomics.chromatin")
    assert (run.data.window_bp - run.data.step_bp) // 2 == run.task.context_bp
    assert run.data.bin_bp == run.task.bin_bp
    assert run.data.window_bp / run.start.bases_per_token + 2 <= run.task.max_length
