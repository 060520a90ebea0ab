"""Gaps in texts to learn from: what is taken out, that it can be put back, which texts are scored."""

import json

import pytest

from bigbird.data.gap_data import GapData
from bigbird.data.gap_sentences import GapSentences
from bigbird.errors import ConfigError, DataError

TEXTS = [
    f"Cat {number} sleeps on the mat. It rains on house {number}. Nobody knows why cat {number} sleeps. Tea is served."
    for number in range(30)
]


@pytest.fixture
def opened(tmp_path):
    def open_texts(texts=TEXTS, **settings):
        path = tmp_path / "texts.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        return GapData(sources=(str(path),), **settings).open()

    return open_texts


def restored(record):
    """The sentences of the document and of what was taken out."""
    taken = record.summaries[0].split("\n")
    return sorted([*(one.strip(" .") for one in record.document.split(".") if one.strip()), *(t[:-1] for t in taken)])


def test_what_is_taken_out_is_what_is_missing(opened):
    source = opened(validation=0.1).train
    for index in range(len(source)):
        record = source.record(index, epoch=0)
        text = next(text for text in TEXTS if record.summaries[0].split("\n")[0] in text)
        sentences = sorted(one.strip() for one in text.split(".") if one.strip())
        assert set(sentences) == set(restored(record))
        assert 1 <= len(record.gaps) <= len(record.summaries[0].split("\n"))
        assert list(record.gaps) == sorted(record.gaps)


def test_texts_are_scored_or_learned_from(opened):
    found = opened(validation=0.2)
    assert len(found.validation) == 6
    assert len(found.train) == 24
    learned = {found.train.record(index, epoch=0).name for index in range(24)}
    assert not learned & {one.name for one in found.validation}


def test_of_a_long_text_each_epoch_shows_another_piece_of_whole_sentences(opened):
    sentences = [f"Sentence {number} tells of matter {number} at length." for number in range(60)]
    source = opened([" ".join(sentences), *TEXTS[:3]], max_letters=200, validation=0.3).train
    index = next(i for i in range(len(source)) if len(source.documents[i].text) > 1000)
    seen = set()
    for epoch in range(12):
        record = source.record(index, epoch=epoch)
        assert record == source.record(index, epoch=epoch)
        assert len(record.document) + len(record.summaries[0]) <= 2 * 200
        assert all(line in sentences for line in record.summaries[0].split("\n"))
        seen.add(record.document)
    assert len(seen) > 6


def test_no_more_is_taken_out_than_a_decoder_shall_write(opened):
    sentences = [f"Sentence {number} tells of matter {number} at length." for number in range(60)]
    source = opened([" ".join(sentences), *TEXTS[:3]], gaps=GapSentences(max_letters=200), validation=0.3).train
    index = next(i for i in range(len(source)) if len(source.documents[i].text) > 1000)
    record = source.record(index, epoch=0)
    assert 100 < len(record.summaries[0]) <= 200 + 60
    assert len(record.summaries[0].replace("\n", "")) <= 200
    everything = opened([" ".join(sentences), *TEXTS[:3]], gaps=GapSentences(), validation=0.3).train.record(
        index, epoch=0
    )
    assert len(everything.summaries[0]) > 1000


def test_pieces_of_texts_that_split_otherwise_alone_are_learned_from(opened):
    text = "\n".join(f'"""He said {number}. """ Why? x = {number} e.g. No. 5 (a) "b." c' for number in range(60))
    source = opened([text, *TEXTS[:3]], max_letters=200, validation=0.3).train
    for epoch in range(40):
        for index in range(len(source)):
            assert source.record(index, epoch=epoch).summaries[0]


@pytest.mark.parametrize("name", ["x.fa", "x.txt"])
def test_files_without_sentences_are_refused(tmp_path, name):
    (tmp_path / name).write_text(">a\nACGT\n" if name == "x.fa" else "One sentence alone")
    told = "holds DNA, which has no sentences" if name == "x.fa" else "0 texts of two sentences or more; at least two"
    with pytest.raises(DataError, match=told):
        GapData(sources=(str(tmp_path / name),)).open()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "data.sources is not set; give files or folders of texts"),
        ({"validation": 0.0}, "data.validation must be a share between 0 and 1, got 0.0"),
        ({"max_letters": 10}, "data.max_letters must be at least 200, got 10"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        GapData(**settings).open()
