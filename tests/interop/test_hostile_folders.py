"""Broken and hostile folders: a clear error, nothing run, nothing large allocated."""

import json
import os
import resource
import struct
import time

import pytest
import torch
from safetensors.torch import save_file

from bigbird import machine
from bigbird.errors import BigBirdError, CheckpointError, ConfigError
from bigbird.interop import huggingface
from bigbird.interop.warm_start import Goal, prepare
from hub_folders import MODELS, change_config, change_weights, hub_folder, shard


@pytest.fixture(scope="module", autouse=True)
def _warm(tmp_path_factory):
    """PyTorch's meta device imports a good deal when it is first used."""
    huggingface.load_masked_lm(hub_folder(tmp_path_factory.mktemp("warm") / "model"))


@pytest.fixture
def folder(tmp_path):
    return hub_folder(tmp_path / "model")


def refused(folder, message, load=huggingface.load_masked_lm, kind=CheckpointError):
    """Raised within half a second and 50 MB, in one line that stays short."""
    start, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(kind, match=message) as caught:
        load(folder)
    assert time.process_time() - start < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 50_000  # KiB
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2_000
    assert isinstance(caught.value, BigBirdError)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "bert"}, r"config.json: model_type must be 'big_bird' or 'bigbird_pegasus', got 'bert'"),
        (
            {"model_type": ["x" * 10_000]},
            r"config.json: model_type must be 'big_bird' or 'bigbird_pegasus', got \['x+ …",
        ),
        ({"block_sise": 32}, r"no setting 'block_sise'\. Did you mean 'block_size'\?.*remove from the file"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, r"no setting 'auto_map'"),
        ({"use_bias": False}, r"6 unknown \(bert.encoder.layer.0.attention.self.key.bias"),
        ({"is_decoder": True}, r"is_decoder is True; only models with is_decoder False can be loaded"),
        ({"add_cross_attention": True}, r"add_cross_attention is True; only"),
        ({"position_embedding_type": "relative_key"}, r"position_embedding_type is 'relative_key'; only .* 'absolute'"),
        ({"pruned_heads": {"0": [1]}}, r"pruned_heads is {'0': \[1\]}; only"),
        ({"attention_type": "other"}, r"attention_type must be block_sparse or original_full, got 'other'"),
        ({"hidden_act": "gelo"}, r"hidden_act must be one of gelu_new, .*, got 'gelo'"),
        ({"hidden_size": "wide"}, r"hidden_size got 'wide'"),
        ({"hidden_size": "w" * 3_000_000}, r"hidden_size got 'w+ …"),
        ({"hidden_size": 30}, r"of another shape"),
        ({"hidden_size": 31}, r"hidden_size 31 is not a multiple of num_heads 2"),
        ({"hidden_size": 0}, r"config.json: hidden_size must be at least 1, got 0"),
        ({"hidden_size": -4}, r"config.json: hidden_size must be at least 1, got -4"),
        ({"hidden_size": 10**9}, r"describes no possible model: "),
        ({"vocab_size": 10**9}, r"of another shape .*is \[90, 16\], expected \[1000000000, 16\]"),
        ({"hidden_size": 10**10}, r"describes no possible model: "),
        ({"intermediate_size": 10**30}, r"describes no possible model: "),
        ({"vocab_size": 10**18}, r"(describes no possible model|of another shape)"),
        ({"max_position_embeddings": 10**18}, r"(describes no possible model|of another shape)"),
        ({"num_hidden_layers": 10**9}, r"has \d+ tensors, too few for 1000000000 layers"),
        ({"num_hidden_layers": 1}, r"unknown \(bert.encoder.layer.1.* and 13 more\)"),
        ({"num_attention_heads": 10**9}, r"hidden_size 16 is not a multiple"),
        ({"block_size": 10**9}, r"block_size must be at most 4096"),
        ({"block_size": 0}, r"block_size must be at least 1, got 0"),
        ({"block_size": 0, "attention_type": "original_full"}, r"block_size must be at least 1, got 0"),
        ({"layer_norm_eps": -1.0}, r"layer_norm_eps must be a finite number above 0"),
        ({"hidden_dropout_prob": 1.5}, r"dropout must be in \[0, 1\), got 1.5"),
        ({"type_vocab_size": -1}, r"num_token_types must be at least 0"),
        ({"tie_word_embeddings": False}, r"tie_word_embeddings is false; ours has one tensor for cls.pred"),
    ],
)
def test_a_config_that_cannot_be_served_is_refused(folder, values, message):
    change_config(folder, **values)
    refused(folder, message)


