"""Letters and beginnings of words: every vocabulary counts the same letters in the same text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.errors import ConfigError
from bigbird.tokenizers import KmerTokenizer, TextTokenizer
from bigbird.tokenizers.families import FAMILIES
from bigbird.tokenizers.published_pieces import PublishedPieces
from bigbird.tokenizers.train_text import train_text_tokenizer
from bigbird.tokenizers.vocabulary_files import WordPieces
from bigbird.tokenizers.words import begins_word, begins_word_of_bytes, num_letters, num_letters_of_bytes
from helpers import SINGLE_BASE, dna
from sentencepiece_models import tiny, with_bytes

LETTERS = "abcdefghij"
BYTES = train_text_tokenizer(["the cat sat, the dog ran (home) – über 家"] * 5, vocab_size=290)
WORDS = TextTokenizer(
    PublishedPieces(
        WordPieces(
            (*FAMILIES["bert"].names.values(), *LETTERS, *(f"##{x}" for x in LETTERS), "abc", "##de", ".", "家")
        ),
        FAMILIES["bert"],
    ),
    family="bert",
)

UNIGRAM, REPAIRED = (TextTokenizer(tiny(), family=family) for family in ("bigbird", "bigbird-repaired"))


def starts_of(tokenizer, text):
    (encoding,) = tokenizer.encode_batch([text])
    return [tokenizer.pieces[index] for index in encoding.ids[tokenizer.word_starts[encoding.ids]]]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=200, deadline=None)
def test_byte_pairs_have_as_many_letters_as_their_text(text):
    (encoding,) = BYTES.encode_batch([text], read_symbols=False)
    assert BYTES.letters[encoding.ids].sum() == sum(letter not in " \t\n\r\v\f" for letter in text)


@given(st.text(LETTERS + " .家", max_size=60))
@settings(max_examples=100, deadline=None)
def test_vocabularies_of_different_kinds_count_the_same_letters(text):
    counts = set()
    for tokenizer in (BYTES, WORDS):
        (encoding,) = tokenizer.encode_batch([text])
        counts.add(int(tokenizer.letters[encoding.ids].sum()))
    assert counts == {num_letters(text)}


@pytest.mark.parametrize("tokenizer", [BYTES, WORDS, SINGLE_BASE, UNIGRAM], ids=["bytes", "words", "dna", "sp"])
def test_there_is_one_entry_per_id_and_special_tokens_have_no_letters(tokenizer):
    letters, starts = tokenizer.letters, tokenizer.word_starts
    assert letters.shape == starts.shape == (tokenizer.vocab_size,)
    assert (letters.dtype, starts.dtype) == (np.int64, bool)
    special = np.setdiff1d(np.arange(tokenizer.vocab_size), tokenizer.ordinary_ids)
    assert len(special)
    assert not letters[special].any()
    assert starts[special].all()
    assert (letters >= 0).all()


def test_dna_has_bases_for_letters_and_every_token_is_a_word():
    sequence = dna(50, 1) + "N" * 70
    (encoding,) = SINGLE_BASE.encode_batch([sequence])
    assert (SINGLE_BASE.letters[encoding.ids] == encoding.ends - encoding.starts).all()
    assert SINGLE_BASE.word_starts.all()


def test_a_sentencepiece_vocabulary_counts_letters_without_its_space_mark():
    (encoding,) = UNIGRAM.encode_batch(["the cat"])
    assert UNIGRAM.letters[encoding.ids].sum() == 6
    assert UNIGRAM.letters[UNIGRAM.encode_batch(["éi한"])[0].ids].sum() == 3
    marked = [piece for piece in UNIGRAM.pieces if piece.startswith("▁")]
    assert "▁ab▁ab" in marked
    for piece in marked:
        index = UNIGRAM.pieces.index(piece)
        assert UNIGRAM.word_starts[index]
        assert UNIGRAM.letters[index] == len(piece.replace("▁", ""))


@given(st.text("ab thé\n家", max_size=40))
@settings(max_examples=50, deadline=None)
def test_characters_in_bytes_are_counted_once(text):
    tokenizer = TextTokenizer(with_bytes(), family="bigbird")
    (encoding,) = tokenizer.encode_batch([text])
    assert tokenizer.letters[encoding.ids].sum() == num_letters(text)


def test_the_letters_of_a_vocabulary_spelled_in_bytes_are_characters():
    assert REPAIRED.letters[REPAIRED.pieces.index("é")] == 1
    assert UNIGRAM.letters[UNIGRAM.pieces.index("é")] == 1


def test_words_begin_at_spaces_signs_and_chinese_letters():
    assert starts_of(BYTES, " the cat (home),x") == ["Ġthe", "Ġcat", "Ġ(", ")", ","]
    assert starts_of(WORDS, "abcde. 家a") == ["abc", ".", "家", "a"]


@pytest.mark.parametrize(
    ("text", "begins"),
    [(" a", True), ("a", False), ("é", False), ("\u0301", False), ("7", False), (".", True), ("家", True), ("", False)],
)
def test_what_begins_a_word(text, begins):
    assert begins_word(text) is begins
    assert begins_word_of_bytes(text.encode()) is begins


def test_the_rest_of_a_cut_character_begins_no_word_and_is_no_letter():
    first, rest = "家".encode()[:1], "家".encode()[1:]
    assert (num_letters_of_bytes(first), num_letters_of_bytes(rest)) == (1, 0)
    assert not begins_word_of_bytes(first)
    assert not begins_word_of_bytes(rest + b" a")


def test_tokens_that_spell_their_bases_have_no_table_of_letters():
    with pytest.raises(ConfigError, match="have no vocabulary to mask or guess; use tokenizer bpe"):
        _ = KmerTokenizer(8).letters
    assert KmerTokenizer(20).word_starts[[5, 8**20 - 1]].all()
