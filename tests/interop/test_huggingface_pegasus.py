"""Reading and writing the encoder of a BigBirdPegasus, without transformers; parity is in tests/parity."""

import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from bigbird import machine
from bigbird.errors import CheckpointError, ConfigError
from bigbird.interop import huggingface
from bigbird.interop.huggingface import load_encoder, save
from hub_folders import CONFIG, PEGASUS_CONFIG, change_config, change_weights, pegasus_folder, random_model, shard

SHARED = "model.shared.weight"
COPIES = ["model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"]


@pytest.fixture
def folder(tmp_path):
    return pegasus_folder(tmp_path / "model")


def tensors(folder):
    return load_file(folder / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def expected():
    return random_model("load_encoder", PEGASUS_CONFIG).state_dict()


@pytest.mark.parametrize("base", ["model.", ""])
@pytest.mark.parametrize("attention_bias", [True, False])
def test_a_folder_read_and_written_is_the_same_folder(tmp_path, base, attention_bias):
    config = replace(PEGASUS_CONFIG, attention_bias=attention_bias)
    first, second = pegasus_folder(tmp_path / "first", config, base), tmp_path / "second"
    change_config(first, activation_function="gelu_pytorch_tanh", num_hidden_layers=2)
    model = load_encoder(first)
    assert model.config == config
    assert not model.training
    assert same(model.state_dict(), random_model("load_encoder", config).state_dict())
    save(model, second, like=first)
    assert same(tensors(first), tensors(second))
    values = json.loads((second / "config.json").read_text())
    assert values.items() >= json.loads((first / "config.json").read_text()).items()


@pytest.mark.parametrize("copies", [COPIES, COPIES[:1], COPIES[2:]], ids=len)
@pytest.mark.parametrize("is_whole", [True, False])
def test_tied_token_vectors_are_read_and_written_however_they_are_stored(folder, tmp_path, copies, is_whole):
    def tie(weights):
        weights.update({copy: weights[SHARED].clone() for copy in copies})
        if not is_whole:
            weights.pop(SHARED)

    change_weights(folder, tie)
    model = load_encoder(folder)
    assert same(model.state_dict(), expected())
    save(model, tmp_path / "again", like=folder)
    assert same(tensors(folder), tensors(tmp_path / "again"))


def test_copies_follow_token_vectors_that_were_trained(folder, tmp_path):
    change_weights(folder, lambda w: w.update({copy: w[SHARED].clone() for copy in COPIES}))
    model = load_encoder(folder)
    with torch.no_grad():
        model.embeddings.tokens.weight.add_(1)
    save(model, tmp_path / "again", like=folder)
    again = tensors(tmp_path / "again")
    assert all(torch.equal(again[name], model.embeddings.tokens.weight) for name in [SHARED, *COPIES])


def test_an_output_matrix_of_its_own_stays_as_it_is(folder, tmp_path):
    change_weights(folder, lambda w: w.update({"lm_head.weight": torch.randn(90, 16)}))
    save(load_encoder(folder), tmp_path / "again", like=folder)
    assert same(tensors(folder), tensors(tmp_path / "again"))


def test_a_shorter_encoder_is_written_without_the_layers_it_lost(folder, tmp_path):
    model = random_model("load_encoder", replace(PEGASUS_CONFIG, num_layers=1))
    save(model, tmp_path / "again", like=folder)
    assert same(load_encoder(tmp_path / "again").state_dict(), model.state_dict())
    assert not [name for name in tensors(tmp_path / "again") if "encoder.layers.1" in name]


def test_shards_are_read(folder):
    shard(folder)
    assert same(load_encoder(folder).state_dict(), expected())


def test_without_like_a_part_of_a_summarizer_is_not_written(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"only as a part of its BigBirdPegasusModel\. Give like=, a"):
        save(load_encoder(folder), tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 80}, r"has vocab_size 90, the model 80; `like` must be as the model"),
        ({"hidden_size": 32}, r"has d_model 16, the model 32"),
        ({"max_length": 256}, r"has max_position_embeddings 512, the model 256"),
        ({"activation": "relu"}, r"has activation_function 'gelu_new', the model 'relu'"),
        ({"scale_embeddings": False}, r"has scale_embedding True, the model False"),
        ({"attention_bias": True}, r"has use_bias False, the model True"),
        ({"attention_bias": "output"}, r"attention_bias is 'output'; .*Pegasus knows attention_bias True and False"),
        ({"norm": "post"}, r"norm is 'post'; transformers' BigBirdPegasus knows norm 'pre' alone"),
        ({"positions": "sinusoidal"}, r"positions is 'sinusoidal'; .* knows positions 'learned' alone"),
        ({"embedding_norm": True}, r"embedding_norm is True; .* knows embedding_norm False alone"),
        ({"num_token_types": 2}, r"num_token_types is 2; .* knows num_token_types 0 alone"),
        ({"layer_norm_eps": 1e-12}, r"layer_norm_eps is 1e-12; .* knows layer_norm_eps 1e-05 alone"),
    ],
)
def test_an_encoder_that_does_not_go_with_the_decoder_is_not_written(folder, tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        save(random_model("load_encoder", replace(PEGASUS_CONFIG, **change)), tmp_path / "again", like=folder)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("change", [{"embedding_norm": False}, {"attention_bias": False}])
def test_what_bigbird_s_layout_has_no_place_for_is_not_written(tmp_path, change):
    with pytest.raises(ConfigError, match=r"transformers' BigBird knows \w+ .* alone, so this model cannot be written"):
        save(random_model("load_encoder", replace(CONFIG, **change)), tmp_path / "again")


@pytest.mark.parametrize("loader", [name for name in huggingface.__all__ if name not in ("load_encoder", "save")])
def test_other_loaders_are_refused_with_the_one_that_serves(folder, loader):
    with pytest.raises(CheckpointError, match=r"out of a folder of model_type 'bigbird_pegasus'; use load_encoder"):
        getattr(huggingface, loader)(folder)


def test_only_an_encoder_is_written_into_a_summarizer(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"no BigBirdPegasus like MaskedLanguageModel; it can have Encoder"):
        save(random_model("load_masked_lm"), tmp_path / "again", like=folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"encoder_layerdrop": 0.1}, r"encoder_layerdrop is 0.1; only models with encoder_layerdrop 0.0 can be loaded"),
        ({"pruned_heads": {"0": [1]}}, r"pruned_heads is {'0': \[1\]}; only"),
        ({"tie_word_embeddings": False}, r"tie_word_embeddings is false; ours has one tensor for model.encoder.embed_"),
        ({"num_hidden_layers": 3}, r"num_hidden_layers is 3 and encoder_layers 2, which are the same thing"),
        ({"activation_function": "gelo"}, r"activation_function must be one of gelu_new, .*, got 'gelo'"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, r"no setting 'auto_map'"),
        ({"encoder_layers": 10**9}, r"tensors, too few for 1000000000 layers"),
        ({"encoder_layers": 1}, r"unknown \(model.encoder.layers.1"),
        ({"d_model": 10**10}, r"describes no possible model: "),
        ({"d_model": 30}, r"of another shape"),
        ({"vocab_size": 10**18}, r"(describes no possible model|of another shape)"),
        ({"block_size": 10**9}, r"block_size must be at most 4096"),
        ({"use_bias": True}, r"8 missing \(model.encoder.layers.0.self_attn.output.bias"),
    ],
)
def test_a_config_that_cannot_be_served_is_refused(folder, values, message):
    change_config(folder, **values)
    with pytest.raises(CheckpointError, match=message):
        load_encoder(folder)


