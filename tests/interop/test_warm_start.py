"""A warm start computes what the dense model computed as far as that read, and says what it left behind."""

import json
import os
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from bigbird.attention import DocumentLayout
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface, tokenizer_files
from bigbird.interop.warm_start import Goal, prepare, warm_start
from bigbird.model.encoder import Encoder
from bigbird.model.heads import MaskedLanguageModel, TokenClassifier
from bigbird.model.published_heads import ChoiceScorer, PretrainingModel
from hub_folders import CONFIG, change_config, change_weights, hub_folder, random_model, shard

transformers = pytest.importorskip("transformers")
dense_folders = pytest.importorskip("dense_folders")
dense_folder, token_ids = dense_folders.dense_folder, dense_folders.token_ids

BASES = ("BertModel", "RobertaModel")
MINILM = os.environ.get("BIGBIRD_MINILM")  # a folder with sentence-transformers/all-MiniLM-L6-v2
ALWAYS = "position_embeddings.weight"


def equal_up_to(length, theirs, ours, vocab_size=120):
    for tokens in (1, length // 3, length - 1, length):
        ids = token_ids(tokens, vocab_size)
        torch.testing.assert_close(ours(ids), theirs(ids).last_hidden_state, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("architecture", BASES)
@pytest.mark.parametrize("act", ["gelu", "gelu_new"])
def test_documents_that_the_dense_model_reads_get_the_same_vectors(tmp_path, architecture, act):
    folder, theirs = dense_folder(tmp_path / "dense", architecture, hidden_act=act, layer_norm_eps=1e-5)
    ours = warm_start(folder, max_length=200, block_size=8)
    assert isinstance(ours, Encoder)
    assert (ours.config.max_length, ours.config.pattern.graph, ours.config.pattern.block_size) == (200, "paper", 8)
    equal_up_to(64, theirs, ours)
    assert ours(token_ids(200)).shape == (1, 200, 32)


@torch.no_grad()
@pytest.mark.skipif(MINILM is None, reason="BIGBIRD_MINILM names no folder")
def test_minilm_gives_the_same_vectors_up_to_512_tokens():
    theirs = transformers.BertModel.from_pretrained(MINILM).eval()
    equal_up_to(512, theirs, warm_start(MINILM), 30_000)


@torch.no_grad()
@pytest.mark.parametrize("architecture", BASES)
def test_transformers_reads_the_folder_and_computes_the_same(tmp_path, architecture):
    folder, theirs = dense_folder(tmp_path / "dense", architecture)
    prepare(folder, Goal(max_length=128, block_size=16)).save(tmp_path / "big")
    big, info = transformers.BigBirdModel.from_pretrained(tmp_path / "big", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    ids = token_ids(64)
    torch.testing.assert_close(big.eval()(ids).last_hidden_state, theirs(ids).last_hidden_state, rtol=1e-5, atol=1e-5)
    assert huggingface.load_encoder(tmp_path / "big").config.pattern.graph == "paper"


@torch.no_grad()
@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "RobertaForMaskedLM"])
def test_a_masked_language_model_guesses_the_same(tmp_path, architecture):
    folder, theirs = dense_folder(tmp_path / "dense", architecture)
    ours = warm_start(folder, max_length=128, block_size=16)
    assert isinstance(ours, MaskedLanguageModel)
    ids, layout = token_ids(60), DocumentLayout((60,), 16)
    guessed = layout.unpack(ours(layout.pack(ids[0]), layout))
    torch.testing.assert_close(guessed, theirs(ids).logits[0], rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("BertForPreTraining", PretrainingModel),
        ("BertForTokenClassification", TokenClassifier),
        ("RobertaForTokenClassification", TokenClassifier),
        ("BertForMultipleChoice", ChoiceScorer),
        ("RobertaForMultipleChoice", ChoiceScorer),
    ],
)
def test_heads_that_bigbird_has_too_are_kept(tmp_path, architecture, kind):
    folder, theirs = dense_folder(tmp_path / "dense", architecture)
    ours = warm_start(folder, max_length=128, block_size=16)
    assert isinstance(ours, kind)
    ids, layout = token_ids(60), DocumentLayout((60,), 16)
    found = ours(layout.pack(ids[0]), layout)
    if kind is PretrainingModel:
        torch.testing.assert_close(found.order, theirs(ids).seq_relationship_logits, rtol=1e-5, atol=1e-5)
    elif kind is ChoiceScorer:
        torch.testing.assert_close(found, theirs(ids[None]).logits[0], rtol=1e-5, atol=1e-5)
    else:
        torch.testing.assert_close(layout.unpack(found), theirs(ids).logits[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "values", "note"),
    [
        ("BertForSequenceClassification", {}, r"left out: classifier\.\*, because .* tanh"),
        ("RobertaForSequenceClassification", {}, r"left out: classifier\.\*, because .* tanh"),
        ("BertForQuestionAnswering", {}, r"left out: qa_outputs\.\*, because .* feed-forward"),
        ("BertForNextSentencePrediction", {}, r"left out: cls\.\*, because BigBird has no such head"),
        ("RobertaForMaskedLM", {"hidden_act": "gelu_new"}, r"left out: cls\.predictions\.\*, because .* gelu_new"),
        ("BertForMaskedLM", {"tie_word_embeddings": False}, r"left out: cls\.predictions\.\*, because its output"),
    ],
)
def test_heads_of_another_function_are_left_out_and_told(tmp_path, architecture, values, note):
    folder, _ = dense_folder(tmp_path / "dense", architecture, **values)
    prepared = prepare(folder, Goal())
    assert prepared.architecture == "BigBirdModel"
    text = "\n".join(prepared.notes)
    assert re.search(note, text), text
    assert "no head is kept" in text
    prepared.save(tmp_path / "big")
    huggingface.load_encoder(tmp_path / "big")


