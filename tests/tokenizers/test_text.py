import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sentencepiece_models as made
import tokenizers
from bigbird.checkpoint import load_model, save_model
from bigbird.errors import CheckpointError, ConfigError
from bigbird.tasks import Classification
from bigbird.tokenizers import DnaTokenizer, TextTokenizer, load_tokenizer, segmenter
from helpers import loaded_model

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "nlp" / "tokenizers"

TINY = TextTokenizer(made.tiny(), family="bigbird")
TIES = TextTokenizer(made.ties(), family="bigbird")
BYTES = TextTokenizer(made.with_bytes(), family="bigbird")


def pieces(tokenizer, text, **options):
    return [tokenizer.pieces[index] for index in tokenizer.encode_batch([text], **options)[0].ids]


# Recorded from the sentencepiece package, 0.2.3, for these very files; 18,000 more texts agreed when this was written.
RECORDED = [
    (TIES, "ab ab", [15, 15]),
    (TIES, "abcd abcdabc", [8, 12, 8, 12, 10]),  # ▁a bcd, not ▁ab cd: the longest from the right
    (TIES, "日本 the日", [7, 6, 7, 6]),  # unknown characters in a row are one token
    (TINY, "", []),
    (TINY, "  ", []),
    (TINY, " \u200b ", []),
    (TINY, " the  ﬁfth ", [102, 108]),
    (TINY, "[CLS] the", [101, 3, 102]),
    (TINY, "the[SEP]fif", [102, 4, 76, 104]),
    (TINY, "</s>", [101, 34, 21, 89, 36]),  # a control piece is never found in text
    (TINY, "the▁▁f▁", [102, 101, 103]),
    (TINY, "ab ab", [109]),  # a piece across two words
    (TINY, "x ab ab ab", [101, 94, 101, 71, 72, 109]),
    (TINY, "e\u0301\u0301", [101, 106, 6]),
    (TINY, "ᄒ\u1161\u11ab", [101, 107]),
    (BYTES, "日本 the日", [101, 340, 261, 275, 340, 266, 282, 102, 340, 261, 275]),
    (BYTES, "<0x41>", [101, 34, 22, 94, 26, 23, 36]),
    (
        TextTokenizer(made.tiny(normalizer=made.field(4, 0)), family="bigbird"),
        " the  ﬁ ",
        [101, 102, 101, 103, 79, 101],
    ),
    (TextTokenizer(made.tiny(normalizer=made.field(3, 0)), family="bigbird"), "the the", [105, 75, 102]),
]


@pytest.mark.parametrize(("tokenizer", "text", "ids"), RECORDED)
def test_ids_are_those_of_sentencepiece(tokenizer, text, ids):
    assert tokenizer.encode_batch([text])[0].ids.tolist() == ids


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("The  the ﬁfth", ["", "T", "h", "e", "the", "ﬁfth"]),
        ("ｔｈ ｔｈｅ", ["", "ｔｈ", "ｔｈｅ"]),
        ("fe\u0301 e\u0301\u0301", ["f", "e\u0301", " ", "e\u0301", "\u0301"]),
        ("日本\n  the日", ["", "日本", "the", "日"]),
        ("iﬁf", ["", "iﬁ", "ﬁf"]),  # the ligature is the end of one token and the start of the next
        ("\u200bthe\u200b", ["the"]),
        ("ᄒ\u1161\u11abᄒ\u1161\u11ab", ["", "ᄒ\u1161\u11ab", "ᄒ\u1161\u11ab"]),
        ("a\ud800b", ["", "a", "\ud800", "b"]),
    ],
)
def test_places_are_characters_of_the_source_without_the_space_before_a_word(text, covered):
    _, starts, ends = TINY.encode_batch([text])[0]
    assert [text[start:end] for start, end in zip(starts, ends, strict=True)] == covered


TEXT = st.text(alphabet=st.sampled_from("the fab\n\t ▁é\u0301ﬁｔ日\u200b\u3000ᄒ\u1161\u11ab[MASK]\ud800"), max_size=60)


