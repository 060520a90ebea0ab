import numpy as np
import pytest

from bigbird.data.genome import Genome
from bigbird.data.genome_windows import GenomeData, random_window, tokenizer_corpus
from bigbird.data.intervals import Interval
from bigbird.errors import ConfigError, DataError
from helpers import dna


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(f">a\n{dna(2000, 1)}\n>b\n{dna(1000, 2)}\n>n\n{'N' * 900}\n")
    return path


def test_windows_are_uniform_over_the_regions_and_strands(path):
    genome = Genome.open(path)
    regions = [Interval("a", 500, 1500), Interval("b", 0, 1000)]
    windows = [random_window(genome, regions, 100, 0, number) for number in range(2000)]
    assert all(w.length == 100 and any(r.contig == w.contig and r.start <= w.start and w.end <= r.end for r in regions)
               for w in windows)  # fmt: skip
    assert np.mean([window.contig == "a" for window in windows]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([window.strand == "+" for window in windows]) == pytest.approx(0.5, abs=0.05)
    starts = [window.start for window in windows if window.contig == "b"]
    assert np.histogram(starts, bins=5, range=(0, 901))[0].min() > 150
    assert windows[7] == random_window(genome, regions, 100, 0, 7)


def test_unknown_stretches_are_avoided(path):
    genome = Genome.open(path)
    regions = [Interval("a", 0, 200), Interval("n", 0, 900)]
    assert {random_window(genome, regions, 100, number).contig for number in range(50)} == {"a"}
    with pytest.raises(DataError, match="almost entirely N"):
        random_window(genome, regions[1:], 100, 0)
    with pytest.raises(DataError, match="no region is as long as a window of 5000 bases"):
        random_window(genome, regions, 5000, 0)


def test_a_tokenizer_corpus_is_clean_dna(path):
    pieces = tokenizer_corpus(Genome.open(path), [Interval("a", 0, 2000)], seed=0)
    piece = next(pieces)
    assert len(piece) == 500
    assert set(piece) <= set("ACGTN")


def test_every_epoch_shows_new_windows_and_validation_stays(path):
    config = GenomeData(
        genomes=(str(path),),
        train_regions=("a",),
        validation_regions=("b",),
        window_bp=200,
        num_records=5,
        num_validation=3,
    )
    one, other = config.open(), config.open()
    assert len(one.train) == 5
    assert one.train.record(0, epoch=0) == other.train.record(0, epoch=0)
    assert one.train.record(0, epoch=0) != one.train.record(0, epoch=1)
    assert one.train.record(0, epoch=0).draw != one.train.record(1, epoch=0).draw
    assert list(one.validation) == list(other.validation)
    assert {record.interval.contig for record in one.validation} == {"b"}


def test_what_is_not_set_is_named_with_an_example():
    with pytest.raises(
        ConfigError, match=r"data.genomes is not set; for example --set 'data.genomes=\[\"chr16.fa.gz\"\]'"
    ):
        GenomeData().open()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("window_bp", 0, "data.window_bp must be at least 1, got 0"),
        ("num_records", 0, "data.num_records must be at least 1, got 0"),
        ("num_validation", 0, "data.num_validation must be at least 1, got 0"),
        ("seed", -1, r"data.seed must be from 0 to 2\*\*63 - 1, got -1"),
        ("seed", 2**63, r"data.seed must be from 0 to 2\*\*63 - 1, got 9223372036854775808"),
    ],
)
def test_settings_that_give_no_records_are_refused(name, value, message):
    with pytest.raises(ConfigError, match=message):
        GenomeData(**{name: value})
