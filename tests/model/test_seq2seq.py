"""What is promised of models that write, all targets at once."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from bigbird.attention import DocumentLayout, PatternSpec
from bigbird.errors import ConfigError, ShapeError
from bigbird.model.encoder import Encoder
from bigbird.model.seq2seq import Seq2Seq
from seq2seq_models import (
    SPARSE,
    VOCABULARY,
    begun,
    decoder_config,
    document,
    encoder_config,
    logits,
    packed,
    seq2seq,
)

MODELS = {
    "pre": seq2seq(encoder_config(norm="pre", positions="sinusoidal", scale_embeddings=True, embedding_norm=False)),
    "coupled": seq2seq(encoder_config(norm="post", num_token_types=2), is_coupled=True),
    "sparse": seq2seq(encoder_config(norm="pre", positions="rotary"), **SPARSE),
}
EVERY_MODEL = pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=6, deadline=None)
@given(length=st.integers(2, 150), data=st.data())
def test_a_later_token_never_changes_an_earlier_logit(name, length, data):
    place = data.draw(st.integers(1, length - 1))
    source, target = document(70), document(length)
    changed = target.clone()
    changed[place:] = (changed[place:] + 1) % VOCABULARY
    (one,), (other,) = (logits(MODELS[name], [source], [x]) for x in (target, changed))
    assert torch.equal(one[:place], other[:place])
    assert not torch.equal(one[place], other[place])


@EVERY_MODEL
def test_an_earlier_token_is_seen(model):
    source, target = document(70), document(20)
    changed = target.clone()
    changed[0] += 1
    assert not torch.equal(logits(model, [source], [target])[0][19], logits(model, [source], [changed])[0][19])


@EVERY_MODEL
def test_the_source_is_seen(model):
    assert not torch.equal(*(logits(model, [document(70, seed)], [document(20)])[0] for seed in (0, 1)))


@EVERY_MODEL
def test_how_long_a_target_becomes_changes_no_earlier_logit(model):
    whole = logits(model, [document(300)], [document(150)])[0]
    for length in (1, 47):
        (part,) = logits(model, [document(300)], [document(150)[:length]])
        torch.testing.assert_close(part, whole[:length], rtol=0, atol=1e-5)


@EVERY_MODEL
def test_a_document_and_its_target_do_not_depend_on_their_neighbours(model):
    sources, targets = [document(n) for n in (300, 3, 129)], [document(n) for n in (20, 150, 1)]
    together = logits(model, sources, targets)
    for source, target, found in zip(sources, targets, together, strict=True):
        assert torch.equal(logits(model, [source], [target])[0], found)


@EVERY_MODEL
def test_training_without_dropout_computes_the_same_function(model):
    one = logits(model, [document(300)], [document(60)])[0]
    other = logits(copy.deepcopy(model).train(), [document(300)], [document(60)])[0]
    assert torch.equal(one, other)


@EVERY_MODEL
def test_every_tensor_gets_a_gradient(model):
    model = copy.deepcopy(model).train()
    (source, layout), (target, target_layout) = packed(document(300)), packed(document(150))
    model(source, target, layout=layout, target_layout=target_layout).square().sum().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not without


@EVERY_MODEL
def test_each_tensor_stands_once_in_the_state_and_comes_back(model, tmp_path):
    state = model.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)
    save_file(state, tmp_path / "model.safetensors")
    again = Seq2Seq(model.encoder.config, model.decoder.config).eval()
    again.load_state_dict(load_file(tmp_path / "model.safetensors"), assign=True)
    assert torch.equal(*(logits(one, [document(90)], [document(20)])[0] for one in (model, again)))


def test_a_coupled_decoder_has_nothing_of_its_own_but_attention_to_the_source():
    model = MODELS["coupled"]
    own = {name.split(".")[1] for name in model.state_dict() if name.startswith("decoder.")}
    assert own == {"cross", "logits_bias"}
    before = logits(model, [document(90)], [document(20)])[0]
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.encoder.layers[1].feed_forward.output.bias.add_(1)
    source, layout = packed(document(90))
    (target, target_layout), encoded = packed(document(20)), model.encode(source, layout)
    found = changed.decoder(target, encoded, layout=layout, target_layout=target_layout)  # of the unchanged encoder
    assert not torch.equal(target_layout.unpack(changed.decoder.logits(found)), before)


def test_a_copy_is_coupled_to_its_own_encoder():
    again = copy.deepcopy(MODELS["coupled"])
    assert again.decoder.encoder is again.encoder
    assert again.decoder.layers[0][0] is again.encoder.layers[0]


def test_sparse_attention_to_the_source_reads_less_than_all_of_it():
    sparse, full = MODELS["sparse"], seq2seq(MODELS["sparse"].encoder.config)
    full.load_state_dict(sparse.state_dict())
    short = [logits(one, [document(40)], [document(10)])[0] for one in (sparse, full)]
    long = [logits(one, [document(300)], [document(140)])[0] for one in (sparse, full)]
    torch.testing.assert_close(*short, rtol=0, atol=1e-5)
    assert not torch.allclose(*long, rtol=0, atol=1e-3)


@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_sixteen_thousand_tokens_are_read(positions):
    config = encoder_config(
        num_layers=1, max_length=16_384, positions=positions, pattern=PatternSpec(block_size=64), hidden_size=16
    )
    model = seq2seq(config, num_layers=1)
    layout, target_layout = DocumentLayout((16_384,), 64), DocumentLayout((5,), 64)
    with torch.no_grad():
        encoded = model.encode(layout.pack(document(16_384)), layout)
        target = target_layout.pack(document(5))
        hidden = model.decoder(target, encoded, layout=layout, target_layout=target_layout)
    decoding = model.begin(encoded, layout)
    stepped = torch.cat([decoding.step(token[None]) for token in document(5)])
    torch.testing.assert_close(stepped, target_layout.unpack(model.decoder.logits(hidden)), rtol=0, atol=1e-4)


def test_a_document_beyond_the_table_is_refused():
    with pytest.raises(ShapeError, match=r"a document has 401 tokens, the model reads at most 400"):
        logits(MODELS["coupled"], [document(401)], [document(3)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_layers": -1}, r"a decoder's num_layers must be at least 0, got -1"),
        ({"max_length": 0}, r"a decoder's max_length must be at least 1, got 0"),
        (
            {"self_attention": PatternSpec(graph="checkpoint")},
            r"self_attention.graph must be 'paper', got 'checkpoint'",
        ),
        (
            {"self_attention": PatternSpec(window_blocks=0)},
            r"window_blocks must be at least 1, got 0: a token could not",
        ),
        (
            {"cross_attention": PatternSpec(window_blocks=0, global_blocks=0, random_blocks=0)},
            r"cross_attention has no window, global or random blocks, so the source would not be seen",
        ),
        ({"cross_attention": PatternSpec(block_size=64)}, r"cross_attention.block_size must be that .* 16, got 64"),
        ({"num_heads": 5}, r"hidden_size 32 is not a multiple of the decoder's num_heads 5"),
        ({"is_coupled": True, "num_layers": 3}, r"coupled .* its num_layers must be 2, got 3"),
        ({"is_coupled": True, "inner_size": 64}, r"coupled .* its inner_size must be 48, got 64"),
        ({"is_coupled": True, "max_length": 500}, r"table of 400 positions, got a max_length of 500. Make it shorter"),
    ],
)
def test_a_decoder_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Seq2Seq(encoder_config(), decoder_config(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": "rotary", "num_heads": 2}, r"rotary positions need an even hidden_size .* the decoder has 1"),
        (
            {"bases_per_token": 8, "vocab_size": 8**8, "positions": "rotary"},
            r"a decoder needs tokens from a vocabulary, the encoder has bases_per_token 8",
        ),
    ],
)
def test_an_encoder_that_cannot_have_a_decoder_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Seq2Seq(encoder_config(**changes), decoder_config(num_heads=32))


def test_inputs_that_do_not_fit_are_refused():
    model = MODELS["pre"]
    (source, layout), (target, target_layout) = packed(document(70)), packed(document(20))
    with pytest.raises(ShapeError, match=r"packed target_ids must be \[32\] for this target_layout, got \[31\]"):
        model(source, target[:31], layout=layout, target_layout=target_layout)
    pair, layout_of_two = packed(document(20), document(3))
    with pytest.raises(ShapeError, match=r"layout has 1 documents, target_layout 2"):
        model(source, pair, layout=layout, target_layout=layout_of_two)
    with pytest.raises(ShapeError, match=r"target_layout has block_size 32, the model 16"):
        model(source, target, layout=layout, target_layout=DocumentLayout((20,), 32))
    with pytest.raises(ShapeError, match=r"a target has 151 tokens, the decoder writes at most 150"):
        logits(model, [document(70)], [document(151)])
    encoded = model.encode(source, layout)
    with pytest.raises(ShapeError, match=r"encoded must be \[80, 32\] for this layout, got \[79, 32\]"):
        model.begin(encoded[:79], layout)
    with pytest.raises(ShapeError, match=r"the layout has block_size 8, the model 16"):
        model.begin(encoded, DocumentLayout((70,), 8))
    with pytest.raises(ShapeError, match=r"layout must be a DocumentLayout, got str"):
        model.begin(encoded, "one document")


def test_an_encoder_alone_is_as_it_was():
    """Its names do not change with what a decoder needs."""
    model = MODELS["coupled"]
    alone = Encoder(model.encoder.config).eval()
    alone.load_state_dict(model.encoder.state_dict())
    source, layout = packed(document(90))
    assert torch.equal(alone(source, layout=layout), model.encode(source, layout))
    assert begun(model, document(90)).documents.tolist() == [0]