@pytest.mark.parametrize("tokenizer", [TINY, BYTES], ids=["plain", "bytes"])
@settings(max_examples=150, deadline=None, derandomize=True)
@given(text=TEXT)
def test_places_go_forward_and_encoding_a_token_s_place_gives_its_letters(tokenizer, text):
    ids, starts, ends = tokenizer.encode_batch([text])[0]
    assert ids.dtype == starts.dtype == ends.dtype == np.int64
    assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all() and (starts <= ends).all()
    for index, start, end in zip(ids, starts, ends, strict=True):
        letters = tokenizer.pieces[index].strip("▁")
        if index != tokenizer.special_id("[UNK]") and not letters.startswith("<0x"):
            covered, _, _ = tokenizer._engine.normalizer.apply(text[start:end])
            assert letters in covered


@settings(max_examples=100, deadline=None, derandomize=True)
@given(texts=st.lists(TEXT, max_size=4))
def test_a_batch_is_its_texts_one_by_one(texts):
    for text, encoding in zip(texts, TINY.encode_batch(texts), strict=True):
        for together, alone in zip(encoding, TINY.encode_batch([text])[0], strict=True):
            assert together.tolist() == alone.tolist()


def test_an_empty_batch_is_an_empty_list():
    assert TINY.encode_batch([]) == []
    assert [len(encoding.ids) for encoding in TINY.encode_batch(["", "\u200b", "a"])] == [0, 0, 2]


def test_words_are_segmented_a_part_at_a_time_with_the_same_result(monkeypatch):
    text = "the fifth ab the日本 ﬁfth f"
    whole = BYTES.encode_batch([text, "ab"])
    monkeypatch.setattr(segmenter, "_LETTERS_AT_ONCE", 3)
    for one, other in zip(BYTES.encode_batch([text, "ab"]), whole, strict=True):
        assert [column.tolist() for column in one] == [column.tolist() for column in other]


def test_text_of_strangers_places_no_special_token():
    assert pieces(TINY, "[MASK] the") == ["▁", "[MASK]", "▁the"]
    assert pieces(TINY, "[MASK] the", read_symbols=False) == ["▁", "[", "M", "A", "S", "K", "]", "▁the"]
    assert pieces(TIES, "ab[SEP]", read_symbols=False) == ["▁ab", "<unk>"]


def test_decoding_gives_the_text_back_without_special_tokens():
    assert TINY.decode([3, *TINY.encode_batch(["the ﬁfth f"])[0].ids, 4, 0]) == "the fifth f"
    assert TINY.decode(TINY.encode_batch(["日 the"])[0].ids) == " ⁇  the"
    assert BYTES.decode(BYTES.encode_batch(["the 日本 f"])[0].ids) == "the 日本 f"
    assert BYTES.decode(BYTES.encode_batch(["日"])[0].ids[:-1]) == "\ufffd"


def test_ordinary_ids_are_those_of_characters():
    assert TINY.ordinary_ids.tolist() == list(range(7, 110))
    assert TINY.max_letters == len("▁ab▁ab")
    assert (TINY.vocab_size, BYTES.vocab_size) == (110, 366)
    assert len(BYTES.ordinary_ids) == 103 + 256


def test_special_tokens_have_the_shared_names_and_their_own():
    assert [TINY.special_id(name) for name in ("[PAD]", "<pad>", "[CLS]", "[SEP]", "[MASK]", "[UNK]")] == [
        0,
        0,
        3,
        4,
        5,
        6,
    ]
    for name in ("the", "▁the", "[CLASS]"):
        with pytest.raises(
            ConfigError, match=r"family bigbird has no special token .*; it has \[PAD\], \[UNK\], \[BOS\]"
        ):
            TINY.special_id(name)


def test_bigbird_s_pairs_have_token_types_0_and_1():
    first, second = TINY.encode_batch(["the f", "ab"])
    alone, pair = TINY.join(first), TINY.join(first, second)
    assert alone.ids.tolist() == [3, 102, 103, 4]
    assert alone.token_types.tolist() == [0, 0, 0, 0]
    assert pair.ids.tolist() == [3, 102, 103, 4, 101, 71, 72, 4]
    assert pair.token_types.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert pair.parts.tolist() == [-1, 0, 0, -1, 1, 1, 1, -1]
    assert pair.starts.tolist() == [0, 0, 4, 0, 0, 0, 1, 0]
    assert pair.ends.tolist() == [0, 3, 5, 0, 0, 1, 2, 0]


