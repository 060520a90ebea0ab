import pytest

from bigbird.data.records import Record, Span
from bigbird.data.sources import FileData, FixedRecords
from bigbird.errors import ConfigError, DataError


def labels_seen(*records):
    source = FixedRecords(records, augment="reverse-complement")
    return [{source.record(index, epoch=epoch).labels for epoch in range(30)} for index in range(len(records))]


def test_classes_called_plus_and_minus_survive_the_reverse_complement():
    plus, minus = labels_seen(Record(sequence="AAC", labels=("+",)), Record(sequence="CAG", labels=("-",)))
    assert (plus, minus) == ({("+",)}, {("-",)})


def test_a_label_without_a_counterpart_survives_the_reverse_complement():
    high, other = labels_seen(Record(sequence="AAC", labels=("CD4+",)), Record(sequence="CAG", labels=("CD8",)))
    assert (high, other) == ({("CD4+",)}, {("CD8",)})


def test_labels_of_both_strands_change_sides():
    one, other = labels_seen(
        Record(sequence="AAC", labels=("site+",)), Record(sequence="AAC", spans=(Span(0, 1, "site-"),))
    )
    assert (one, other) == ({("site+",), ("site-",)}, {()})


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ConfigError, match=rf"data.seed must be from 0 to 2\*\*63 - 1, got {seed}"):
        FileData(seed=seed)


def test_files_that_are_not_set_are_named():
    with pytest.raises(ConfigError, match=r"data.train is not set; give a file of labelled records, for example --set"):
        FileData().open()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.bed", "chr1\t0\t4\n", "a.bed holds places, not sequences; give the genome they lie on with data.genome"),
        ("a.tsv", "contig\tstart\tend\nchr1\t0\t4\n", "names a place.*the genome it lies on with data.genome"),
    ],
)
def test_places_without_a_genome_are_told_with_the_setting(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    path = str(tmp_path / name)
    with pytest.raises(DataError, match=message):
        FileData(train=path, validation=path).open()