def test_the_position_table_is_repeated_and_robertas_first_rows_dropped(tmp_path):
    for architecture, unused in (("BertModel", 0), ("RobertaModel", 2)):
        folder, theirs = dense_folder(tmp_path / architecture, architecture)
        old = theirs.embeddings.position_embeddings.weight[unused:]
        new = warm_start(folder, max_length=150).embeddings.positions.weight
        assert torch.equal(new, torch.cat((old, old, old))[:150])


def test_sharded_folders_old_names_and_bare_names_are_read(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense", "BertForMaskedLM")

    def rename(weights):
        for name in [name for name in weights if "LayerNorm" in name]:
            new = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
            weights[new] = weights.pop(name)

    expected = warm_start(folder).state_dict()
    change_weights(folder, rename)
    shard(folder)
    found = warm_start(folder).state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("loader", ["load_masked_lm", "load_question_answering", "load_sequence_classifier"])
def test_a_bigbird_model_becomes_longer_and_nothing_else(tmp_path, loader):
    folder = hub_folder(tmp_path / "model", loader)
    prepare(folder, Goal(max_length=1024)).save(tmp_path / "longer")
    old, new = load_file(folder / "model.safetensors"), load_file(tmp_path / "longer" / "model.safetensors")
    assert old.keys() == new.keys()
    for name in old:
        assert torch.equal(old[name].repeat(2, 1) if name.endswith(ALWAYS) else old[name], new[name])
    model = getattr(huggingface, loader)(tmp_path / "longer")
    assert model.encoder.config.pattern == CONFIG.pattern
    assert model.encoder.config.max_length == 1024


def test_the_paper_graph_survives_saving_again(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense")
    model = warm_start(folder, max_length=128, block_size=16)
    huggingface.save(model, tmp_path / "again")
    assert huggingface.load_encoder(tmp_path / "again").config == model.config
    published = random_model("load_encoder")
    huggingface.save(published, tmp_path / "published", like=tmp_path / "again")
    assert huggingface.load_encoder(tmp_path / "published").config == published.config
    in_eval = huggingface.load_encoder(tmp_path / "again", "transformers-eval")
    assert in_eval.config.pattern.graph == "transformers-eval"


def test_tokenizer_files_come_along_for_the_new_length(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdef"]) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"model_max_length": 64, "auto_map": {"AutoTokenizer": "evil.Tokenizer"}})
    )
    (folder / "README.md").write_text("not a tokenizer's")
    carried = prepare(folder, Goal(max_length=256)).save(tmp_path / "big")
    assert carried == ("vocab.txt", "tokenizer_config.json")
    assert (tmp_path / "big" / "vocab.txt").read_text() == (folder / "vocab.txt").read_text()
    settings = json.loads((tmp_path / "big" / "tokenizer_config.json").read_text())
    assert settings == {"model_max_length": 256, "tokenizer_class": "BertTokenizer"}
    assert json.loads((tmp_path / "big" / "config.json").read_text())["sep_token_id"] == 3
    assert not (tmp_path / "big" / "README.md").exists()


def test_tokenizer_files_outside_the_folder_or_too_large_are_refused(tmp_path, monkeypatch):
    folder, _ = dense_folder(tmp_path / "dense")
    (tmp_path / "secret").write_text("mine")
    (folder / "merges.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(CheckpointError, match=r"merges.txt is a link to .*secret, outside the folder"):
        prepare(folder, Goal()).save(tmp_path / "big")
    assert not (tmp_path / "big").exists()
    (folder / "merges.txt").unlink()
    (folder / "merges.txt").write_text("x" * 11)
    monkeypatch.setattr(tokenizer_files, "_MOST_BYTES", 10)
    with pytest.raises(CheckpointError, match=r"merges.txt has 11 bytes; of a tokenizer's files at most 10"):
        prepare(folder, Goal()).save(tmp_path / "big")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "gpt2"}, r"model_type is 'gpt2'; BigBird can begin from bert, roberta"),
        ({"model_type": ["bert"]}, r"model_type is \['bert'\]; BigBird can begin from"),
        ({"pre_layer_norm": True}, r"pre_layer_norm is true: GENA-LM's .*gena-lm-bigbird-base-t2t, is read as it is"),
        ({"auto_map": {"AutoModel": "x.Y"}}, r"auto_map says .* code of its own, which is not run"),
        ({"embedding_size": 8}, r"embedding_size differs from hidden_size"),
        ({"position_embedding_type": "relative_key"}, r"dense/config.json: position_embedding_type is 'relative_key'"),
        ({"is_decoder": True}, r"is_decoder is True; only models with is_decoder False"),
        ({"hidden_act": "silu"}, r"dense/config.json: hidden_act must be one of .*, got 'silu'"),
        ({"some_setting": 1}, r"no setting 'some_setting'"),
        ({"max_position_embeddings": 512}, r"is \[64, 32\], but max_position_embeddings is 512"),
        ({"num_hidden_layers": 3}, r"dense: its tensors do not fit its config: 16 missing"),
        ({"num_hidden_layers": 10**9}, r"too few for 1000000000 layers"),
        ({"hidden_size": 10**9}, r"dense"),
    ],
)
def test_what_cannot_begin_a_bigbird_is_refused_and_nothing_written(tmp_path, values, message):
    folder, _ = dense_folder(tmp_path / "dense")
    change_config(folder, **values)
    with pytest.raises(CheckpointError, match=message) as caught:
        prepare(folder, Goal()).save(tmp_path / "big")
    assert ".big.part" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["dense"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("1e400", r"cannot be read: it holds 1e400, which no number here can be"), ('"a\\n\\u001b[2J"', r"is 'a\\n\\x1b")],
)
def test_a_stated_length_that_is_no_number_is_told_in_one_line(tmp_path, name, message):
    folder, _ = dense_folder(tmp_path / "dense")
    change_config(folder, max_position_embeddings="HERE")
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"HERE"', name))
    with pytest.raises(CheckpointError, match=message) as caught:
        prepare(folder, Goal())
    assert str(caught.value).isprintable()


