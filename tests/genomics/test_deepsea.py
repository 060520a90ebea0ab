import dataclasses

import numpy as np
import pytest

from bigbird.errors import ConfigError, DataError
from bigbird.genomics.deepsea import DeepSeaData, whole_bins
from bigbird.recipes import recipe
from bigbird.tasks import BinClassification
from bigbird.tokenizers import reverse_complement
from deepsea_folders import LABELS, SEQUENCES, TRUTH, write_csv
from helpers import dna


@pytest.fixture
def data(tmp_path):
    write_csv(tmp_path / "rows.csv")
    return DeepSeaData(train=str(tmp_path / "rows.csv"), validation=str(tmp_path / "rows.csv"))


def test_rows_are_records_with_the_labels_of_their_middle(data):
    datasets = data.open()
    assert datasets.labels == ("1", "2", "3", "4", "5")
    for row, record in enumerate(datasets.validation):
        assert record.sequence == SEQUENCES[row]
        expected = tuple(str(column + 1) for column in np.flatnonzero(TRUTH[row]))
        assert record.labels == expected
        assert record.spans == tuple((400, 600, label) for label in expected)
        assert record.ignored == ((0, 400), (600, 1000))
    task = BinClassification(labels=datasets.labels)
    truth = task.truth(datasets.validation[0])
    assert truth.is_known.tolist() == [False, False, True, False, False]
    assert (truth.targets[2] == TRUTH[0]).all()
    assert [record.name for record in datasets.validation[1:]] == ["rows.csv:2", "rows.csv:3"]
    assert list(datasets.corpus()) == SEQUENCES


def test_training_shows_both_strands(data):
    source = data.open().train
    shown = {source.record(0, epoch=epoch).sequence for epoch in range(20)}
    assert shown == {SEQUENCES[0], reverse_complement(SEQUENCES[0])}
    plain = dataclasses.replace(data, augment="none").open().train
    assert {plain.record(0, epoch=epoch).sequence for epoch in range(20)} == {SEQUENCES[0]}


def test_the_labelled_bases_may_lie_behind_5000_others(tmp_path):
    sequence = dna(8000, 0)
    (tmp_path / "a.csv").write_text(f"{sequence},1,0\n")
    centred, other = (DeepSeaData(windows=windows, window_bp=600) for windows in ("centred", "5000+200+3000"))
    assert centred.records(tmp_path / "a.csv")[0].sequence == sequence[3700:4300]
    (record,) = other.records(tmp_path / "a.csv")
    assert record.sequence == sequence[4800:5400]
    assert record.spans[0][:2] == (200, 400)


def test_bins_of_a_centred_window_are_whole(tmp_path):
    assert (whole_bins(8000), whole_bins(1000), whole_bins(200)) == (7800, 1000, 200)
    (tmp_path / "a.csv").write_text(f"{dna(8000, 0)},1,0\n")
    (record,) = DeepSeaData(window_bp=whole_bins(8000)).records(tmp_path / "a.csv", ("x", "y"))
    truth = BinClassification(labels=("x", "y")).truth(record)
    assert np.argwhere(truth.targets).tolist() == [[19, 0]]
    assert np.flatnonzero(truth.is_known).tolist() == [19]


def test_what_does_not_fit_is_told(data, tmp_path):
    with pytest.raises(DataError, match=r"rows.csv has 5 labels, the model 2; they must be the same, in one order"):
        data.records(tmp_path / "rows.csv", ("a", "b"))
    with pytest.raises(
        DataError, match=r"row 1 has 1,000 bases; with data.windows='5000\+200\+3000' the labelled 200 begin at"
    ):
        dataclasses.replace(data, windows="5000+200+3000").records(tmp_path / "rows.csv")[0]
    with pytest.raises(DataError, match=r"too few for data.window_bp=2000 around the labelled ones"):
        dataclasses.replace(data, window_bp=2000).records(tmp_path / "rows.csv")[0]
    with pytest.raises(ConfigError, match=r"data.window_bp must be 0 or at least the 200 labelled bases, got 100"):
        dataclasses.replace(data, window_bp=100)
    (tmp_path / "other.csv").write_text(f"{dna(1000, 0)},1,0\n")
    with pytest.raises(DataError, match=r"have different labels; give files of one data set"):
        dataclasses.replace(data, validation=str(tmp_path / "other.csv")).open()


def test_the_recipe_counts_positives_eightfold():
    task = recipe("genomics.deepsea").task
    assert (task.positive_weight, task.answer) == (8.0, "many")
    assert len(TRUTH[0]) == LABELS
