"""Reading and writing whole summarizers, without transformers; parity is in tests/parity."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from bigbird.attention import PatternSpec
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop.huggingface_summarizer import load_summarizer, save_summarizer
from bigbird.model.seq2seq import Seq2Seq
from hub_folders import PEGASUS_CONFIG, change_config, change_weights, hub_folder, shard
from seq2seq_models import decoder_config, seq2seq

BIAS = "final_logits_bias"
SIZES = {"num_layers": 3, "num_heads": 2, "inner_size": 24, "max_length": 512}


@pytest.fixture
def model():
    return seq2seq(PEGASUS_CONFIG, **SIZES)


@pytest.fixture
def folder(model, tmp_path):
    save_summarizer(model, tmp_path / "model")
    return tmp_path / "model"


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("attention_bias", [True, False])
@pytest.mark.parametrize("has_logits_bias", [True, False])
def test_what_is_written_is_read(tmp_path, attention_bias, has_logits_bias):
    config = replace(PEGASUS_CONFIG, attention_bias=attention_bias)
    model = seq2seq(config, **SIZES, has_logits_bias=has_logits_bias)
    save_summarizer(model, tmp_path / "model")
    again = load_summarizer(tmp_path / "model")
    assert again.encoder.config == replace(config, dropout=again.encoder.config.dropout)
    assert again.decoder.config == model.decoder.config
    assert not again.training
    assert same(again.state_dict(), model.state_dict())
    assert load_file(tmp_path / "model/model.safetensors")[BIAS].shape == (1, 90)


def test_shards_and_copies_of_the_token_vectors_are_read(folder, model):
    change_weights(folder, lambda w: w.update({"lm_head.weight": w["model.shared.weight"].clone()}))
    shard(folder)
    assert same(load_summarizer(folder).state_dict(), model.state_dict())


def test_settings_without_effect_are_kept(folder, model, tmp_path):
    change_config(folder, num_beams=5, length_penalty=0.8, activation_function="gelu_pytorch_tanh")
    save_summarizer(model, tmp_path / "again", like=folder)
    first, second = (json.loads((place / "config.json").read_text()) for place in (folder, tmp_path / "again"))
    assert first == second


def without(name):
    return lambda weights: weights.pop(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("model.decoder.layers.1.fc1.bias"), r"1 missing \(model.decoder.layers.1.fc1.bias\)"),
        (lambda w: w.update({"model.decoder.evil": torch.zeros(1)}), r"1 unknown \(model.decoder.evil\)"),
        (lambda w: w.update({BIAS: torch.zeros(90)}), r"final_logits_bias is \[90\], expected \[1, 90\]"),
        (lambda w: w.update({BIAS: w[BIAS].double()}), r"its tensors are F32, F64; all must be one of"),
        (lambda w: w[BIAS].fill_(torch.nan), r"final_logits_bias holds NaN or infinity"),
        (lambda w: w.update({"lm_head.weight": torch.zeros(90, 16)}), r"lm_head.weight differs from model.shared.weig"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, change, message):
    change_weights(folder, change)
    with pytest.raises(CheckpointError, match=message):
        load_summarizer(folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"decoder_layers": 2}, r"unknown \(model.decoder.layers.2"),
        ({"decoder_layers": 10**9}, r"tensors, too few for 2 and 1000000000 layers"),
        ({"decoder_layers": 0}, r"decoder_layers must be at least 1, got 0"),
        ({"decoder_attention_heads": 5}, r"d_model 16 is no multiple of decoder_attention_heads 5"),
        ({"decoder_ffn_dim": 25}, r"of another shape \(model.decoder.layers.0.fc1.weight is \[24, 16\], expected"),
        ({"decoder_layerdrop": 0.1}, r"decoder_layerdrop is 0.1; only models with 0.0 can be loaded"),
        ({"tie_word_embeddings": False}, r"tie_word_embeddings is false; ours has one tensor for all token vectors"),
        ({"d_model": 10**10}, r"describes no possible model: "),
        ({"block_size": 10**9}, r"block_size must be at most 4096"),
    ],
)
def test_a_config_that_cannot_be_served_is_refused(folder, values, message):
    change_config(folder, **values)
    with pytest.raises(CheckpointError, match=message):
        load_summarizer(folder)


def test_a_folder_of_another_kind_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"model_type 'big_bird' is no summarizer; .* reads 'bigbird_pegasus'"):
        load_summarizer(hub_folder(tmp_path / "encoder"))


@pytest.mark.parametrize(
    ("encoder", "decoder", "message"),
    [
        ({}, {"max_length": 256}, r"max_length is 256; .* BigBirdPegasus knows max_length 512 alone"),
        ({}, {"cross_attention": PatternSpec(block_size=16)}, r"cross_attention is PatternSpec\(.* None alone"),
        ({}, {"is_coupled": True, "num_layers": 2, "inner_size": 32}, r"is_coupled is True; .* False alone"),
        ({"positions": "sinusoidal"}, {}, r"positions is 'sinusoidal'; .* knows positions 'learned' alone"),
        ({"norm": "post"}, {}, r"norm is 'post'; .* knows norm 'pre' alone"),
    ],
)
def test_what_theirs_cannot_compute_is_not_written(tmp_path, encoder, decoder, message):
    model = Seq2Seq(replace(PEGASUS_CONFIG, **encoder), decoder_config(**SIZES | decoder))
    with pytest.raises(ConfigError, match=message):
        save_summarizer(model, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_shards_need_a_size(model, tmp_path):
    with pytest.raises(ConfigError, match=r"max_shard_bytes must be at least 1, got 0"):
        save_summarizer(model, tmp_path / "model", max_shard_bytes=0)