def test_heads_of_strangers_are_named_in_few_lines_that_no_terminal_obeys(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense")
    change_weights(folder, lambda w: w.update({f"\x1b[2J\nhead{index}.x": torch.zeros(1) for index in range(500)}))
    notes = prepare(folder, Goal()).notes
    assert all(note.isprintable() for note in notes)
    assert len(notes) < 30
    assert "left out: 480 more, because BigBird has no such heads" in notes


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.int64, torch.bool, torch.complex64])
def test_a_left_out_head_may_have_numbers_of_any_type(tmp_path, dtype):
    folder, _ = dense_folder(tmp_path / "dense")
    change_weights(folder, lambda w: w.update({"qa_outputs.weight": torch.zeros(2, 32).to(dtype)}))
    assert isinstance(warm_start(folder), Encoder)


@torch.no_grad()
@pytest.mark.parametrize("architecture", BASES)
def test_settings_that_only_bigbird_reads_change_no_dense_model(tmp_path, architecture):
    folder, theirs = dense_folder(tmp_path / "dense", architecture)
    change_config(folder, rescale_embeddings=True, use_bias=False, attention_type="original_full", block_size=1)
    equal_up_to(64, theirs, warm_start(folder))


@torch.no_grad()
def test_up_to_5_and_r_blocks_transformers_computes_the_same_and_beyond_it_does_not(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense")
    prepare(folder, Goal(max_length=256, block_size=8, random_blocks=2)).save(tmp_path / "big")
    theirs = transformers.BigBirdModel.from_pretrained(tmp_path / "big").eval()
    ours, ids = huggingface.load_encoder(tmp_path / "big"), token_ids(64)
    torch.testing.assert_close(ours(ids[:, :56]), theirs(ids[:, :56]).last_hidden_state, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(ours(ids), theirs(ids).last_hidden_state, atol=1e-3)


def test_a_tokenizer_class_of_null_is_none(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": null}')
    prepare(folder, Goal()).save(tmp_path / "big")
    assert json.loads((tmp_path / "big" / "tokenizer_config.json").read_text())["tokenizer_class"] == "BertTokenizer"


def test_a_tokenizer_of_countless_lists_is_not_parsed(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense")
    (folder / "tokenizer.json").write_text('{"added_tokens": [' + "[]," * 800_000 + "[]]}")
    with pytest.raises(CheckpointError, match=r"tokenizer.json cannot be read: it has more than 800,000 lists and obj"):
        prepare(folder, Goal())


def test_genas_post_norm_models_are_berts(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense")
    change_config(folder, pre_layer_norm=False)
    assert isinstance(warm_start(folder), Encoder)


def test_a_folder_without_an_encoder_or_with_a_tensor_twice_is_refused(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense")
    change_weights(
        folder, lambda weights: weights.update({"bert.pooler.dense.bias": weights["pooler.dense.bias"].clone()})
    )
    with pytest.raises(CheckpointError, match=r"has the tensor '.*pooler.dense.bias' twice, under two names"):
        warm_start(folder)
    change_weights(folder, lambda weights: weights.pop("embeddings.position_embeddings.weight"))
    change_weights(folder, lambda weights: weights.pop("bert.pooler.dense.bias"))
    with pytest.raises(CheckpointError, match=r"no tensor bert.embeddings.position_embeddings.weight"):
        warm_start(folder)


def test_robertas_padding_token_must_be_known(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense", "RobertaModel")
    change_config(folder, pad_token_id=None)
    with pytest.raises(CheckpointError, match=r"pad_token_id must be a token's number; positions begin behind it"):
        warm_start(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_length": 0}, r"max_length must be from 1 to 2,147,483,647, got 0"),
        ({"max_length": 10**400}, r"max_length must be from 1 to 2,147,483,647, got 10{49}$"),
        ({"max_length": 32}, r"max_length 32 is less than the 64 tokens that .* reads; give 64 or more"),
        ({"max_length": 2**31 - 1}, r"needs .* of memory or more"),
        ({"block_size": 0}, r"block_size must be from 1 to 4096, got 0"),
        ({"block_size": 5000}, r"block_size must be from 1 to 4096, got 5000"),
        ({"random_blocks": -1}, r"random_blocks must be at least 0, got -1"),
    ],
)
def test_impossible_wishes_are_refused(tmp_path, values, message):
    folder, _ = dense_folder(tmp_path / "dense")
    with pytest.raises(ConfigError, match=message):
        warm_start(folder, **values)


def test_a_full_attention_bigbird_stays_full_until_blocks_are_asked_for(tmp_path):
    folder = hub_folder(tmp_path / "model", "load_encoder")
    change_config(folder, attention_type="original_full")
    full = prepare(folder, Goal())
    assert "attention: full, as in the source; give block_size to make it sparse" in full.notes
    sparse = warm_start(folder, block_size=8)
    assert (sparse.config.pattern.block_size, sparse.config.pattern.graph) == (8, "paper")


def test_nothing_is_written_over(tmp_path):
    folder, _ = dense_folder(tmp_path / "dense")
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "mine").write_text("mine")
    with pytest.raises(ConfigError, match=r"big exists already; give a new folder"):
        prepare(folder, Goal()).save(tmp_path / "big")
    assert [path.name for path in Path(tmp_path / "big").iterdir()] == ["mine"]


def test_random_models_of_ours_are_what_they_were(tmp_path):
    folder = hub_folder(tmp_path / "model", "load_encoder")
    again = warm_start(folder)
    expected = random_model("load_encoder").state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in again.state_dict().items())
