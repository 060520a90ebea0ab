"""A prepared corpus as data of a run: every token once an epoch for any ranks, damage told, rows cut at words."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird import config as configs
from bigbird.data.manifest import write_checked
from bigbird.data.packing import RowShape
from bigbird.data.prepared import PackedRows, PreparedCorpus, PreparedData, held_out_rows, packed_rows
from bigbird.data.sources import shuffled
from bigbird.errors import ConfigError, DataError, InputError
from bigbird.randomness import derived_seed
from corpora import dna_lines, prepared
from helpers import dna


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("prepared")
    dna_lines(place / "a.jsonl", count=60)
    prepared(place / "corpus", place / "a.jsonl")
    return place / "corpus"


@pytest.fixture(scope="module")
def corpus(folder):
    return PreparedCorpus.open(folder)


def rows_for(corpus, **changes):
    return packed_rows(corpus, corpus.train_documents, **{"row_length": 64, "block_size": 8, "seed": 3} | changes)


def put_together(rows):
    """The documents that rows hold, by number: every place must be filled once."""
    found = {}
    for piece in (piece for row in rows for piece in row.pieces):
        for place, token in enumerate(piece.token_ids.tolist(), start=piece.start):
            assert (piece.document, place) not in found
            found[piece.document, place] = token
    documents = {}
    for (document, place), token in sorted(found.items()):
        assert place == len(documents.setdefault(document, []))
        documents[document].append(token)
    return documents


@settings(deadline=None, max_examples=30)
@given(
    ranks=st.integers(1, 5),
    batch=st.integers(1, 7),
    seed=st.integers(0, 1000),
    epoch=st.integers(0, 3),
    row_length=st.sampled_from([16, 64, 160]),
)
def test_every_token_is_seen_once_an_epoch_whatever_the_number_of_ranks(corpus, ranks, batch, seed, epoch, row_length):
    """Ranks read micro-batches in turn, each from a source of its own, as the trainer's positions have it."""
    sources = [rows_for(corpus, row_length=row_length, seed=seed) for _ in range(ranks)]
    length = len(sources[0])
    rows = []
    for number, first in enumerate(range(0, length, batch)):
        places = range(epoch * length + first, epoch * length + min(first + batch, length))
        rows += [shuffled(sources[number % ranks], place, seed=seed) for place in places]
    documents = put_together(rows)
    assert sorted(documents) == corpus.train_documents.tolist()
    assert all(documents[number] == corpus.tokens(number).tolist() for number in documents)


def test_a_row_is_the_same_in_any_order_of_asking_and_in_another_process_form(corpus):
    one, other = rows_for(corpus), rows_for(corpus)
    backwards = {
        (epoch, index): other.record(index, epoch=epoch) for epoch in (2, 0) for index in range(len(other))[::-1]
    }
    for (epoch, index), row in backwards.items():
        again = one.record(index, epoch=epoch)
        assert [piece[1:] for piece in row.pieces] == [piece[1:] for piece in again.pieces]
        assert all((a.token_ids == b.token_ids).all() for a, b in zip(row.pieces, again.pieces, strict=True))