def test_the_training_graph_of_other_tables_is_refused(folder):
    change_config(folder, max_position_embeddings=2048)
    refused(
        folder,
        r"'transformers-train' is known for max_position_embeddings 4096 alone, got 2048.* Use graph 'checkpoint'",
        lambda place: huggingface.load_encoder(place, "transformers-train"),
    )


@pytest.mark.parametrize("graph", ["paper", "nonsense", None])
def test_other_graphs_are_refused(folder, graph):
    with pytest.raises(ConfigError, match=r"graph must be one of checkpoint, transformers-train, transformers-eval"):
        huggingface.load_encoder(folder, graph)


@pytest.mark.parametrize("value", ["2", 10**18])
def test_classifier_settings_that_make_no_model_are_refused(tmp_path, value):
    folder = hub_folder(tmp_path / "model", "load_sequence_classifier")
    change_config(folder, id2label=None, num_labels=value)
    refused(folder, r"(describes no possible model|of another shape)", huggingface.load_sequence_classifier)


@pytest.mark.parametrize("dropout", [2.0, -1.0])
def test_a_classifier_dropout_that_is_no_share_is_refused(tmp_path, dropout):
    folder = hub_folder(tmp_path / "model", "load_sequence_classifier")
    change_config(folder, classifier_dropout=dropout)
    refused(folder, r"describes no possible model: dropout probability", huggingface.load_sequence_classifier)


def test_a_reader_without_separator_is_refused(tmp_path):
    folder = hub_folder(tmp_path / "model", "load_question_answering")
    change_config(folder, sep_token_id=None)
    refused(folder, r"sep_token_id is null; question answering needs", huggingface.load_question_answering)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"cannot be read: Expecting value"),
        (b"[]", r"it holds no object of names"),
        (b"{", r"cannot be read"),
        (b'{"a":' * 100_000, r"cannot be read: maximum recursion depth"),
        (b"[" * 100_000, r"cannot be read: maximum recursion depth"),
        (b'{"hidden_size": ' + b"9" * 5_000 + b"}", r"cannot be read: Exceeds the limit"),
        (b'{"model_type": "big_bird", "vocab_size": NaN}', r"it holds NaN, which is no JSON"),
        (b'{"model_type": "big_bird", "initializer_range": -1e400}', r"it holds -1e400, which no number here can be"),
        (b'{"vocab_size": 1, "vocab_size": 2}', r"the name 'vocab_size' stands twice in one object"),
        (b"\xff\xfe{\x00}\x00", r"cannot be read: 'utf-8' codec"),
        (
            b'{"model_type": "big_bird"' + b"".join(b',"k%d":0' % k for k in range(1_000_000)) + b"}",
            r"at most 4,194,304",
        ),
        (b'{"model_type": "big_bird"' + b"".join(b',"k%d":0' % k for k in range(100_000)) + b"}", r"no setting 'k0'"),
        (b'{"model_type": "big_bird", "%s": 1}' % (b"k" * 1_000_000), r"no setting 'k+ …"),
    ],
    ids=range(13),
)
def test_a_damaged_config_is_refused(folder, text, message):
    (folder / "config.json").write_bytes(text)
    refused(folder, message)


def test_a_path_that_is_no_folder_is_refused_with_the_way_to_get_one(tmp_path):
    refused("no/such/folder", r"no/such/folder is no folder.*hf download OWNER/MODEL --local")
    refused(tmp_path, r"has no config.json\. Give a folder with config.json and model.safetensors")


