"""`bigbird convert` as people use it."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from bigbird.interop import converting, huggingface
from bigbird.interop.tensorflow_checkpoint import convert_tensorflow
from bigbird.model.encoder import Encoder
from hub_folders import random_model
from tensorflow_variables import Arrays, original_variables

transformers = pytest.importorskip("transformers")
dense_folders = pytest.importorskip("dense_folders")
dense_folder, SMALL = dense_folders.dense_folder, dense_folders.SMALL
summarizer_folder = dense_folders.summarizer_folder
SIZE = {"max_position_embeddings": 512, "type_vocab_size": 2}


def test_a_bert_becomes_a_bigbird_and_every_step_is_told(tmp_path, bigbird, capsys):
    dense_folder(tmp_path / "bert", "BertForMaskedLM")
    capsys.readouterr()
    # as transformers counts its own class of that size, without the pooler, which a masked language model does not use
    theirs = transformers.BigBirdForMaskedLM(transformers.BigBirdConfig(**SMALL | SIZE))
    count = theirs.num_parameters() - sum(p.numel() for p in theirs.bert.pooler.parameters())
    code, out, said = bigbird("convert", "bert", "big", "--max-length", 512, "--block-size", 32, "--random-blocks", 2)
    assert (code, out) == (0, "")
    for line in (
        "reading bert",
        "kept: the head, as BigBirdForMaskedLM, 5 tensors",
        "positions: its 64 rows repeated to 512",
        "attention: blocks of 32 tokens, 2 random ones, graph paper",
        "tokenizer: the source has none",
        f"BigBirdForMaskedLM with {count:,} parameters for documents of up to 512 tokens is in big",
        "to load it: bigbird.interop.huggingface.load_masked_lm('big')",
    ):
        assert line in said, said
    pattern = huggingface.load_masked_lm("big").encoder.config.pattern
    assert (pattern.block_size, pattern.random_blocks, pattern.graph) == (32, 2, "paper")


def test_an_old_pickle_becomes_a_bigbird_on_demand_alone(tmp_path, bigbird):
    folder, _ = dense_folder(tmp_path / "bert")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    code, _, said = bigbird("convert", "bert", "big")
    assert code == 2
    assert "a pickle, which can run code when it is read" in said
    assert "bigbird convert --from-bin bert NEW_FOLDER" in said
    code, _, said = bigbird("convert", "--from-bin", "bert", "big", "--max-length", "128")
    assert code == 0, said
    assert "in a process of its own" in said
    assert huggingface.load_encoder("big").config.max_length == 128


@pytest.mark.parametrize("is_pickle", [False, True])
def test_a_pegasus_becomes_a_bigbird_pegasus_and_every_step_is_told(tmp_path, bigbird, is_pickle):
    folder, theirs = summarizer_folder(tmp_path / "pegasus")
    if is_pickle:  # with a name for every copy of the token vectors
        torch.save(theirs.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    options = ["--from-bin"] if is_pickle else []
    code, out, said = bigbird("convert", *options, "pegasus", "big", "--max-length", 300, "--block-size", 16)
    assert (code, out) == (0, ""), said
    longer = 2 * (300 - 64) * 32  # numbers in two position tables
    for line in (
        "kept: the encoder, 35 tensors",
        "kept: the decoder and its attention to the encoder, 55 tensors",
        "kept: final_logits_bias, model.shared.weight",
        "kept: generation_config.json, how summaries are written",
        "positions of the encoder: its 64 sinusoids continued to 300",
        "attention: blocks of 16 tokens, 3 random ones, graph paper",
        f"BigBirdPegasusForConditionalGeneration with {theirs.num_parameters() + 120 + longer:,} parameters",
        "to load it: bigbird.interop.huggingface.load_encoder('big')",
    ):
        assert line in said, said
    assert huggingface.load_encoder("big").config.max_length == 300


def test_a_fault_in_an_old_pickle_names_the_pickle(tmp_path, bigbird):
    folder, _ = dense_folder(tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.LayerNorm.bias"][0] = torch.nan
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    code, _, said = bigbird("convert", "--from-bin", "bert", "big")
    assert code == 2
    assert "bigbird: bert/pytorch_model.bin: the tensor embeddings.LayerNorm.bias holds NaN" in said


def test_a_target_that_cannot_be_is_told_before_anything_is_read(tmp_path, bigbird):
    dense_folder(tmp_path / "bert")
    (tmp_path / "link").symlink_to("nowhere")
    for target, message in (("link", "exists already"), ("bert/config.json/x", "is a file, not a folder")):
        code, _, said = bigbird("convert", "bert", target)
        assert code == 2
        assert message in said
        assert "reading" not in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["", "big"], "the source is empty"),
        (["nowhere", "big"], "nowhere is no folder"),
        (["bert", "full"], "full exists already; give a new folder"),
        (["bert", "bert/config.json"], "exists already"),
        (["bert", "big", "--max-length", "7"], "max_length 7 is less than the 64 tokens"),
        (["bert", "big", "--block-size", "0"], "block_size must be from 1 to 4096"),
        (["--from-bin", "bert", "big"], "has model.safetensors, which is safe to read; leave out --from-bin"),
        (["bert"], "missing argument"),
    ],
)
def test_mistakes_take_one_line_and_write_nothing(tmp_path, bigbird, capsys, words, message):
    dense_folder(tmp_path / "bert")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    capsys.readouterr()
    code, out, said = bigbird("convert", *words)
    assert (code, out) == (2, "")
    assert message in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bert", "full"]
    assert (tmp_path / "full" / "mine").read_text() == "mine"


@pytest.fixture
def tensorflow_files(tmp_path, monkeypatch):
    """model.ckpt-0 whose variables are read from memory, as TensorFlow is not everywhere."""
    model = random_model("load_pretraining")
    arrays = Arrays(original_variables(model))
    monkeypatch.setattr(converting, "convert_tensorflow", partial(convert_tensorflow, reader=lambda _: arrays))
    (tmp_path / "model.ckpt-0.index").touch()
    return model


def test_a_tensorflow_checkpoint_becomes_a_folder(tensorflow_files, bigbird):
    heads = tensorflow_files.encoder.config.num_heads
    code, _, said = bigbird("convert", "model.ckpt-0", "big", "--num-heads", heads, "--max-length", 8192)
    assert code == 0, said
    assert "reading model.ckpt-0, a TensorFlow checkpoint" in said
    assert "to load it: bigbird.interop.huggingface.load_pretraining('big')" in said
    ours = huggingface.load_pretraining("big").state_dict()
    table = "language_model.encoder.embeddings.positions.weight"
    expected = tensorflow_files.state_dict()
    assert torch.equal(ours.pop(table)[: len(expected[table])], expected.pop(table))
    assert all(torch.equal(ours[name], tensor) for name, tensor in expected.items())


@pytest.mark.usefixtures("tensorflow_files")
def test_options_of_other_sources_are_refused(bigbird, tmp_path):
    code, _, said = bigbird("convert", "model.ckpt-0", "big", "--from-bin")
    assert (code, said) == (2, "bigbird: --from-bin is for pytorch_model.bin; a TensorFlow checkpoint is no pickle\n")
    dense_folder(tmp_path / "bert")
    code, _, said = bigbird("convert", "bert", "big", "--num-heads", 2)
    assert code == 2
    assert "--num-heads is for TensorFlow checkpoints" in said
    assert not (tmp_path / "big").exists()


def test_a_folder_becomes_an_onnx_file(bigbird, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    config = replace(random_model("load_encoder").config, num_layers=1)
    huggingface.save(Encoder(config), tmp_path / "model")
    code, _, said = bigbird("convert", "model", "model.onnx")
    assert code == 0, said
    assert "model.onnx takes token_ids and key_mask" in said
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    tokens = torch.ones(2, 30, dtype=torch.int64)
    given = {"token_ids": tokens.numpy(), "key_mask": (tokens == 1).numpy()}
    given |= {"token_types": 0 * tokens.numpy()} if len(session.get_inputs()) == 3 else {}
    (out,) = session.run(None, given)
    ours = huggingface.load_encoder(tmp_path / "model")(tokens)
    torch.testing.assert_close(torch.from_numpy(out), ours, atol=1e-4, rtol=1e-4)


def test_an_onnx_file_takes_no_options_and_replaces_nothing(bigbird, tmp_path):
    dense_folder(tmp_path / "bert")
    code, _, said = bigbird("convert", "bert", "model.onnx", "--max-length", 512)
    assert code == 2
    assert "convert to a folder first, then that folder to an ONNX file" in said
    (tmp_path / "model.onnx").write_text("mine")
    code, _, said = bigbird("convert", "bert", "model.onnx")
    assert (code, "model.onnx exists already" in said) == (2, True)
    assert (tmp_path / "model.onnx").read_text() == "mine"
