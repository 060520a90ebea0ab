"""A corpus of text with a vocabulary of its own."""

import json

import numpy as np
import pytest

from bigbird.data.prepared import PreparedCorpus, packed_rows
from corpora import prepared

pytest.importorskip("bigbird.tokenizers.train_text")

WORDS = "the long cat sat on unbelievable mats and sang of internationalization".split()  # noqa: SIM905


def story(number):
    words = [WORDS[(number * 7 + place * place) % len(WORDS)] for place in range(120)]
    return " ".join(words)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    rows = [{"id": f"s{number}", "text": story(number)} for number in range(30)]
    rows.append({"id": "strange", "text": "a <mask> of <s> [MASK] é 家\n\nend"})
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepared(folder / "corpus", folder / "a.jsonl", tokenizer="text-bpe:290", held_out=None, hold_out=("s3",))
    return PreparedCorpus.open(folder / "corpus")


def test_documents_read_back_are_the_texts(corpus):
    tokenizer = corpus.load_tokenizer()
    for number in range(30):
        assert tokenizer.decode(corpus.tokens(number)) == story(number)


def test_text_that_spells_a_special_token_never_becomes_one(corpus):
    tokenizer = corpus.load_tokenizer()
    ids = corpus.tokens(30)
    assert tokenizer.decode(ids) == "a <mask> of <s> [MASK] é 家\n\nend"
    assert set(ids.tolist()) <= set(tokenizer.ordinary_ids.tolist())


def test_rows_begin_with_words_nearly_always(corpus):
    tokenizer = corpus.load_tokenizer()
    source = packed_rows(corpus, corpus.train_documents, row_length=64, block_size=16, seed=0)
    pieces = [piece for index in range(len(source)) for piece in source.record(index, epoch=0).pieces if piece.start]
    words = np.array([tokenizer.decode(piece.token_ids[:1]).startswith(" ") for piece in pieces])
    everywhere = np.mean([tokenizer.decode([index]).startswith(" ") for index in corpus.tokens(0)])
    assert words.mean() > everywhere + 0.2