def test_the_training_graph_of_other_tables_is_refused(folder):
    change_config(folder, max_position_embeddings=2048)
    with pytest.raises(CheckpointError, match=r"'transformers-train' is known for max_position_embeddings 4096 alone"):
        load_encoder(folder, "transformers-train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("model.encoder.layernorm_embedding.bias"), r"1 missing \(model.encoder.layernorm_embedding.b"),
        (lambda w: w.update({"model.decoder.evil": torch.zeros(1)}), r"1 unknown \(model.decoder.evil\)"),
        (
            lambda w: w.update({"model.decoder.layers.0.fc1.bias\n": torch.zeros(1)}),
            r"1 unknown \(model.decoder.layers.0.fc1.bias\\n\)",
        ),
        (lambda w: w.update({COPIES[0]: torch.zeros(90, 16)}), r"embed_tokens.weight differs from model.shared.weight"),
        (lambda w: w.update({COPIES[0]: torch.zeros(1)}), r"embed_tokens.weight differs from model.shared.weight"),
        (lambda w: w[SHARED].fill_(torch.nan), r"model.shared.weight holds NaN or infinity"),
        (lambda w: w.update({"shared.weight": w[SHARED].clone()}), r"twice, with and without 'model.' before its name"),
        (lambda w: w.update({SHARED: w[SHARED].double()}), r"its tensors are F32, F64; all must be one of"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(folder, change, message):
    change_weights(folder, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_encoder(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.full((1, 90), torch.nan), r"final_logits_bias holds NaN or infinity"),
        (torch.zeros(1, 90, dtype=torch.int64), r"final_logits_bias is I64; all must be F32, F64, BF16, F16"),
    ],
)
def test_a_decoder_that_is_damaged_is_not_carried_over(folder, tmp_path, value, message):
    model = load_encoder(folder)
    change_weights(folder, lambda w: w.update(final_logits_bias=value))
    with pytest.raises(CheckpointError, match=message):
        save(model, tmp_path / "again", like=folder)
    assert not (tmp_path / "again").exists()


def test_a_folder_beyond_the_memory_is_refused_before_it_is_read(folder, tmp_path, monkeypatch):
    model = load_encoder(folder)
    monkeypatch.setattr(machine, "available_bytes", lambda device="cpu": 1000)
    for use in (load_encoder, lambda place: save(model, tmp_path / "again", like=place)):
        with pytest.raises(ConfigError, match=r"reading .*model needs .* of memory or more"):
            use(folder)


def test_pickles_links_and_pipes_are_never_opened(folder):
    weights = folder / "model.safetensors"
    outside = weights.rename(folder.parent / "outside")
    weights.symlink_to(outside)
    with pytest.raises(CheckpointError, match=r"is a link to .*outside, outside the folder"):
        load_encoder(folder)
    weights.unlink()
    os.mkfifo(weights)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch canary'\ntR.")
    with pytest.raises(CheckpointError, match=r"pytorch_model.bin alone, a pickle"):
        load_encoder(folder)


def test_an_index_that_leads_elsewhere_is_refused(folder):
    save_file({SHARED: torch.zeros(90, 16)}, folder.parent / "outside.safetensors")
    places = shard(folder)
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": places | {SHARED: "../outside.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"is not the name of a .safetensors file in the folder"):
        load_encoder(folder)
