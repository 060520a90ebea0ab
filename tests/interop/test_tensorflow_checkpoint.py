"""Checkpoints of the original, by its names; a dictionary of arrays stands for TensorFlow where that is not there."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from bigbird.attention import DocumentLayout
from bigbird.errors import CheckpointError, ConfigError, MissingDependency
from bigbird.interop import huggingface
from bigbird.interop import tensorflow_checkpoint as original
from bigbird.interop.tensorflow_bundle import Variable, open_bundle
from bigbird.interop.tensorflow_checkpoint import convert_tensorflow, load_tensorflow, read_tensorflow
from bigbird.model.encoder import Encoder
from bigbird.model.heads import MaskedLanguageModel
from bigbird.model.published_heads import PretrainingModel
from hub_folders import CONFIG, random_model
from tensorflow_variables import Arrays, original_variables, with_slots

SETTINGS = {"num_heads": CONFIG.num_heads, "pattern": CONFIG.pattern}
FULL = original_variables(random_model("load_pretraining"))
QUERY = "bert/encoder/layer_0/attention/self/query/kernel"


def read(variables, **settings):
    return read_tensorflow("here", reader=lambda _: Arrays(variables), **SETTINGS | settings)


def refused(variables, message, kind=CheckpointError, **settings):
    with pytest.raises(kind, match=message) as caught:
        read(variables, **settings)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2_000


def same_weights(ours, theirs):
    theirs = theirs.state_dict()
    assert ours.state_dict().keys() == theirs.keys()
    for name, tensor in ours.state_dict().items():
        assert tensor.is_contiguous()
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("loader", "module"),
    [("load_encoder", Encoder), ("load_masked_lm", MaskedLanguageModel), ("load_pretraining", PretrainingModel)],
)
def test_what_is_there_decides_the_model_and_its_weights_are_the_same(loader, module):
    model = random_model(loader)
    ours, left_behind = read(with_slots(original_variables(model)))
    assert type(ours) is module
    assert left_behind == ()
    assert not ours.training
    same_weights(ours, model)
    encoder = ours if module is Encoder else ours.encoder
    assert encoder.config == CONFIG


@torch.no_grad()
def test_outputs_are_those_of_the_model_with_the_same_weights():
    model, layout = random_model("load_pretraining"), DocumentLayout((100, 30), block_size=16)
    ours, _ = read(original_variables(model))
    token_ids = layout.pack(torch.randint(0, 90, (130,), generator=torch.Generator().manual_seed(0)))
    for mine, theirs in zip(ours(token_ids, layout), model(token_ids, layout), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("transform", ["transform", "cls/predictions/transform", "cls/predictions/transform/dense"])
def test_the_head_is_found_under_the_names_of_published_checkpoints_and_of_the_training_script(transform):
    variables = original_variables(random_model("load_masked_lm"), transform=transform)
    same_weights(read(variables).model, random_model("load_masked_lm"))


@pytest.mark.parametrize("scope", ["", "bert/", "any/scope/"])
def test_the_scope_of_the_run_does_not_matter(scope):
    same_weights(
        read(original_variables(random_model("load_encoder"), scope=scope)).model, random_model("load_encoder")
    )


def test_kernels_of_three_dimensions_mean_what_the_original_s_products_say():
    """Its einsums: "abc,cde->adbe" for query, key and value, "BFNH,NHD->BFD" for the projection."""
    variables, rng = dict(FULL), np.random.default_rng(0)
    heads, of_a_head, hidden = 2, 8, 16
    query, output = rng.normal(size=(hidden, heads, of_a_head)), rng.normal(size=(heads, of_a_head, hidden))
    bias = rng.normal(size=(heads, of_a_head))
    projection = "bert/encoder/layer_0/attention/output/dense/kernel"
    given = {QUERY: query, QUERY.replace("kernel", "bias"): bias, projection: output}
    variables.update({name: array.astype(np.float32) for name, array in given.items()})
    attention = read(variables).model.encoder.layers[0].attention
    x = torch.from_numpy(rng.normal(size=(1, 5, hidden)).astype(np.float32))
    theirs = torch.einsum("abc,cde->abde", x, torch.from_numpy(query).float()) + torch.from_numpy(bias).float()
    ours = x @ attention.qkv.weight[:hidden].T + attention.qkv.bias[:hidden]
    torch.testing.assert_close(ours, theirs.reshape(1, 5, hidden))
    seen = torch.from_numpy(rng.normal(size=(1, 5, heads, of_a_head)).astype(np.float32))
    theirs = torch.einsum("bfnh,nhd->bfd", seen, torch.from_numpy(output).float())
    torch.testing.assert_close(seen.reshape(1, 5, hidden) @ attention.output.weight.T, theirs)


def test_three_dimensional_kernels_tell_a_wrong_number_of_heads():
    variables = FULL | {QUERY: FULL[QUERY].reshape(16, 4, 4)}
    refused(variables, r"query/kernel is \[16, 4, 4\], expected \[16, 16\] or \[16, 2, 8\] with num_heads=2")


def test_defaults_are_those_the_published_models_were_trained_with():
    config = random_model("load_encoder").config
    wide = type(config)(
        **{name: getattr(config, name) for name in ("vocab_size", "num_layers", "max_length", "inner_size")},
        hidden_size=24, num_heads=12, num_token_types=2,
    )  # fmt: skip
    ours = read_tensorflow("here", reader=lambda _: Arrays(original_variables(Encoder(wide)))).model.config
    assert (ours.num_heads, ours.activation, ours.norm, ours.layer_norm_eps) == (12, "gelu_tanh", "post", 1e-12)
    assert (ours.pattern.block_size, ours.pattern.random_blocks, ours.pattern.graph) == (64, 3, "checkpoint")
    changed = read(FULL, activation="relu", scale_embeddings=True, layer_norm_eps=1e-5).model.encoder.config
    assert (changed.activation, changed.scale_embeddings, changed.layer_norm_eps) == ("relu", True, 1e-5)


def test_a_pooler_without_head_stays_behind_and_is_named():
    variables = {name: array for name, array in FULL.items() if "seq_relationship" not in name}
    model, left_behind = read(variables)
    assert type(model) is MaskedLanguageModel
    assert left_behind == ("bert/pooler/dense/bias", "bert/pooler/dense/kernel")


def test_a_decoder_is_left_behind_only_when_asked_and_then_named():
    decoder = {
        "bert/decoder/layer_0/attention/encdec/query/kernel": np.ones((16, 16), np.float32),
        "bert/decoder/LayerNorm/beta": np.ones(16, np.float32),
        "bert/encoder/layer_0/attention/encdec/key/kernel": np.ones((16, 16), np.float32),  # coupled to the encoder
    }
    ours = original_variables(random_model("load_encoder"))
    refused(
        ours | decoder, r"has a decoder \(decoder/LayerNorm/beta, .*encdec.*\)\. encoder_only=True reads the encoder"
    )
    model, left_behind = read(ours | decoder, encoder_only=True)
    same_weights(model, random_model("load_encoder"))
    assert left_behind == tuple(sorted(decoder))
    assert set(read(FULL, encoder_only=True).left_behind) == {n for n in FULL if "cls/" in n or "pooler" in n}


def test_unknown_variables_are_refused_unless_the_encoder_alone_is_wanted():
    variables = FULL | {"bert/classifier/kernel": np.ones((16, 2), np.float32)}
    refused(variables, r"has variables unknown here \(classifier/kernel\)\. encoder_only=True reads the encoder")
    assert type(read(variables, encoder_only=True).model) is Encoder


PEGASUS = replace(
    CONFIG, norm="pre", embedding_norm=False, attention_bias=False, num_token_types=0, activation="relu",
    scale_embeddings=True, layer_norm_eps=1e-5,
)  # fmt: skip


@torch.no_grad()
def test_pegasus_encoder_is_told_by_its_names_and_its_decoder_is_named(tmp_path, monkeypatch):
    model = random_model("load_encoder", PEGASUS)
    decoder = {
        "pegasus/decoder/layer_0/attention/self/query/kernel": np.ones((16, 16), np.float32),
        "pegasus/decoder/LayerNorm/gamma": np.ones(16, np.float32),
    }
    variables = original_variables(model, scope="pegasus/") | decoder
    told = {"activation": "relu", "scale_embeddings": True, "layer_norm_eps": 1e-5}
    refused(variables, r"has a decoder \(decoder/LayerNorm/gamma, decoder/layer_0", **told)
    ours, left_behind = read(variables, encoder_only=True, **told)
    assert left_behind == tuple(sorted(decoder))
    assert ours.config == PEGASUS
    same_weights(ours, model)
    token_ids = torch.randint(0, 90, (1, 100), generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours(token_ids), model(token_ids))
    monkeypatch.setitem(original.read_tensorflow.__kwdefaults__, "reader", lambda _: Arrays(variables))
    with pytest.raises(ConfigError, match="transformers has such an encoder only as a part .* Give like="):
        convert_tensorflow("here", tmp_path / "new", encoder_only=True, **SETTINGS, **told)


def test_a_layer_with_norms_of_another_order_is_refused():
    variables = original_variables(random_model("load_encoder", PEGASUS), scope="pegasus/")
    gamma = "pegasus/encoder/layer_1/attention/self/LayerNorm/gamma"
    variables[gamma.replace("self", "output")] = variables.pop(gamma)
    refused(variables, r"unknown here \(encoder/layer_1/attention/output/LayerNorm/gamma\)|lacks 1 variables")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.clear(), r"here has 0 variables …/embeddings/word_embeddings; .* its variables are none"),
        (lambda v: v.update({"x/embeddings/word_embeddings": FULL[QUERY]}), r"has 2 variables …/embeddings/word_emb"),
        (lambda v: v.update({"bert/transform/kernel\x1b[2J": FULL[QUERY]}), r"unknown here \(transform/kernel\\x1b"),
        (
            lambda v: v.update({"transform/kernel": FULL[QUERY]}),
            r"has a variable twice: .*transform/kernel, transform/k",
        ),
        (
            lambda v: v.update({"bert/a/.ATTRIBUTES/VARIABLE_VALUE": v.pop(QUERY)}),
            r"was written by tf.train.Checkpoint",
        ),
        (lambda v: v.pop(QUERY), r"lacks 1 variables: encoder/layer_0/attention/self/query/kernel"),
        (lambda v: v.pop("bert/embeddings/position_embeddings"), r"position_embeddings, which tells .*, is missing"),
        (lambda v: v.pop("cls/predictions/transform/gamma"), r"lacks 1 variables: cls/predictions/transform/gamma"),
        (
            lambda v: v.update({QUERY: FULL[QUERY][:8]}),
            r"query/kernel is \[8, 16\], expected \[16, 16\] or \[16, 2, 8\]",
        ),
        (
            lambda v: v.update({QUERY: FULL[QUERY].astype(np.int32)}),
            r"its variables are float32, int32; all must be one",
        ),
        (lambda v: v.update({QUERY: FULL[QUERY] * np.nan}), r"query/kernel holds NaN or infinity"),
        (lambda v: v.update({QUERY: FULL[QUERY] * np.inf}), r"query/kernel holds NaN or infinity"),
        (
            lambda v: v.update({"bert/embeddings/word_embeddings": np.ones(4, np.float32)}),
            r"word_embeddings, which tells the model's sizes, is of shape \[4\]",
        ),
        (
            lambda v: v.update({n.replace("layer_1", "layer_7"): v.pop(n) for n in list(v) if "layer_1" in n}),
            r"layer_7/attention",
        ),
    ],
    ids=range(14),
)
def test_a_checkpoint_that_does_not_fit_is_refused(change, message):
    variables = dict(FULL)
    change(variables)
    refused(variables, message)


def test_values_are_checked_only_of_what_is_read():
    variables = FULL | {"cls/predictions/output_bias": np.full(90, np.nan, np.float32)}
    assert type(read(variables, encoder_only=True).model) is Encoder


def test_a_wrong_number_of_heads_names_the_usual_one():
    variables = dict(FULL)
    with pytest.raises(ConfigError, match=r"num_heads 12 does not divide the hidden size of here, 16\. .* num_heads=1"):
        read_tensorflow("here", reader=lambda _: Arrays(variables))
    refused(variables, "here: num_heads must be at least 1, got 0", kind=ConfigError, num_heads=0)


class Claims(Arrays):
    """An index that lists tables of another size than the file holds."""

    def __init__(self, arrays, shape):
        super().__init__(arrays, data_bytes=10**6)
        for name in ("word_embeddings", "position_embeddings"):
            self.variables[f"bert/embeddings/{name}"] = Variable(shape, "float32")

    def read(self, name):  # noqa: ARG002
        raise AssertionError("nothing may be read")


@pytest.mark.parametrize("shape", [(10**12, 16), (2**62, 16), (10**6, 16)])
def test_an_index_that_claims_more_than_the_files_hold_costs_nothing(shape):
    message = "data files have 1,000,000. They were cut off|shapes of no possible model"
    with pytest.raises(CheckpointError, match=message):
        read_tensorflow(
            "here", reader=lambda _: Claims(original_variables(random_model("load_encoder")), shape), **SETTINGS
        )


def test_a_prefix_without_its_two_files_is_refused_with_what_to_give(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"model.ckpt-0.index does not exist\. Give what its files' names begin with:"
    ):
        open_bundle(tmp_path / "model.ckpt-0")
    (tmp_path / "model.ckpt-0.index").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"begin with \(model.ckpt-0.index is one of its files\)"):
        open_bundle(tmp_path / "model.ckpt-0.index")
    with pytest.raises(
        CheckpointError, match=r"model.ckpt-0.data-00000-of-00001 does not exist beside model.ckpt-0.ind"
    ):
        open_bundle(tmp_path / "model.ckpt-0")
    with (tmp_path / "model.ckpt-0.index").open("wb") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(CheckpointError, match=r"model.ckpt-0.index has 17,825,792 bytes; at most 16,777,216 are read"):
        open_bundle(tmp_path / "model.ckpt-0")


def test_without_tensorflow_the_extra_is_named(tmp_path, monkeypatch):
    for file in ("model.ckpt-0.index", "model.ckpt-0.data-00000-of-00001"):
        (tmp_path / file).write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(
        MissingDependency, match=r"Reading a TensorFlow checkpoint needs tensorflow.*'bigbird\[tensorflow\]'"
    ):
        load_tensorflow(tmp_path / "model.ckpt-0")


def test_a_converted_checkpoint_is_a_folder_of_the_hub(tmp_path, monkeypatch):
    variables = {name: array for name, array in FULL.items() if "seq_relationship" not in name}
    monkeypatch.setitem(original.read_tensorflow.__kwdefaults__, "reader", lambda _: Arrays(variables))
    assert convert_tensorflow("here", tmp_path / "new", **SETTINGS) == (
        "bert/pooler/dense/bias",
        "bert/pooler/dense/kernel",
    )
    same_weights(huggingface.load_masked_lm(tmp_path / "new"), random_model("load_pretraining").language_model)


# --- real files, where TensorFlow is installed


@pytest.fixture(scope="module")
def tensorflow():
    return pytest.importorskip("tensorflow", reason="TensorFlow is not installed: pip install 'bigbird[tensorflow]'")


@pytest.fixture(scope="module")
def checkpoint(tensorflow, tmp_path_factory):
    """model.ckpt-7 with the weights of FULL, written by the original's own saver."""
    old = tensorflow.compat.v1
    place = tmp_path_factory.mktemp("tensorflow") / "model.ckpt"
    with tensorflow.Graph().as_default(), old.Session() as session:
        for name, array in with_slots(FULL).items():
            old.get_variable(name, initializer=array, use_resource=True)
        session.run(old.global_variables_initializer())
        old.train.Saver().save(session, str(place), global_step=7, write_meta_graph=False)
    return place.with_name("model.ckpt-7")


