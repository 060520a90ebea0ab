"""Questions with supporting sentences in files: what is read, what is refused, what an epoch shows."""

import gzip
import json
import logging
from dataclasses import replace

import pytest

import multi_hop_cases as cases
from bigbird.data.multi_hop_files import MultiHopData, MultiHopSource, read_multi_hop
from bigbird.errors import ConfigError, DataError

ROWS = [cases.entry(index) for index in range(4)]


def test_files_are_read_by_their_endings(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    with gzip.open(tmp_path / "a.json.gz", "wt") as file:
        file.write(json.dumps(ROWS))
    read = [read_multi_hop(tmp_path / name) for name in ("a.json", "a.jsonl", "a.json.gz")]
    assert read[0] == read[1] == read[2]
    assert [one.name for one in read[0]] == [row["_id"] for row in ROWS]
    with pytest.raises(DataError, match=r"a.csv: questions with supporting sentences are read from .json and .jsonl"):
        read_multi_hop(tmp_path / "a.csv")


def test_data_needs_both_files_and_a_seed_that_is_one(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    file = str(tmp_path / "a.json")
    with pytest.raises(ConfigError, match=r"data.train is not set; give a file in HotpotQA's format: --set data.train"):
        MultiHopData().open()
    with pytest.raises(ConfigError, match=r"data.validation is not set"):
        MultiHopData(train=file).open()
    with pytest.raises(ConfigError, match=r"data.seed must be from 0"):
        MultiHopData(seed=-1)
    datasets = MultiHopData(train=file, validation=file).open()
    assert len(datasets.train) == len(datasets.validation) == 4
    assert list(datasets.corpus()) == [question.asked.document for question in datasets.validation]


def test_answers_that_no_document_spells_are_counted(tmp_path, caplog):
    (tmp_path / "a.json").write_text(json.dumps([ROWS[0] | {"answer": "nowhere"}, *ROWS]))
    with caplog.at_level(logging.WARNING):
        MultiHopData(train=str(tmp_path / "a.json"), validation=str(tmp_path / "a.json")).open()
    (told,) = caplog.messages
    assert "the documents of 1 of 5 questions do not spell the answer; of these its kind and the supporting" in told


def test_an_epoch_shows_every_question_with_a_draw_of_its_own(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    questions = read_multi_hop(tmp_path / "a.json")
    source = MultiHopSource(questions, seed=3)
    shown = [source.record(index, epoch=epoch) for epoch in range(2) for index in range(4)]
    assert len({question.asked.draw for question in shown}) == 8
    assert source.record(2, epoch=1) == shown[6]
    assert [replace(one, asked=replace(one.asked, draw=0)) for one in shown] == questions * 2
