"""`bigbird convert` as people use it."""

import sys

import pytest
import torch
from safetensors.torch import load_file

from bigbird import cli
from bigbird.interop import huggingface

transformers = pytest.importorskip("transformers")
dense_folders = pytest.importorskip("dense_folders")
dense_folder, SMALL = dense_folders.dense_folder, dense_folders.SMALL
SIZE = {"max_position_embeddings": 512, "type_vocab_size": 2}


@pytest.fixture
def bigbird(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder: (exit code, output, what was said)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bigbird", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


def test_a_bert_becomes_a_bigbird_and_every_step_is_told(tmp_path, bigbird, capsys):
    dense_folder(tmp_path / "bert", "BertForMaskedLM")
    capsys.readouterr()
    # as transformers counts its own class of that size, less the pooler, which BertForMaskedLM does not have
    theirs = transformers.BigBirdForMaskedLM(transformers.BigBirdConfig(**SMALL | SIZE))
    count = theirs.num_parameters() - theirs.bert.pooler.weight.numel() - theirs.bert.pooler.bias.numel()
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
