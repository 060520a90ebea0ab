import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.errors import CheckpointError, ConfigError
from bigbird.tokenizers import DnaTokenizer, KmerTokenizer, load_tokenizer


@pytest.mark.parametrize("size", [8, 16, 20])
@settings(max_examples=100, deadline=None, derandomize=True)
@given(sequence=st.text(alphabet="ACGTN", min_size=1, max_size=100))
def test_tokens_give_the_sequence_back_and_tile_it(size, sequence):
    tokenizer = KmerTokenizer(size)
    ids, starts, ends = tokenizer.encode_batch([sequence])[0]
    assert tokenizer.decode(ids) == sequence
    assert starts.tolist() == list(range(0, len(sequence), size))
    assert ends.tolist() == [*starts[1:].tolist(), len(sequence)]
    for token, start, end in zip(ids, starts, ends, strict=True):
        assert tokenizer.decode([int(token)]) == sequence[start:end]
    assert ids.min() > 0
    assert ids.max() < tokenizer.vocab_size


def test_ids_spell_the_bases_in_octal():
    assert KmerTokenizer(8).encode_batch(["ACGTN"])[0].ids.tolist() == [0o54321]
    assert KmerTokenizer(8).max_letters == 8


def test_special_tokens_are_no_bases():
    tokenizer = KmerTokenizer(16)
    assert tokenizer.decode([tokenizer.special_id(token) for token in ("[CLS]", "[SEP]", "[PAD]")]) == ""
    with pytest.raises(ConfigError, match=r"no \[MASK\]; use tokenizer bpe"):
        tokenizer.special_id("[MASK]")
    with pytest.raises(ConfigError, match="no vocabulary"):
        _ = tokenizer.ordinary_ids


@pytest.mark.parametrize("size", [0, 7, 21])
def test_a_size_that_does_not_fit_is_refused(size):
    with pytest.raises(ConfigError, match=f"from 8 to 20, got {size}"):
        KmerTokenizer(size)


def test_either_tokenizer_comes_back_from_its_folder(tmp_path):
    KmerTokenizer(12).save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert isinstance(loaded, KmerTokenizer)
    assert loaded.bases_per_token == 12
    DnaTokenizer.single_base().save(tmp_path)
    assert isinstance(load_tokenizer(tmp_path), DnaTokenizer)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", CheckpointError),
        ("[]", CheckpointError),
        (json.dumps({"kind": "bigbird-kmers"}), ConfigError),
        (json.dumps({"kind": "bigbird-kmers", "bases_per_token": "16"}), ConfigError),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, error):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(error):
        load_tokenizer(tmp_path)
