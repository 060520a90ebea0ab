"""Questions with candidates that a run learns from."""

import json

import pytest

from bigbird.data.choice_data import ChoiceData
from bigbird.errors import ConfigError
from choice_cases import as_wikihop, named_value


@pytest.fixture
def files(tmp_path):
    for name, first in (("train", 0), ("dev", 10)):
        rows = [as_wikihop(named_value(index)) for index in range(first, first + 5)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    return {"train": str(tmp_path / "train.json"), "validation": str(tmp_path / "dev.json")}


def test_every_question_is_shown_each_epoch_with_another_draw(files):
    datasets = ChoiceData(**files).open()
    first, second = ([datasets.train.record(index, epoch=epoch) for index in range(5)] for epoch in range(2))
    names = [f"named {index}" for index in range(5)]
    assert [one.name for one in first] == [one.name for one in second] == names
    assert len({one.draw for one in (*first, *second)}) == 10
    assert datasets.train.record(3, epoch=1) == second[3]
    assert [one.name for one in datasets.validation] == [f"named {index}" for index in range(10, 15)]
    assert list(datasets.corpus()) == [one.document for one in first]


def test_both_files_are_needed(files):
    for name in files:
        with pytest.raises(ConfigError, match=rf"data.{name} is not set; give a file of questions in WikiHop's form"):
            ChoiceData(**files | {name: ""}).open()
    with pytest.raises(ConfigError, match=r"data.seed must be from 0"):
        ChoiceData(seed=-1)
