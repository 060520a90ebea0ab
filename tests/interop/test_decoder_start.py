"""A decoder that begins as its encoder computes what the encoder does, until it looks at the document."""

from dataclasses import replace

import pytest
import torch

import reader_models as readers
from bigbird.interop.decoder_start import decoder_from_encoder
from bigbird.interop.starting import read_start
from bigbird.model.decoder_config import DecoderConfig
from bigbird.tasks import Summarization

TASK = Summarization(max_length=48, generation=replace(Summarization().generation, max_new_tokens=16))


@pytest.fixture
def begun(tmp_path):
    readers.bert_folder(tmp_path / "bert")

    def begin(**decoder):
        start = read_start(str(tmp_path / "bert"), TASK)
        task = replace(TASK, decoder=DecoderConfig(max_length=32, **decoder)).settled(start.tokenizer, start.encoder)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = task.build_model(start.encoder).eval()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        start.fill(model)
        return model, before

    return begin


def test_the_decoder_embeds_tokens_as_the_encoder_does(begun):
    model, _ = begun()
    assert model.encoder.config.num_token_types == 2
    ids, positions = torch.arange(5, 25), torch.arange(20)
    with torch.inference_mode():
        torch.testing.assert_close(model.decoder.embed(ids, positions), model.encoder.embeddings(ids, positions))


def test_layers_are_the_encoders_and_the_look_at_the_document_is_new(begun):
    model, before = begun()
    state = model.state_dict()
    for name, tensor in state.items():
        if name.startswith("decoder.blocks."):
            assert torch.equal(tensor, state[name.replace("decoder.blocks", "encoder.layers")]), name
        if name.startswith("decoder.cross."):
            assert torch.equal(tensor, before[name]), name
    assert any(name.startswith("decoder.blocks.") for name in state)


def test_a_longer_table_begins_with_the_rows_that_there_are(begun):
    model, before = begun()
    start = model.encoder.embeddings.positions.weight
    longer = Summarization(
        max_length=48,
        generation=replace(TASK.generation, max_new_tokens=len(start) + 8, start_token=0, end_token=1),
        decoder=DecoderConfig(max_length=len(start) + 8),
    ).build_model(model.encoder.config)
    drawn = longer.decoder.positions.weight.detach().clone()
    found = decoder_from_encoder(before | model.state_dict(), longer)["decoder.positions.weight"]
    types = model.encoder.embeddings.token_types.weight[0]
    torch.testing.assert_close(found[: len(start)], start + types)
    assert torch.equal(found[len(start) :], drawn[len(start) :])


def test_a_shorter_decoder_has_the_first_layers(begun):
    model, _ = begun(num_layers=1)
    state = model.state_dict()
    assert torch.equal(state["decoder.blocks.0.attention.qkv.weight"], state["encoder.layers.0.attention.qkv.weight"])
    assert "decoder.blocks.1.attention.qkv.weight" not in state


def test_a_coupled_decoder_needs_nothing_but_the_word(begun):
    model, _ = begun(is_coupled=True)
    assert not any(name.startswith("decoder.blocks.") for name in model.state_dict())
    assert model.decoder.config.num_layers == model.encoder.config.num_layers
