"""Vocabularies of BERT and RoBERTa: the ids of transformers, exact places, nothing taken from a stranger's file."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sentencepiece_models as made
import tokenizers
from bigbird.checkpoint import load_model, save_model
from bigbird.errors import CheckpointError, ConfigError, DataError
from bigbird.tasks import Classification
from bigbird.tokenizers import DnaTokenizer, TextTokenizer, load_tokenizer, published_pieces, vocabulary_files
from helpers import loaded_model
from tokenizers import models, normalizers, pre_tokenizers, trainers

SENTENCES = [
    "The quick brown fox isn't quicker than the other foxes, who'd run 123 km.",
    "Straße, café, naïve, İstanbul: e\u0301te\u0301 and Ångström; 日本語 and 漢字。 한국어 😀👩‍👩‍👧",
    "def f(x):\n    return x ** 2\n\n\tprint(f(3))  # done",
]
WORD_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAIR_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One folder per kind, as a model of the Hub has it."""
    place = tmp_path_factory.mktemp("vocabularies")
    for name, lowercase in (("bert", True), ("cased", False)):
        engine = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
        engine.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
        engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=220, special_tokens=WORD_SPECIALS, show_progress=False)
        engine.train_from_iterator(SENTENCES * 2, trainer)
        (place / name).mkdir()
        engine.model.save(str(place / name))
        config = {"tokenizer_class": "BertTokenizer", "do_lower_case": lowercase}
        (place / name / "tokenizer_config.json").write_text(json.dumps(config))
    engine = tokenizers.Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=PAIR_SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    engine.train_from_iterator(SENTENCES * 2, trainer)
    for name, prefix in (("roberta", False), ("prefix", True)):
        (place / name).mkdir()
        engine.model.save(str(place / name))
        config = {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": prefix}
        (place / name / "tokenizer_config.json").write_text(json.dumps(config))
    return place


KINDS = ("bert", "cased", "roberta", "prefix")
TEXTS = [
    *SENTENCES,
    "",
    " ",
    "  the  \n\n fox's\t",
    "[MASK] <mask> the [SEP]fox</s><s>",
    "\x00a\x07b\ufffdc\u200dd\u00ade",
    "a" * 300 + " b",
    "ﬁne ǅ ẞ ŉ ª ① Ⅳ x̧̌ \u1112\u1161\u11ab",
    "x\u3000y\u00a0z\u2028w",
]


def pieces(tokenizer, text, **options):
    return [tokenizer.pieces[index] for index in tokenizer.encode_batch([text], **options)[0].ids]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_places_and_pairs_are_those_of_transformers(folders, kind):
    transformers = pytest.importorskip("transformers")
    name = "RobertaTokenizer" if kind in ("roberta", "prefix") else "BertTokenizer"
    theirs = getattr(transformers, name).from_pretrained(str(folders / kind))
    ours = TextTokenizer.from_folder(folders / kind)
    rng = np.random.default_rng(0)
    letters = [
        *"the fox's 12\n\t\u00a0.,-",
        "é",
        "e\u0301",
        "İ",
        "ß",
        "日",
        "😀",
        "[MASK]",
        "<mask>",
        "\u200d",
        "ﬁ",
        "\x00",
    ]
    for text in [*TEXTS, *("".join(rng.choice(letters, rng.integers(30))) for _ in range(300))]:
        expected = theirs(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, starts, ends = ours.encode_batch([text])[0]
        assert ids.tolist() == expected["input_ids"], repr(text)
        if kind == "prefix":  # theirs then takes a letter away behind each symbol
            continue
        for (start, end), place in zip(zip(starts, ends, strict=True), expected["offset_mapping"], strict=True):
            assert (start, end) == place or not text[start:end].strip(), repr(text)  # spaces alone keep their place
    pair = theirs("the fox", "run [SEP]", return_token_type_ids=True)
    joined = ours.join(*ours.encode_batch(["the fox", "run [SEP]"]))
    assert joined.ids.tolist() == pair["input_ids"]
    assert joined.token_types.tolist() == pair["token_type_ids"]


def test_bert_s_ids_are_the_recorded_ones(tmp_path):
    words = [*WORD_SPECIALS, "the", "fox", "##es", "is", "##tan", "cafe", "日", "本", "!", "e"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = TextTokenizer.from_folder(tmp_path)
    ids, starts, ends = tokenizer.encode_batch(["The  FOXES! Café İstan 日本 é zzz"])[0]
    assert ids.tolist() == [5, 6, 7, 13, 10, 8, 9, 11, 12, 14, 1]
    assert starts.tolist() == [0, 5, 8, 10, 12, 17, 19, 23, 24, 26, 28]
    assert ends.tolist() == [3, 8, 10, 11, 16, 19, 22, 24, 25, 27, 31]
    assert tokenizer.decode([2, *ids.tolist(), 3]) == "the foxes ! cafe istan 日 本 e [UNK]"
    joined = tokenizer.join(*tokenizer.encode_batch(["the", "fox"]))
    assert joined.ids.tolist() == [2, 5, 3, 6, 3]
    assert joined.token_types.tolist() == [0, 0, 0, 1, 1]
    assert tokenizer.ordinary_ids.tolist() == list(range(5, 15))
    assert (tokenizer.vocab_size, tokenizer.max_letters, tokenizer.family.name) == (15, 4, "bert")
    assert [tokenizer.special_id(name) for name in WORD_SPECIALS] == [0, 1, 2, 3, 4]
    with pytest.raises(ConfigError, match=r"family bert has no special token the; it has \[PAD\]"):
        tokenizer.special_id("the")


def test_roberta_s_pairs_have_two_separators_and_one_token_type(folders):
    tokenizer = TextTokenizer.from_folder(folders / "roberta")
    first, second = tokenizer.encode_batch(["x", "y"])
    assert [tokenizer.pieces[index] for index in tokenizer.join(first, second).ids] == [
        "<s>",
        "x",
        "</s>",
        "</s>",
        "y",
        "</s>",
    ]
    assert not tokenizer.join(first, second).token_types.any()
    assert tokenizer.join(first, second).parts.tolist() == [-1, 0, -1, -1, 1, -1]
    assert [tokenizer.special_id(name) for name in ("[CLS]", "[SEP]", "[PAD]", "[MASK]")] == [0, 2, 1, 4]
    assert pieces(tokenizer, " the fox")[0].startswith("Ġ")


LETTERS = st.sampled_from(
    [*"the fox'd. \n", "é", "e", "\u0301", "İ", "ß", "日", "😀", "👩\u200d", "\ud800", "\x00", "ﬁ", "[SEP]"]
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(letters=st.lists(LETTERS, max_size=30))
def test_places_go_forward_and_the_characters_of_a_token_give_its_piece(folders, kind, letters):
    text = "".join(letters)
    tokenizer = TextTokenizer.from_folder(folders / kind)
    ids, starts, ends = tokenizer.encode_batch([text])[0]
    assert ids.dtype == starts.dtype == ends.dtype == np.int64
    assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all() and (starts < ends).all()
    assert (ends <= len(text)).all()
    if kind in ("roberta", "prefix"):
        return
    for index, start, end in zip(ids, starts, ends, strict=True):
        piece = tokenizer.pieces[index]
        if piece not in WORD_SPECIALS:
            alone = "".join(pieces(tokenizer, text[start:end])).replace("##", "")
            assert alone in (piece.removeprefix("##"), "[UNK]")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(text=st.text(max_size=40))
def test_byte_pairs_lose_nothing_and_cover_every_character(folders, text):
    tokenizer = TextTokenizer.from_folder(folders / "roberta")
    ids, starts, ends = tokenizer.encode_batch([text], read_symbols=False)[0]
    assert tokenizer.decode(ids) == text
    covered = {place for start, end in zip(starts, ends, strict=True) for place in range(start, end)}
    assert all(place in covered or text[place] == " " for place in range(len(text)))


@pytest.mark.parametrize("kind", KINDS)
def test_text_of_strangers_places_no_special_token(folders, kind):
    tokenizer = TextTokenizer.from_folder(folders / kind)
    special = {tokenizer.special_id(name) for name in tokenizer.family.names if name != "[UNK]"}
    text = " ".join([*WORD_SPECIALS, *PAIR_SPECIALS, "[MASK][SEP]", "a<mask>"])
    assert special & set(tokenizer.encode_batch([text])[0].ids.tolist())
    assert not special & set(tokenizer.encode_batch([text], read_symbols=False)[0].ids.tolist())


@pytest.mark.parametrize("kind", KINDS)
def test_long_texts_are_read_in_parts_with_the_same_result(folders, kind, monkeypatch):
    tokenizer, text = TextTokenizer.from_folder(folders / kind), "\n".join([*TEXTS, *SENTENCES])
    whole = tokenizer.encode_batch([text])[0]
    for size in (1, 7, 50):
        monkeypatch.setattr(published_pieces, "_LETTERS_AT_ONCE", size)
        for one, other in zip(tokenizer.encode_batch([text])[0], whole, strict=True):
            assert one.tolist() == other.tolist()


def test_a_run_without_space_that_no_text_has_is_refused(folders):
    engines = [TextTokenizer.from_folder(folders / kind) for kind in KINDS]
    for tokenizer in (*engines, TextTokenizer(made.tiny(), family="bigbird")):
        with pytest.raises(
            DataError,
            match=r"a text has 1,\d\d\d,\d\d\d characters in a row without a space; at most 1,000,000 are read",
        ):
            tokenizer.encode_batch(["ab " + "f" * 1_100_000])


def test_empty_batches_and_texts(folders):
    for kind in KINDS:
        tokenizer = TextTokenizer.from_folder(folders / kind)
        assert tokenizer.encode_batch([]) == []
        empty, fox = tokenizer.encode_batch(["", "fox"])
        assert (len(empty.ids), len(empty.starts), len(fox.ids) > 0) == (0, 0, True)


# --- folders


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_vocabulary_comes_back_the_same_here_and_in_transformers(folders, kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = TextTokenizer.from_folder(folders / kind)
    ours.save(tmp_path)
    again, theirs = TextTokenizer.from_folder(tmp_path), transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    assert again.family == ours.family
    for text in TEXTS:
        ids = ours.encode_batch([text])[0].ids.tolist()
        assert again.encode_batch([text])[0].ids.tolist() == ids
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids, repr(text)
    (tmp_path / "tokenizer.json").unlink()  # older programs have the lists alone
    for text in TEXTS:
        assert (
            TextTokenizer.from_folder(tmp_path).encode_batch([text])[0].ids.tolist()
            == ours.encode_batch([text])[0].ids.tolist()
        )


def test_a_model_folder_keeps_its_vocabulary(folders, tmp_path):
    tokenizer = TextTokenizer.from_folder(folders / "bert")
    save_model(tmp_path / "model", loaded_model(Classification(labels=("a", "b")), tokenizer=tokenizer))
    assert load_model(tmp_path / "model").tokenizer.family.name == "bert"


def test_the_family_is_told_by_the_folder_s_files(folders, tmp_path):
    for kind, family in (("bert", "bert"), ("roberta", "roberta")):
        place = tmp_path / kind
        TextTokenizer.from_folder(folders / kind).save(place) if place.mkdir() is None else None
        for keep in ("tokenizer.json", "vocab.txt" if kind == "bert" else "vocab.json merges.txt"):
            bare = tmp_path / f"{kind} {keep}"
            bare.mkdir()
            for file in keep.split():
                shutil.copy(place / file, bare)
            assert load_tokenizer(bare).family.name == family
    DnaTokenizer.single_base().save(tmp_path)
    assert isinstance(load_tokenizer(tmp_path), DnaTokenizer)
    with pytest.raises(
        CheckpointError, match=r"has no text vocabulary: no spiece.model, vocab.txt, vocab.json with merg"
    ):
        TextTokenizer.from_folder(tmp_path)
    with pytest.raises(ConfigError, match="family bert has no sentencepiece file; TextTokenizer.from_folder reads"):
        TextTokenizer(made.tiny(), family="bert")


@pytest.fixture
def described(folders, tmp_path):
    """Folders with tokenizer.json, to be changed, and nothing else that tells."""

    def change(kind, edit):
        TextTokenizer.from_folder(folders / kind).save(tmp_path)
        values = json.loads((tmp_path / "tokenizer.json").read_text())
        edit(values)
        (tmp_path / "tokenizer.json").write_text(json.dumps(values))
        return tmp_path

    return change


def _rename(values, old, new):
    vocab = values["model"]["vocab"]
    old = old if old in vocab else next(piece for piece in vocab if piece.startswith("##"))
    vocab[new] = vocab.pop(old)


def _merge_space(values):
    vocab = values["model"]["vocab"]
    vocab[" "], vocab["a "] = len(vocab), len(vocab) + 1
    values["model"]["merges"].append(["a", " "])


def _first_word(values):
    return next({"id": index, "content": piece} for piece, index in values["model"]["vocab"].items() if index == 5)


def _merge_special(values):
    vocab = values["model"]["vocab"]
    vocab["<s"] = len(vocab)
    values["model"]["merges"] += [["<", "s"], ["<s", ">"]]


REGEX = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize(
    ("kind", "edit", "message"),
    [
        ("bert", lambda v: v.update(pre_tokenizer=REGEX), "pre_tokenizer.type is 'Split'; only 'BertPreTokenizer'"),
        ("bert", lambda v: v.update(normalizer={"type": "NFC"}), "normalizer.type is 'NFC'; only 'BertNormalizer'"),
        ("bert", lambda v: v.update(normalizer=None), "normalizer must be an object"),
        ("bert", lambda v: v["normalizer"].update(lowercase="x"), "lowercase must be true or false, got 'x'"),
        ("bert", lambda v: v["normalizer"].update(lowercase=False), "it says do_lower_case False, tokenizer_config"),
        ("bert", lambda v: v["model"].update(max_input_chars_per_word=10**9), "max_input_chars_per_word is '10000"),
        ("bert", lambda v: v["model"].update(continuing_subword_prefix=""), "continuing_subword_prefix is ''; only"),
        ("bert", lambda v: v["model"]["vocab"].update(x=9), "the ids of its .* pieces are not 0 to"),
        ("bert", lambda v: v["model"]["vocab"].update(x=1.5), "an id is no whole number"),
        ("bert", lambda v: v["model"].update(vocab=[]), "vocab must be an object"),
        ("bert", lambda v: v["model"].update(vocab={}), "it has 0 pieces|is not in its vocabulary"),
        ("bert", lambda v: v["added_tokens"].append({"id": 9, "content": "new"}), r"added token 'new' is not in"),
        ("bert", lambda v: v["added_tokens"].append(_first_word(v)), "is none of family bert, which is not read"),
        ("bert", lambda v: v["added_tokens"][4].update(rstrip=True), "takes its surroundings in a way"),
        ("bert", lambda v: v.update(added_tokens=5), "the added token 'None' is not in its vocabulary"),
        ("roberta", lambda v: v.update(pre_tokenizer=REGEX), "pre_tokenizer.type is 'Split'; only 'ByteLevel' is read"),
        ("roberta", lambda v: v.update(normalizer={"type": "NFC"}), "it has a normalizer; those of RoBERTa have none"),
        ("roberta", lambda v: v["pre_tokenizer"].update(use_regex=False), "pre_tokenizer.use_regex is not true"),
        ("roberta", lambda v: v["model"].update(dropout=0.5), "model.dropout is '0.5'; those of RoBERTa have none"),
        ("roberta", lambda v: v["model"].update(byte_fallback=True), "model.byte_fallback is 'True'"),
        ("roberta", lambda v: v["model"].update(ignore_merges=True), "model.ignore_merges is true"),
        ("roberta", lambda v: v["model"].update(merges=5), "model.merges must be a list"),
        ("roberta", lambda v: v["model"]["merges"].append(["a", "b", "c"]), "a merge is .*it must name two pieces"),
        ("roberta", lambda v: v["model"]["merges"].append([5, {}]), "a merge is .*it must name two pieces"),
        ("roberta", lambda v: v["model"]["merges"].append(["a", "日"]), "of 'a' and '日' is of pieces that it lacks"),
        ("roberta", _merge_special, "a merge makes the special token <s>, so that any text"),
        ("roberta", lambda v: _rename(v, "Ã", "ÃÃÃ"), "it lacks the letters of 1 bytes"),
        ("roberta", lambda v: _rename(v, "<mask>", "<musk>"), r"added token '<mask>' is not in|it lacks <mask>"),
        ("bert", lambda v: _rename(v, "##s", "s" * 600), "a piece has 600 characters; allowed are 1 to 512"),
        ("bert", lambda v: _rename(v, "##s", ""), "allowed are 1 to 512"),
        ("bert", lambda v: _rename(v, "##s", "a\nb"), r"the piece 'a.nb' holds the end of a line or half"),
        ("bert", lambda v: _rename(v, "##s", "\ud800"), r"the piece '.ud800' holds the end of a line or half"),
        ("roberta", _merge_space, "the merge of 'a' and ' ' holds a space, which is Ġ there"),
    ],
)  # fmt: skip
def test_a_file_of_another_shape_is_refused(described, kind, edit, message):
    with pytest.raises(
        CheckpointError, match=f"tokenizer.json is no usable vocabulary of family .*{message}"
    ) as caught:
        TextTokenizer.from_folder(described(kind, edit))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "cannot be read|is no usable|Expecting value"),
        (b"[]", "it holds no object of names"),
        (b'{"model": ' + b"[" * 100_000, "recursion|Expecting"),
        (b"[" * 900_000, "it has more than 800,000 lists and objects"),
        (b'{"a": 1, "a": 2}', "a name stands twice in one object"),
        (b"\xff\xfe", "utf-8"),
        (b" " * (16 * 2**20 + 1), "has 16,777,217 bytes; at most 16,777,216 are read"),
    ],
    ids=range(7),
)
def test_a_damaged_or_huge_file_is_refused(folders, tmp_path, text, message):
    for kind in ("bert", "roberta"):
        shutil.copy(folders / kind / "tokenizer_config.json", tmp_path)
        (tmp_path / "tokenizer.json").write_bytes(text)
        with pytest.raises(CheckpointError, match=message):
            TextTokenizer.from_folder(tmp_path)


def test_lists_of_words_are_bounded_and_strict(folders, tmp_path, monkeypatch):
    shutil.copy(folders / "bert" / "tokenizer_config.json", tmp_path)
    for text, message in (
        ("\n".join([*WORD_SPECIALS, "a", "a"]), "a piece stands twice"),
        ("\n".join(WORD_SPECIALS[1:]), r"it lacks \[PAD\]"),
        ("\n".join([*WORD_SPECIALS, "", "a"]), "allowed are 1 to 512"),
    ):
        (tmp_path / "vocab.txt").write_text(text)
        with pytest.raises(CheckpointError, match=f"vocab.txt is no usable vocabulary of family bert: .*{message}"):
            TextTokenizer.from_folder(tmp_path)
    monkeypatch.setattr(vocabulary_files, "MAX_PIECES", 6)
    (tmp_path / "vocab.txt").write_text("\n".join([*WORD_SPECIALS, "a", "b"]))
    with pytest.raises(CheckpointError, match="it has 7 pieces; allowed are 1 to 6"):
        TextTokenizer.from_folder(tmp_path)


def test_merges_that_are_missing_or_no_pairs_are_refused(folders, tmp_path):
    shutil.copy(folders / "roberta" / "vocab.json", tmp_path)
    shutil.copy(folders / "roberta" / "tokenizer_config.json", tmp_path)
    with pytest.raises(CheckpointError, match="merges.txt"):
        TextTokenizer.from_folder(tmp_path)
    (tmp_path / "merges.txt").write_text("#version: 0.2\nt h e\n")
    with pytest.raises(CheckpointError, match=r"a merge is .*'t', 'h', 'e'.*; it must name two pieces"):
        TextTokenizer.from_folder(tmp_path)


def test_settings_that_contradict_are_told_in_one_line(described):
    folder = described("bert", lambda _: None)
    settings = json.loads((folder / "tokenizer_config.json").read_text()) | {"do_lower_case": "a\n\x1b[2J"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"says do_lower_case True, tokenizer_config.json says 'a") as caught:
        TextTokenizer.from_folder(folder)
    assert str(caught.value).isprintable()


def test_settings_that_are_huge_or_no_json_are_refused(folders, tmp_path):
    shutil.copy(folders / "bert" / "vocab.txt", tmp_path)
    for text in (b"{", b" " * (5 << 20)):
        (tmp_path / "tokenizer_config.json").write_bytes(text)
        with pytest.raises(CheckpointError, match="tokenizer_config.json cannot be read"):
            TextTokenizer.from_folder(tmp_path)