@torch.no_grad()
def test_a_checkpoint_written_by_tensorflow_gives_the_same_model(checkpoint, tmp_path):
    model = load_tensorflow(checkpoint, **SETTINGS)
    same_weights(model, random_model("load_pretraining"))
    assert convert_tensorflow(checkpoint, tmp_path / "new", **SETTINGS) == ()
    same_weights(huggingface.load_pretraining(tmp_path / "new"), random_model("load_pretraining"))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("data-00000-of-00001", lambda data: data[: len(data) // 2], r"TensorFlow cannot read .*Copy both files"),
        ("data-00000-of-00001", lambda data: data[:5000], r"its index lists weights of .* They were cut off"),
        ("data-00000-of-00001", lambda data: bytes(len(data)), r"TensorFlow cannot read .*Copy both files"),
        ("index", lambda data: data[: len(data) // 2], r"TensorFlow cannot read its index"),
        ("index", lambda data: b"", r"TensorFlow cannot read its index"),
        ("index", lambda data: bytes(1000), r"TensorFlow cannot read its index"),
        ("index", lambda data: data.replace(b"kernel", b"kermel"), r"cannot read its index|lacks|unknown"),
    ],
    ids=range(7),
)
def test_damaged_files_are_refused(checkpoint, tmp_path, file, damage, message):
    for path in checkpoint.parent.glob("model.ckpt-7.*"):
        data = path.read_bytes()
        (tmp_path / path.name).write_bytes(damage(data) if path.name.endswith(file) else data)
    with pytest.raises(CheckpointError, match=message):
        load_tensorflow(tmp_path / "model.ckpt-7", **SETTINGS)


def test_a_checkpoint_named_by_objects_is_refused(tensorflow, tmp_path):
    saved = tensorflow.train.Checkpoint(weights=tensorflow.Variable([1.0])).write(str(tmp_path / "objects"))
    with pytest.raises(CheckpointError, match=r"was written by tf.train.Checkpoint or Keras.*bigbird-base-trivia-itc"):
        load_tensorflow(saved, **SETTINGS)