def test_a_piece_says_where_it_is_from(corpus):
    for row in (rows_for(corpus).record(index, epoch=4) for index in range(5)):
        assert sum(-(-(len(piece.token_ids) + 2) // 8) for piece in row.pieces) <= 8
        for piece in row.pieces:
            assert piece.token_ids.dtype == np.int32
            assert piece.name == corpus.name(piece.document)
            assert piece.draw == derived_seed(3, 4, piece.document)


def test_a_row_that_is_not_there_is_an_index_error(corpus):
    rows = rows_for(corpus)
    with pytest.raises(IndexError, match=f"row {len(rows)} of {len(rows)}"):
        rows.record(len(rows), epoch=0)
    with pytest.raises(IndexError, match="tokens 0 to 100000 of document 0, which has 20"):
        corpus.tokens(0, 0, 100_000)


def test_held_out_documents_are_rows_of_their_own_the_same_each_time_and_some_of_them_if_wished(corpus):
    rows = held_out_rows(corpus, row_length=64, block_size=8)
    assert sorted(put_together(rows)) == corpus.held_out_documents.tolist()
    assert not set(put_together(rows)) & set(put_together([rows_for(corpus).record(i, epoch=0) for i in range(9)]))
    some = held_out_rows(corpus, row_length=64, block_size=8, num_rows=3)
    assert len(some) == 3
    assert [piece.name for piece in some[0].pieces] == [piece.name for piece in rows[0].pieces]
    assert [len(row.pieces) for row in rows[:2]] == [len(rows[0].pieces), len(rows[1].pieces)]


def test_draws_of_a_held_out_document_do_not_depend_on_the_length_of_rows(corpus):
    draws = [
        {
            piece.document: piece.draw
            for row in held_out_rows(corpus, row_length=length, block_size=8)
            for piece in row.pieces
        }
        for length in (16, 128)
    ]
    assert draws[0] == draws[1]


def test_documents_are_cut_where_words_start(corpus):
    """Every token of A counts as the start of a word: a cut lies in front of an A if one is within a few tokens."""
    starts = np.zeros(corpus.manifest.vocab_size, bool)
    starts[corpus.load_tokenizer().special_id("[MASK]") + 1] = True  # A, the first letter
    shape = RowShape(row_length=64, block_size=16, whole_words=True)
    rows = PackedRows(corpus, corpus.train_documents, shape, seed=0, word_starts=starts)
    for epoch in (0, 1):
        found = [rows.record(index, epoch=epoch) for index in range(len(rows))]
        documents = put_together(found)
        assert all(documents[number] == corpus.tokens(number).tolist() for number in documents)
        assert all(sum(-(-(len(p.token_ids) + 2) // 16) for p in row.pieces) <= 4 for row in found)
        pieces = [piece for row in found for piece in row.pieces]
        planned = rows.plan(epoch).starts.tolist()
        assert sum(start > 0 for start in planned) > 20
        for piece, start in zip(pieces, planned, strict=True):
            allowed = range(start, max(start - shape.shift, 0) - 1, -1)
            tokens = corpus.tokens(piece.document)
            assert piece.start == next((place for place in allowed if start and starts[tokens[place]]), start)


def test_data_of_a_run(folder, corpus):
    data = PreparedData(corpus=str(folder), row_length=64, block_size=8, num_validation=4)
    datasets = data.open()
    assert len(datasets.validation) == 4
    assert len(datasets.train) == len(rows_for(corpus))
    assert (datasets.block_size, datasets.sha256, datasets.labels) == (8, corpus.sha256, ())
    assert datasets.tokenizer.vocab_size == corpus.manifest.vocab_size
    assert configs.from_json(PreparedData, configs.to_json(data), source="here") == data


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"corpus": ""},
            "data.corpus is not set; give the folder of a prepared corpus, for example --set data.corpus=",
        ),
        ({"row_length": 100}, "data.row_length must be a multiple of the model's block size 64, got 100"),
        ({"num_validation": -1}, "data.num_validation must be at least 0, got -1"),
        ({"seed": -1}, "data.seed must be from 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(folder, changes, text):
    with pytest.raises(ConfigError, match=text):
        PreparedData(**{"corpus": str(folder)} | changes).open()


def test_without_held_out_documents_there_is_nothing_to_validate_on(tmp_path):
    prepared(tmp_path / "corpus", dna_lines(tmp_path / "a.jsonl"), held_out=0)
    with pytest.raises(
        DataError, match="holds out no documents, so nothing tells how good a model is. Prepare it with"
    ):
        PreparedData(corpus=str(tmp_path / "corpus")).open()


def test_no_corpus_is_told(tmp_path):
    with pytest.raises(
        DataError, match=r"is no prepared corpus: it has no manifest.json. Make one, or finish one that"
    ):
        PreparedCorpus.open(tmp_path)


@pytest.fixture
def copy(tmp_path):
    dna_lines(tmp_path / "a.jsonl", count=20)
    prepared(tmp_path / "corpus", tmp_path / "a.jsonl")
    return tmp_path / "corpus"


def read_all(folder):
    corpus = PreparedCorpus.open(folder)
    corpus.load_tokenizer()
    for number in range(corpus.manifest.num_documents):
        corpus.tokens(number)
        corpus.name(number)


DAMAGE = {
    "a byte changed": lambda data: data[:15] + bytes([data[15] ^ 1]) + data[16:],
    "cut off": lambda data: data[:-1],
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
    "too long": lambda data: data + b"\0",
    "missing": None,
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_of_any_file_is_told_with_its_name_and_nothing_of_it_is_read(copy, how):
    read_all(copy)
    files = [path for path in copy.rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        data = path.read_bytes()
        path.unlink() if how == "missing" else path.write_bytes(DAMAGE[how](data))
        name = path.name if "tokenizer" not in str(path.relative_to(copy)) else "tokenizer"
        with pytest.raises(InputError, match=name):
            read_all(copy)
        path.write_bytes(data)
    read_all(copy)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda values: values.update(num_tokens=values["num_tokens"] + 1), "says num_tokens [0-9,]+, its shards sum"),
        (lambda values: values.update(num_held_out=0), "says num_held_out 0, its shards sum up to"),
        (lambda values: values.update(dtype="<u8"), "dtype must be <u2 or <u4, got '<u8'"),
        (lambda values: values.update(dtype="<u4"), "shard 00000 has [0-9,]+ tokens but [0-9,]+ bytes of them"),
        (lambda values: values["shards"].reverse(), "shard 0 must be named 00000, got"),
        (lambda values: values["shards"][0]["files"].pop("names"), "must have tokens, documents and names"),
        (lambda values: values["shards"][0].update(num_documents=99)
            or values.update(num_documents=sum(shard["num_documents"] for shard in values["shards"])),
            "00000.documents tells of [0-9]+ documents, the manifest 99"),
        (lambda values: values.pop("tokenizer_id"), "tokenizer_id is missing. The corpus may be another version's"),
        (lambda values: values.update(format=2), "has another format than 1, which this bigbird reads"),
        (lambda values: values["shards"][0].update(num_letters=values["shards"][0]["num_letters"] + 1)
            or values.update(num_letters=values["num_letters"] + 1), "00000.documents sums up to num_letters"),
    ],
)  # fmt: skip
def test_a_manifest_that_contradicts_itself_is_told(copy, change, text):
    values = json.loads((copy / "manifest.json").read_text())
    values.pop("checksum")
    change(values)
    write_checked(copy / "manifest.json", values)
    with pytest.raises(DataError, match=text):
        PreparedCorpus.open(copy)


def test_a_manifest_changed_by_hand_is_told(copy):
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(DataError, match="manifest.json is damaged or was changed by hand: its checksum does not fit"):
        PreparedCorpus.open(copy)


def test_names_of_another_number_are_told(copy):
    import hashlib

    path = copy / "shards" / "00000.names"
    path.write_text("[]")
    values = json.loads((copy / "manifest.json").read_text())
    values.pop("checksum")
    values["shards"][0]["files"]["names"] = {"num_bytes": 2, "sha256": hashlib.sha256(b"[]").hexdigest()}
    write_checked(copy / "manifest.json", values)
    with pytest.raises(DataError, match=r"00000.names does not name [0-9]+ documents"):
        read_all(copy)


def test_a_document_a_shard_is_found_again(tmp_path):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"id": str(n), "text": dna(30, n)}) + "\n" for n in range(9)))
    prepared(tmp_path / "corpus", tmp_path / "a.jsonl", shard_letters=30)
    corpus = PreparedCorpus.open(tmp_path / "corpus")
    assert len(corpus.manifest.shards) == 9
    decode = corpus.load_tokenizer().decode
    assert [(corpus.name(n), decode(corpus.tokens(n))) for n in range(9)] == [(str(n), dna(30, n)) for n in range(9)]


def test_a_shard_whose_documents_have_no_tokens_is_read(tmp_path):
    from bigbird.data import shards
    from bigbird.data.shards import TokenizedDocument, write_shard

    entry = write_shard(tmp_path, 0, [TokenizedDocument("a", np.zeros(0, "<u2"), 3, held_out=False)], dtype="<u2")
    assert len(shards.map_tokens(tmp_path, entry, dtype="<u2")) == 0
    assert shards.read_names(tmp_path, entry) == ["a"]