def test_a_pickle_is_refused_and_never_opened(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, r"has neither model.safetensors nor model.safetensors.index.json")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch canary'\ntR.")
    refused(folder, r"pytorch_model.bin alone, a pickle, which can run code .* with: bigbird convert --from-bin")
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")
    refused(folder, r"model.safetensors cannot be read: its header is said to have")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b"", r"its header is said to have 0 bytes"),
        (lambda b: b[:5], r"its header is said to have 0 bytes"),
        (lambda b: b[:-1], r"model.safetensors cannot be read: .*"),
        (lambda b: b[:200], r"it ends within its header"),
        (lambda b: struct.pack("<Q", 10 * 2**30) + b[8:], r"its header is said to have 10,737,418,240 bytes; at most"),
        (lambda b: struct.pack("<Q", 2**63) + b[8:], r"its header is said to have 9,223,372,036,854,775,808 bytes"),
        (lambda b: b[:8] + b"[" * struct.unpack("<Q", b[:8])[0] + b"", r"cannot be read: "),
        (lambda b: struct.pack("<Q", 20) + b'{"a": 1, "a": 2}    ', r"the name 'a' stands twice"),
        (lambda b: struct.pack("<Q", 8) + b'{"a": 1}', r"the header's entry for 'a' has no dtype or no shape"),
        (
            lambda b: struct.pack("<Q", 34) + b'{"a":{"dtype":"F32","shape":[-1]}}',
            r"entry for 'a' has no possible shape; at most 8 whole numbers are read",
        ),
    ],
)
def test_a_damaged_weights_file_is_refused(folder, damage, message):
    path = folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    refused(folder, message)


def test_a_file_that_claims_more_than_the_memory_is_refused_before_it_is_read(folder, monkeypatch):
    monkeypatch.setattr(machine, "available_bytes", lambda device="cpu": 1000)
    refused(folder, r"reading .*model needs .* of memory or more, 0.0 GiB are available", kind=ConfigError)


def test_a_hollow_file_of_half_a_terabyte_allocates_nothing(folder):
    size = 2**33
    change_config(folder, vocab_size=size)
    path = folder / "model.safetensors"
    header = json.loads(path.read_bytes()[8:].split(b"}}")[0] + b"}}")
    end = 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["shape"] and entry["shape"][0] == 90:
            entry["shape"][0] = size
        length = 4
        for side in entry["shape"]:
            length *= side
        entry["data_offsets"], end = [end, end + length], end + length
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    try:
        os.truncate(path, 8 + len(text) + end)
    except OSError:
        pytest.skip("this file system holds no file of that size")
    refused(folder, r"reading .* needs [\d,.]+ GiB of memory or more", kind=ConfigError)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("cls.predictions.bias"), r"1 missing \(cls.predictions.bias\)\. It looks like a BigBirdModel"),
        (lambda w: w.update(evil=torch.zeros(2)), r"do not fit its config: 1 unknown \(evil\)"),
        (lambda w: w.update({"../../x": torch.zeros(2)}), r"1 unknown \(\.\./\.\./x\)"),
        (lambda w: w.update({"e" * 100_000: torch.zeros(2)}), r"1 unknown \(e+\)"),
        (lambda w: w.update({"a\n\x1b[2Jb": torch.zeros(2)}), r"1 unknown \(a\\n\\x1b\[2Jb\)"),
        (
            lambda w: w.update({"cls.predictions.decoder.bias": torch.zeros(90).to(torch.float8_e4m3fn)}),
            r"cls.predictions.decoder.bias differs from cls.predictions.bias",
        ),
        (
            lambda w: w.update({name: torch.zeros(3) for name in list(w) if "LayerNorm" in name}),
            r"12 of another shape \(\S+ is \[3\], expected \[16\], .* and 9 more\)",
        ),
        (lambda w: w["cls.predictions.bias"].fill_(torch.nan), r"cls.predictions.bias holds NaN or infinity; the file"),
        (lambda w: w["bert.embeddings.LayerNorm.bias"].fill_(torch.inf), r"bert.embeddings.LayerNorm.bias holds NaN"),
        (
            lambda w: w.update({name: value.long() for name, value in w.items()}),
            r"its tensors are I64; all must be one of F32, F64, BF16, F16",
        ),
        (
            lambda w: w.update({"cls.predictions.bias": w["cls.predictions.bias"].double()}),
            r"its tensors are F32, F64; all must be one of",
        ),
        (
            lambda w: w.update({"embeddings.LayerNorm.bias": torch.zeros(16)}),
            r"has the tensor embeddings.LayerNorm.bias twice, with and without 'bert.' before its name",
        ),
        (
            lambda w: w.update({"cls.predictions.decoder.weight": torch.zeros(90, 16)}),
            r"cls.predictions.decoder.weight differs from bert.embeddings.word_embeddings.weight; ours has one tensor",
        ),
        (
            lambda w: w.update({"cls.predictions.decoder.weight": torch.zeros(1)}),
            r"cls.predictions.decoder.weight differs from",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder, change, message):
    change_weights(folder, change)
    refused(folder, message)


