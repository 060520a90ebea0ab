"""What a run begins from: models of ours and published ones, with their heads where the task is the same."""

from dataclasses import replace

import pytest
import torch

from bigbird.checkpoint import save_model
from bigbird.errors import CheckpointError
from bigbird.interop.starting import read_start
from bigbird.tasks import MaskedLM
from bigbird.tokenizers.train_text import train_text_tokenizer
from helpers import MOTIF_TASK, SINGLE_BASE, YES_NO, loaded_model
from hub_folders import CONFIG, hub_folder, random_model

TOKENIZER = train_text_tokenizer(["the cat sat"] * 3, vocab_size=265)
TEXT_CONFIG = replace(CONFIG, vocab_size=TOKENIZER.vocab_size)
MASKED = MaskedLM(max_length=256)


def published(path, loader="load_masked_lm", tokenizer=TOKENIZER):
    hub_folder(path, loader, TEXT_CONFIG)
    tokenizer.save(path)
    return str(path)


def ours(path, task):
    save_model(path, loaded_model(task, seed=1))
    return str(path)


def filled(start, task, seed=2):
    """A new model for the task, and which of its tensors were taken over."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = task.build_model(start.encoder)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    start.fill(model)
    return model, {name for name, tensor in model.state_dict().items() if not torch.equal(before[name], tensor)}


def test_a_published_masked_language_model_gives_encoder_head_and_tokenizer(tmp_path):
    start = read_start(published(tmp_path / "hub"), MASKED)
    model, taken = filled(start, MASKED)
    assert taken == set(model.state_dict())
    for name, tensor in random_model("load_masked_lm", TEXT_CONFIG).state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
    assert start.encoder == TEXT_CONFIG
    assert start.tokenizer.pieces == TOKENIZER.pieces


@pytest.mark.parametrize("loader", ["load_encoder", "load_masked_lm", "load_token_classifier", "load_pretraining"])
@pytest.mark.parametrize("task", [MASKED, YES_NO, MOTIF_TASK], ids=["masked", "whole", "tokens"])
def test_the_encoder_comes_out_of_every_published_model(tmp_path, loader, task):
    start = read_start(published(tmp_path / "hub", loader), task)
    model, taken = filled(start, task)
    head = {name for name in model.state_dict() if not name.startswith("encoder.")}
    keeps_head = task is MASKED and loader in ("load_masked_lm", "load_pretraining")
    assert taken == set(model.state_dict()) - (set() if keeps_head else head)
    source = random_model(loader, TEXT_CONFIG)
    encoder = (source if loader == "load_encoder" else source.encoder).state_dict()
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(encoder[name], tensor)


@pytest.mark.parametrize(
    ("loader", "next_segment", "drawn"),
    [
        ("load_masked_lm", True, {"pooler.weight", "pooler.bias", "classifier.weight", "classifier.bias"}),
        ("load_pretraining", True, set()),
        ("load_pretraining", False, set()),
    ],
)
def test_the_head_of_next_segments_is_taken_over_where_there_is_one(tmp_path, loader, next_segment, drawn):
    task = replace(MASKED, next_segment=next_segment)
    start = read_start(published(tmp_path / "hub", loader), task)
    model, taken = filled(start, task)
    assert set(model.state_dict()) - taken == drawn


def test_a_dense_model_becomes_a_bigbird_that_guesses_the_same(tmp_path):
    dense_folders = pytest.importorskip("dense_folders")
    folder, theirs = dense_folders.dense_folder(
        tmp_path / "dense", "RobertaForMaskedLM", vocab_size=TOKENIZER.vocab_size
    )
    TOKENIZER.save(folder)
    start = read_start(str(folder), MASKED)
    model, _ = filled(start, MASKED)
    assert (start.encoder.max_length, start.encoder.pattern.block_size) == (4096, 64)
    assert torch.equal(model.bias, theirs.lm_head.bias)
    assert torch.equal(model.encoder.embeddings.tokens.weight, theirs.roberta.embeddings.word_embeddings.weight)


@pytest.mark.parametrize(("before", "after"), [(MASKED, MASKED), (MASKED, YES_NO), (YES_NO, YES_NO), (YES_NO, MASKED)])
def test_a_model_of_ours_gives_its_head_to_the_same_task_alone(tmp_path, before, after):
    start = read_start(ours(tmp_path / "model", before), after)
    _, taken = filled(start, after)
    assert any(not name.startswith("encoder.") for name in taken) == (before is after)
    assert start.tokenizer.vocab_size == SINGLE_BASE.vocab_size


def test_labels_of_other_names_get_a_new_head(tmp_path):
    start = read_start(ours(tmp_path / "model", YES_NO), replace(YES_NO, labels=("a", "b")))
    assert all(name.startswith("encoder.") for name in start.weights)


def test_a_tokenizer_of_another_size_is_refused(tmp_path):
    folder = published(tmp_path / "hub", tokenizer=train_text_tokenizer(["the cat sat"] * 3, vocab_size=263))
    with pytest.raises(
        CheckpointError, match=r"the tokenizer knows 263 tokens, the model 265; a run can only begin from"
    ):
        read_start(folder, MASKED)


@pytest.mark.parametrize("name", ["", "nowhere", "promoterr"])
def test_what_is_nothing_is_told(name):
    with pytest.raises(CheckpointError, match="empty|neither a model folder"):
        read_start(name, MASKED)
