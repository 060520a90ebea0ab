import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenizers
from bigbird.errors import CheckpointError, ConfigError, DataError
from bigbird.tokenizers import DnaTokenizer, clean_dna, reverse_complement

RANDOM = random.Random(0)
PIECES = ["".join(RANDOM.choices("ACGT", weights=(3, 2, 2, 3), k=300)) for _ in range(300)]
BPE = DnaTokenizer.train(PIECES, vocab_size=200)
SINGLE = DnaTokenizer.single_base()


@pytest.mark.parametrize("tokenizer", [BPE, SINGLE], ids=["bpe", "single-base"])
@settings(max_examples=200, deadline=None, derandomize=True)
@given(sequence=st.text(alphabet="ACGTN", min_size=1, max_size=300) | st.sampled_from(["N" * 1000, "ACGT" * 500]))
def test_tokens_give_the_sequence_back_and_tile_it(tokenizer, sequence):
    ids, starts, ends = tokenizer.encode_batch([sequence])[0]
    assert tokenizer.decode(ids) == sequence
    assert starts[0] == 0
    assert ends[-1] == len(sequence)
    assert (starts[1:] == ends[:-1]).all()
    for token, start, end in zip(ids, starts, ends, strict=True):
        assert tokenizer.decode([token]) == sequence[start:end]


def test_byte_pairs_are_shorter_than_bases_and_the_vocabulary_has_the_wanted_size():
    assert BPE.vocab_size == 200
    assert len(BPE.encode_batch([PIECES[0]])[0].ids) < 150
    assert len(SINGLE.encode_batch([PIECES[0]])[0].ids) == 300


def test_a_run_of_n_is_cheap_and_no_token_mixes_n_with_bases():
    ids, starts, ends = BPE.encode_batch(["ACGT" + "N" * 1000 + "ACGT"])[0]
    assert len(ids) < 30
    for start, end in zip(starts, ends, strict=True):
        assert end <= 4 or start >= 4
        assert end <= 1004 or start >= 1004


def test_special_tokens_are_left_out_when_decoding():
    ids = [BPE.special_id("[CLS]"), *BPE.encode_batch(["ACGT"])[0].ids, BPE.special_id("[SEP]")]
    assert BPE.decode(ids) == "ACGT"


def test_a_saved_vocabulary_comes_back_the_same(tmp_path):
    BPE.save(tmp_path)
    again = DnaTokenizer.load(tmp_path)
    assert again.vocab_size == BPE.vocab_size
    assert (again.encode_batch([PIECES[3]])[0].ids == BPE.encode_batch([PIECES[3]])[0].ids).all()


def test_training_twice_gives_the_same_vocabulary():
    other = DnaTokenizer.train(PIECES, vocab_size=200)
    assert (other.encode_batch([PIECES[5]])[0].ids == BPE.encode_batch([PIECES[5]])[0].ids).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(alphabet="ACGTN"))
def test_the_reverse_complement_of_the_reverse_complement_is_the_sequence(sequence):
    assert reverse_complement(reverse_complement(sequence)) == sequence


def test_the_one_rule_for_letters():
    assert clean_dna("acgtnACGTN") == ("ACGTNACGTN", 0)
    assert clean_dna("uU") == ("TT", 0)
    assert clean_dna("RYSWKMBDHVryswkmbdhv") == ("N" * 20, 20)
    assert reverse_complement("AACGN") == "NCGTT"


@pytest.mark.parametrize(("sequence", "shown", "place"), [("AC-T", "'-'", 3), ("AC T", "' '", 3), ("é", "'é'", 1)])
def test_other_letters_are_refused_with_their_place(sequence, shown, place):
    with pytest.raises(DataError, match=f"my file: {shown} at position {place} is not a DNA letter. Allowed are A, C"):
        clean_dna(sequence, source="my file")


def test_a_vocabulary_too_small_for_the_letters_is_refused():
    with pytest.raises(ConfigError, match="vocab_size must be at least 16 .*, got 15"):
        DnaTokenizer.train(PIECES, vocab_size=15)


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"model": 3}'])
def test_a_damaged_vocabulary_file_is_refused(tmp_path, text):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"tokenizer.json is not a readable tokenizer file"):
        DnaTokenizer.load(tmp_path)


def test_a_vocabulary_of_text_is_no_dna_vocabulary(tmp_path):
    model = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0}, []))
    with pytest.raises(CheckpointError, match=r"this is no DNA vocabulary: it lacks \[PAD\], \[UNK\]"):
        DnaTokenizer(model)
    model.save(str(tmp_path / "tokenizer.json"))
    lacks = r"it lacks \[PAD\], .* N\. Copy the file that was saved with the model\."
    with pytest.raises(CheckpointError, match=rf"^{tmp_path}/tokenizer\.json is no DNA vocabulary: {lacks}$"):
        DnaTokenizer.load(tmp_path)


def test_the_longest_token_is_known_runs_of_n_aside():
    assert DnaTokenizer.single_base().max_letters == 1
    pieces = [BPE.decode([index]) for index in BPE.ordinary_ids]
    assert BPE.max_letters == max(len(piece) for piece in pieces if "N" not in piece) > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(A+)+$"}}},
            "it has a pre_tokenizer; a DNA vocabulary",
        ),
        ({"normalizer": {"type": "NFC"}}, "it has a normalizer; a DNA vocabulary has none"),
        ({"model": {"type": "WordLevel", "vocab": {}}}, "model.type is 'WordLevel'; only 'BPE' is read"),
        ({"model": 5}, "model must be an object"),
    ],
)
def test_a_file_with_steps_that_no_dna_vocabulary_has_is_refused(tmp_path, change, message):
    DnaTokenizer.single_base().save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=f"tokenizer.json is not a readable tokenizer file: {message}"):
        DnaTokenizer.load(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is always full")
def test_a_full_disk_is_an_error_of_the_system(tmp_path):
    (tmp_path / "tokenizer.json").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        DnaTokenizer.single_base().save(tmp_path)