@pytest.mark.parametrize("published_by_bigbird", [False, True])
def test_both_published_forms_of_pegasus_get_the_same_ids(published_by_bigbird):
    tokenizer = TextTokenizer(made.pegasus(published_by_bigbird=published_by_bigbird), family="pegasus")
    assert [tokenizer.special_id(name) for name in ("[PAD]", "[EOS]", "[MASK]", "[UNK]")] == [0, 1, 3, 105]
    assert [tokenizer.special_id(name) for name in ("<mask_1>", "<unk_2>", "<unk_102>", "<n>")] == [2, 4, 104, 106]
    assert pieces(tokenizer, "the<n>日") == ["▁the", "<n>", "<unk>"]
    first, second = tokenizer.encode_batch(["the", "f"])
    the, f = 106 + 94 + 2, 106 + 94 + 3
    assert tokenizer.join(first).ids.tolist() == [the, 1]
    assert tokenizer.join(first, second).ids.tolist() == [the, f, 1]
    assert tokenizer.join(first, second).token_types.tolist() == [0, 1, 1]


def test_a_vocabulary_of_another_family_is_refused():
    with pytest.raises(CheckpointError, match="<unk> at 2 .* or at 105 .*, this one at 6; use family bigbird"):
        TextTokenizer(made.tiny(), family="pegasus")
    lacks = (
        r"the model is no vocabulary of family bigbird: it lacks <s>, \[CLS\].* Choose another of bigbird, bigbird-rep"
    )
    with pytest.raises(CheckpointError, match=lacks):
        TextTokenizer(made.pegasus(published_by_bigbird=False), family="bigbird")
    with pytest.raises(
        ConfigError, match="family must be one of bigbird, bigbird-repaired, pegasus, bert, roberta, got 't5'"
    ):
        TextTokenizer(made.tiny(), family="t5")


def test_a_symbol_that_its_own_table_changes_is_refused():
    data = made.tiny(charsmap=made.charsmap_bytes({"[": "("}))
    with pytest.raises(
        CheckpointError, match=r"the symbol '\[CLS\]' is changed by its own table of characters to '\(CLS\]'"
    ):
        TextTokenizer(data, family="bigbird")


# --- in a model folder


def test_a_saved_vocabulary_comes_back_the_same_with_its_model(tmp_path):
    loaded = loaded_model(Classification(labels=("a", "b")), tokenizer=TINY)
    save_model(tmp_path / "model", loaded)
    again = load_model(tmp_path / "model").tokenizer
    assert isinstance(again, TextTokenizer)
    assert again.family == TINY.family
    assert again.encode_batch(["the ﬁfth"])[0].ids.tolist() == [102, 108]
    DnaTokenizer.single_base().save(tmp_path)
    assert isinstance(load_tokenizer(tmp_path), DnaTokenizer)


@pytest.mark.parametrize("tokenizer_class", ["BigBirdTokenizer", "BigBirdTokenizerFast"])
def test_a_folder_of_the_hub_is_read_by_its_tokenizer_class(tmp_path, tokenizer_class):
    (tmp_path / "spiece.model").write_bytes(made.tiny())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class}))
    assert load_tokenizer(tmp_path).family.name == "bigbird"


