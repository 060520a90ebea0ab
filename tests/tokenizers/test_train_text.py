import json
from pathlib import Path

import pytest

from bigbird.errors import ConfigError
from bigbird.tokenizers import load_tokenizer
from bigbird.tokenizers.train_text import SPECIAL_TOKENS, train_text_tokenizer

TEXTS = ["the cat sat on the mat", "the dog ran home – and the cat?", "ünder the\n\n tree \ud800"] * 4
TOKENIZER = train_text_tokenizer(TEXTS, vocab_size=290)


def test_pairs_that_are_often_seen_become_pieces():
    assert TOKENIZER.vocab_size == 290
    assert TOKENIZER.pieces[:5] == SPECIAL_TOKENS
    assert {"Ġthe", "Ġcat"} <= set(TOKENIZER.pieces)


@pytest.mark.parametrize("text", ["the cat", "  two  spaces\n", "never seen: 家族 \U0001f600", ""])
def test_any_text_comes_back(text):
    (encoding,) = TOKENIZER.encode_batch([text])
    assert TOKENIZER.decode(encoding.ids) == text


def test_the_same_texts_give_the_same_vocabulary_in_any_order():
    assert train_text_tokenizer(iter(TEXTS[::-1]), vocab_size=290).pieces == TOKENIZER.pieces


def test_bigbird_and_transformers_read_what_is_saved(tmp_path):
    TOKENIZER.save(tmp_path)
    again = load_tokenizer(tmp_path)
    text = "the dog – ran, home"
    (ours,) = again.encode_batch([text])
    assert again.pieces == TOKENIZER.pieces
    assert (ours.ids == TOKENIZER.encode_batch([text])[0].ids).all()
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs(text).input_ids == again.join(ours).ids.tolist()
    assert theirs.mask_token_id == again.special_id("[MASK]")


def test_the_files_do_not_depend_on_where_they_are_written(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        TOKENIZER.save(tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    assert json.loads((tmp_path / "a/tokenizer_config.json").read_text())["tokenizer_class"] == "RobertaTokenizer"


def test_few_texts_give_a_smaller_vocabulary():
    assert train_text_tokenizer(["ab"], vocab_size=1000).vocab_size == 262


@pytest.mark.parametrize("size", [260, 400_001])
def test_a_size_that_cannot_be_is_refused(size):
    with pytest.raises(ConfigError, match=rf"vocab_size must be from 261 \(256 bytes .* to 400,000, got {size}"):
        train_text_tokenizer(TEXTS, vocab_size=size)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    (tmp_path / "tokenizer.json").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        TOKENIZER.save(tmp_path)
