"""What a run that learns to sum documents up is shown."""

import json
import logging
from dataclasses import replace

import pytest

from bigbird import config
from bigbird.data.sources import shuffled
from bigbird.data.summaries import SummarizedDocument
from bigbird.data.summary_data import SummaryData, SummarySource, noted_fields
from bigbird.data.summary_files import SummaryFields
from bigbird.errors import ConfigError

DOCUMENTS = [SummarizedDocument(document=f"text {n}", summaries=("a", "b", "c"), name=str(n)) for n in range(6)]


def file(path, *texts, document="document"):
    path.write_text("".join(json.dumps({document: text, "summary": "short"}) + "\n" for text in texts))
    return str(path)


def test_an_epoch_shows_every_document_with_one_of_its_summaries():
    source = SummarySource(DOCUMENTS, seed=3)
    shown = [[source.record(index, epoch=epoch) for index in range(6)] for epoch in range(8)]
    assert all([one.document for one in some] == [one.document for one in DOCUMENTS] for some in shown)
    assert {one.summaries for some in shown for one in some} == {("a",), ("b",), ("c",)}
    assert len({one.draw for some in shown for one in some}) == 48
    assert len({tuple(one.summaries for one in some) for some in shown}) > 1


def test_what_is_shown_depends_on_seed_epoch_and_place_alone():
    source, again, other = (SummarySource(DOCUMENTS, seed) for seed in (3, 3, 4))
    positions = range(20)
    series = [shuffled(source, place, seed=1) for place in positions]
    assert [shuffled(again, place, seed=1) for place in reversed(positions)][::-1] == series
    assert [shuffled(other, place, seed=1) for place in positions] != series
    assert sorted(one.name for one in series[:6]) == sorted(one.name for one in DOCUMENTS)


def test_data_opens_files_of_any_fields(tmp_path):
    train = file(tmp_path / "t.jsonl", "one", "two", document="text")
    validation = file(tmp_path / "v.jsonl", "three", document="text")
    datasets = SummaryData(train=train, validation=validation, fields=SummaryFields(document="text")).open()
    assert (len(datasets.train), len(datasets.validation), datasets.labels) == (2, 1, ())
    assert list(datasets.corpus()) == ["one", "two"]
    assert replace(datasets.train.record(1, epoch=5), draw=0) == SummarizedDocument(
        document="two", summaries=("short",), name="t.jsonl:2"
    )


def test_a_model_is_told_under_which_names_it_found_what(tmp_path):
    train, validation = file(tmp_path / "t.jsonl", "one"), file(tmp_path / "v.jsonl", "two")
    assert SummaryData(train=train, validation=validation).open().notes == {}
    assert noted_fields({"seed": 0}) == SummaryFields()
    fields = SummaryFields(document="text", list_of="sentences")
    train, validation = (file(tmp_path / name, name, document="text") for name in ("t.jsonl", "v.jsonl"))
    notes = SummaryData(train=train, validation=validation, fields=fields).open().notes
    assert notes == {"fields": {"document": "text", "list_of": "sentences"}}
    assert noted_fields(json.loads(json.dumps(notes))) == fields
    with pytest.raises(ConfigError, match=r"the model's notes: there is no setting 'docs'"):
        noted_fields({"fields": {"docs": "text"}})


def test_texts_that_are_learned_and_scored_are_counted(tmp_path, caplog):
    train, validation = file(tmp_path / "t.jsonl", "one", "two"), file(tmp_path / "v.jsonl", "two", "three")
    with caplog.at_level(logging.WARNING):
        SummaryData(train=train, validation=validation).open()
    assert "v.jsonl: the texts of 1 of 2 items are learned from too, which flatters their scores" in caplog.messages[0]
    caplog.clear()
    SummaryData(train=train, validation=file(tmp_path / "w.jsonl", "three")).open()
    assert not caplog.messages


def test_data_needs_both_files_and_a_seed_that_is_one(tmp_path):
    train = file(tmp_path / "t.jsonl", "one")
    with pytest.raises(
        ConfigError, match=r"data.train is not set; give a file of documents with summaries: --set data"
    ):
        SummaryData().open()
    with pytest.raises(ConfigError, match=r"data.validation is not set"):
        SummaryData(train=train).open()
    with pytest.raises(ConfigError, match=r"data.seed must be from 0"):
        SummaryData(seed=-1)


def test_settings_are_set_and_saved_as_those_of_any_run():
    given = ["train=a.jsonl", "fields.document=article_text", "fields.list_of=sentences"]
    data = config.overridden(SummaryData(), given)
    assert data == SummaryData(train="a.jsonl", fields=SummaryFields(document="article_text", list_of="sentences"))
    assert config.from_json(SummaryData, config.to_json(data), source="run.json") == data
    with pytest.raises(ConfigError, match=r"fields.list_of got 'words'"):
        config.overridden(SummaryData(), ["fields.list_of=words"])