@pytest.mark.parametrize("text", ["[]", "{}", '{"tokenizer_class": "T5Tokenizer"}', '{"bigbird_family": ["x"]}'])
def test_a_folder_without_a_known_family_is_refused(tmp_path, text):
    (tmp_path / "spiece.model").write_bytes(made.tiny())
    with pytest.raises(CheckpointError, match="tokenizer_config.json is needed beside spiece.model and cannot be read"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(text)
    with pytest.raises(
        CheckpointError, match="bigbird_family must be one of bigbird, .* or tokenizer_class one of Peg"
    ):
        load_tokenizer(tmp_path)


def test_other_programs_read_tokenizer_json_and_get_the_same_ids_and_token_types(tmp_path):
    for tokenizer in (TINY, TIES):
        tokenizer.save(tmp_path)
        other = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        for text in ("the  ﬁfth ab", " f\nf ", "", "abc\n abc \n", "abcd abcdabc 日本"):
            assert other.encode(text, add_special_tokens=False).ids == tokenizer.encode_batch([text])[0].ids.tolist()
        pair, ours = other.encode("the f", "ab"), tokenizer.join(*tokenizer.encode_batch(["the f", "ab"]))
        assert (pair.ids, pair.type_ids) == (ours.ids.tolist(), ours.token_types.tolist())


# --- repaired


LETTERS = [(letter, 0.0, made.NORMAL) for letter in map(chr, (*range(0xA1, 0xAD), *range(0xAE, 0x144)))]
REPAIRABLE = made.model_bytes([*made.TINY[:-4], ("▁fifth", -3.0, 1), *LETTERS, ("Ã©", 0.0, 1)])
REPAIRED = TextTokenizer(REPAIRABLE, family="bigbird-repaired")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(text=st.text(max_size=40))
def test_repaired_nothing_is_unknown_and_the_text_comes_back_but_for_merged_spaces(text):
    ids, _, _ = REPAIRED.encode_batch([text], read_symbols=False)[0]
    assert REPAIRED.special_id("[UNK]") not in ids
    assert REPAIRED.decode(ids) == " ".join(part for part in text.split(" ") if part)


def test_repaired_ids_of_printable_english_are_the_original_ones():
    original = TextTokenizer(REPAIRABLE, family="bigbird")
    text = "the fifth [MASK] (of) ~these~ ab"
    assert REPAIRED.encode_batch([text])[0].ids.tolist() == original.encode_batch([text])[0].ids.tolist()
    assert REPAIRED.vocab_size == original.vocab_size
    assert pieces(original, "the\né") == ["▁the", "<unk>", "é"]
    assert pieces(REPAIRED, "the\né") == ["▁the", "Ċ", "Ã©"]


def test_repaired_places_are_whole_characters():
    assert REPAIRED.decode(REPAIRED.encode_batch(["a\ud800"])[0].ids) == "a\ufffd"
    text = "é\n日 ﬁ"
    _, starts, ends = REPAIRED.encode_batch([text])[0]
    covered = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    assert covered == ["", "é", "\n", "日", "日", "日", " ", "ﬁ", "ﬁ", "ﬁ"]


# --- the published vocabularies, where they are at hand


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published vocabularies are not here")
def test_the_published_vocabularies_give_sentencepiece_s_ids():
    bigbird = TextTokenizer.from_sentencepiece(PUBLISHED / "gpt2.model", family="bigbird")
    first, second = bigbird.encode_batch(["Hello World!", "ﬁne Ｂig é e\u0301 日本\nx"])
    assert bigbird.join(first).ids.tolist() == [65, 18536, 2260, 101, 66]
    assert second.ids.tolist() == [321, 100, 811, 321, 100, 429, 16369, 405, 100, 321, 100, 188]
    assert [bigbird.special_id(n) for n in ("[PAD]", "[EOS]", "[BOS]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")] == [
        0, 1, 2, 65, 66, 67, 100,
    ]  # fmt: skip
    repaired = TextTokenizer.from_sentencepiece(PUBLISHED / "gpt2.model", family="bigbird-repaired")
    assert repaired.encode_batch(["a\n  b é"])[0].ids.tolist() == [358, 299, 376, 38352]
    pegasus = TextTokenizer.from_sentencepiece(PUBLISHED / "pegasus.model", family="pegasus")
    text = "ﬁne Ｂig e\u0301<n>two \u1112\u1161\u11ab ﬁ\u0301"
    assert pegasus.encode_batch([text])[0].ids.tolist() == [1226, 2338, 22403, 106, 8996, 110, 105, 19716, 105]
    assert pegasus.special_id("[MASK]") == 3
    assert bigbird.vocab_size == repaired.vocab_size == 50358
    assert pegasus.vocab_size == 96103


@pytest.mark.parametrize("name", ["spiece.model", "tokenizer.json", "vocab.txt", "tokenizer_config.json", "merges.txt"])
def test_a_named_pipe_is_never_waited_for(tmp_path, name):
    (tmp_path / "vocab.json").write_text("{}")
    if name != "tokenizer_config.json":
        (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BigBirdTokenizer"}')
    os.mkfifo(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"no ordinary file|no text vocabulary"):
        TextTokenizer.from_folder(tmp_path)


def test_a_named_pipe_in_place_of_a_dna_vocabulary_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "tokenizer.json")
    with pytest.raises(CheckpointError, match=r"tokenizer.json is not a readable tokenizer file: it is no ordinary"):
        load_tokenizer(tmp_path)