@pytest.mark.parametrize("loader", [loader for loader in MODELS if loader != "load_encoder"])
def test_another_head_s_folder_names_its_loader(tmp_path, loader):
    folder = hub_folder(tmp_path / "model", loader)
    wrong = "load_masked_lm" if loader == "load_question_answering" else "load_question_answering"
    refused(folder, rf"It looks like a \w+: use {loader}\.", getattr(huggingface, wrong))


def changed_index(folder, change):
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change(index["weight_map"])
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    "file", ["../outside.safetensors", "/etc/passwd", "/var/x.safetensors", "a/b.safetensors", "..", "", 5, "x.bin"]
)
def test_an_index_that_leads_elsewhere_is_refused(folder, file):
    save_file({"cls.predictions.bias": torch.zeros(90)}, folder.parent / "outside.safetensors")
    shard(folder)
    changed_index(folder, lambda places: places.update({"cls.predictions.bias": file}))
    refused(folder, r"is not the name of a .safetensors file in the folder; nothing elsewhere is read")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model-00001-of-00002.safetensors"])
def test_a_link_that_leads_elsewhere_is_refused(folder, name):
    if name.startswith("model-"):
        shard(folder)
    outside = folder.parent / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    refused(folder, rf"{name} is a link to .*outside, outside the folder; copy the file itself there")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda places: places.clear(), r"weight_map must name the file of every tensor"),
        (
            lambda places: places.pop("cls.predictions.bias"),
            r"does not say that 'cls.predictions.bias' is in this file",
        ),
        (
            lambda places: places.update(more="model-00001-of-00002.safetensors"),
            r"'more' is not in it, but model.safetensors.index.json says so",
        ),
        (
            lambda places: places.update({"cls.predictions.bias": "missing.safetensors"}),
            r"(missing.safetensors cannot be read: .*No such file|does not say that)",
        ),
    ],
)
def test_an_index_that_does_not_fit_its_files_is_refused(folder, change, message):
    shard(folder)
    changed_index(folder, change)
    refused(folder, message)


def test_a_named_pipe_is_never_waited_for(folder):
    shard(folder)
    file = folder / "model-00001-of-00002.safetensors"
    file.unlink()
    os.mkfifo(file)
    refused(folder, r"model-00001-of-00002.safetensors is no ordinary file, so it is not opened")
    (folder / "model.safetensors.index.json").unlink()
    file.rename(folder / "model.safetensors")
    refused(folder, r"has neither model.safetensors nor")


def test_a_link_that_leads_to_itself_is_refused(folder):
    shard(folder)
    file = folder / "model-00001-of-00002.safetensors"
    file.unlink()
    file.symlink_to(file)
    refused(
        folder, r"00001-of-00002.safetensors (is a link that leads back to itself|cannot be read: .*symbolic links)"
    )


WORDS = "bert.embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            {WORDS: {"shape": [10**1000, 16]}},
            r"entry for 'bert.embeddings.word_embeddings.weight' has no possible shape",
        ),
        (
            {WORDS: {"shape": [1] * 900_000}},
            r"entry for 'bert.embeddings.word_embeddings.weight' has no possible shape",
        ),
        ({WORDS: {"dtype": "\x1b[2J\n" * 3_000}}, r"word_embeddings.weight' has no dtype or no shape"),
        ({WORDS: {"data_offsets": [-5, 10]}}, r"model.safetensors cannot be read: .*"),
        ({WORDS: {"data_offsets": [0, 10]}}, r"model.safetensors cannot be read: .*"),
        (
            {"cls.seq_relationship.bias": {"dtype": "F32", "shape": [1], "data_offsets": [3, 7]}},
            r"model.safetensors cannot be read: .*",
        ),
    ],
    ids=range(6),
)
def test_a_header_s_entry_that_no_file_can_have_is_refused(folder, entries, message):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    for name, values in entries.items():
        header[name] = header.get(name, {}) | values
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    refused(folder, message)
    refused(folder, message, lambda place: prepare(place, Goal()))


def test_what_another_library_says_of_a_file_is_told_in_one_line(folder):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    evil = {"\x1b[2J\nevil" * 3_000: {"dtype": "F32", "shape": [1], "data_offsets": [3, 7]}}
    text = json.dumps(json.loads(content[8 : 8 + length]) | evil).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    refused(folder, r"cannot be read: .*invalid offset for tensor", lambda place: prepare(place, Goal()))
