"""Encoders read from BigBirdPegasus folders compute what transformers 5.23 computes with the same weights.

Theirs switches to full attention for good after one short document, so every comparison takes a fresh model.
"""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bigbird.attention import PatternSpec
from bigbird.interop.huggingface import load_encoder, save
from bigbird.interop.huggingface_names import PEGASUS_NAMES, to_ours
from bigbird.model.encoder import Encoder, EncoderConfig

transformers = pytest.importorskip("transformers")
pegasus = pytest.importorskip("transformers.models.bigbird_pegasus.modeling_bigbird_pegasus")

SMALL = {
    "vocab_size": 90,
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 48,
    "block_size": 16,
    "dropout": 0.0,
}
CLASSES = ["Model", "ForConditionalGeneration", "ForSequenceClassification", "ForQuestionAnswering"]
GRAPHS = ["transformers-train", "transformers-eval"]
ERROR = {torch.float32: 1e-5, torch.float64: 1e-10}
EVERY_DTYPE = pytest.mark.parametrize("dtype", ERROR, ids=str)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Makes their model with random numbers in every tensor, once, and gives its folder."""
    made = {}

    def make(name="ForConditionalGeneration", **values):
        key = (name, json.dumps(values, sort_keys=True))
        if key not in made:
            made[key] = tmp_path_factory.mktemp(name)
            their_random_model(name, SMALL | values).save_pretrained(made[key])
        return made[key]

    return make


def their_random_model(name, values):
    config = transformers.BigBirdPegasusConfig(**values, num_labels=3)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = getattr(transformers, f"BigBirdPegasus{name}")(config)
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * (0.1 if config.d_model < 100 else 0.02))
    return model


def both(folder, dtype=torch.float64, *, is_training=False, graph=None):
    """Their encoder and ours."""
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    theirs = getattr(transformers, architecture).from_pretrained(folder, dtype=dtype).train(is_training)
    ours = load_encoder(folder, graph or f"transformers-{'train' if is_training else 'eval'}")
    return getattr(theirs, "model", theirs).encoder, ours.to(dtype)


def document(length, vocab_size=90):
    """Token 0 is left out: theirs gives it no gradient as an input."""
    return torch.randint(1, vocab_size, (1, length), generator=torch.Generator().manual_seed(length))


def compare(theirs, ours, token_ids, *, within):
    expected = theirs(input_ids=token_ids).last_hidden_state
    torch.testing.assert_close(ours(token_ids), expected, rtol=within, atol=within)


@torch.no_grad()
@EVERY_DTYPE
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("length", [1, 176, 177, 777, 1024, 1025, 2048, 3001, 4096])
def test_the_encoder_equals_theirs(folder_of, graph, length, dtype):
    theirs, ours = both(folder_of(), dtype, is_training=graph == GRAPHS[0])
    compare(theirs, ours, document(length), within=ERROR[dtype])


@torch.no_grad()
@EVERY_DTYPE
@pytest.mark.parametrize("length", [1024, 3072, 4096])
def test_the_checkpoint_graph_equals_their_training_at_the_published_lengths(folder_of, length, dtype):
    theirs, ours = both(folder_of(), dtype, is_training=True, graph="checkpoint")
    compare(theirs, ours, document(length), within=ERROR[dtype])


@torch.no_grad()
@pytest.mark.parametrize(
    "values",
    [
        {"use_bias": True},
        {"scale_embedding": False},
        {"activation_function": "relu"},
        {"activation_function": "gelu"},
        {"attention_type": "original_full"},
        {"block_size": 32, "num_random_blocks": 2},
        {"attention_dropout": 0.5, "activation_dropout": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_training", [True, False])
def test_every_setting_acts_as_theirs(folder_of, values, is_training):
    if values.get("attention_type") == "original_full":
        is_training = False  # theirs draws no graph then
    theirs, ours = both(folder_of(**values), is_training=is_training)
    compare(theirs, ours, document(700), within=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("name", CLASSES)
def test_every_class_gives_its_encoder(folder_of, name):
    compare(*both(folder_of(name)), document(300), within=1e-10)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_gradients_equal_theirs(folder_of, graph, use_bias):
    theirs, ours = both(folder_of(use_bias=use_bias), is_training=graph == GRAPHS[0])
    token_ids = document(700)
    for out in (theirs(input_ids=token_ids).last_hidden_state, ours(token_ids)):
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(0), dtype=out.dtype)).sum().backward()
    gradients = {f"model.encoder.{name}": parameter.grad for name, parameter in theirs.named_parameters()}
    gradients["model.shared.weight"] = gradients.pop("model.encoder.embed_tokens.weight")
    expected = to_ours(gradients, PEGASUS_NAMES.encoder_pairs(2, attention_bias=use_bias))
    for name, parameter in ours.named_parameters():
        largest = float(expected[name].abs().max())
        assert largest > 0 or name.endswith("qkv.bias"), name
        torch.testing.assert_close(parameter.grad, expected[name], rtol=0, atol=1e-9 * max(largest, 1.0), msg=name)


WIDTHS = {
    "base": {"d_model": 768, "encoder_attention_heads": 12, "encoder_ffn_dim": 3072},
    "large": {"d_model": 1024, "encoder_attention_heads": 16, "encoder_ffn_dim": 4096},
}


@torch.no_grad()
@pytest.mark.parametrize("width", WIDTHS)
def test_at_the_published_widths_it_is_equal_too(folder_of, width):
    published = {"block_size": 64, "decoder_ffn_dim": 32, "decoder_attention_heads": 4, "use_bias": False}
    folder = folder_of(**WIDTHS[width], **published)
    for length, is_training, graph in ((1024, True, "checkpoint"), (1500, False, "transformers-eval")):
        theirs, ours = both(folder, torch.float32, is_training=is_training, graph=graph)
        compare(theirs, ours, document(length), within=1e-5)


def padded_errors(folder, lengths, padded_length, *, is_training):
    """Largest difference of each document's vectors in one padded batch."""
    theirs, ours = both(folder, is_training=is_training)
    token_ids = torch.zeros(len(lengths), padded_length, dtype=torch.int64)
    mask = torch.arange(padded_length)[None] < torch.tensor(lengths)[:, None]
    for row, length in enumerate(lengths):
        token_ids[row, :length] = document(length)
    expected = theirs(input_ids=token_ids, attention_mask=mask.long()).last_hidden_state
    found = ours(token_ids, mask)
    return [float((found[row, :n] - expected[row, :n]).abs().max()) for row, n in enumerate(lengths)]


@torch.no_grad()
@pytest.mark.parametrize("is_training", [True, False])
def test_padded_batches_equal_theirs_where_theirs_does_not_depend_on_padding(folder_of, is_training):
    folder = folder_of()
    # At most 5 + 2r blocks, padding included: full attention there, whole documents here.
    assert max(padded_errors(folder, (3, 70, 176), 176, is_training=is_training)) < 1e-10
    # Sparse, but the padding ends in the block in which the document ends.
    assert max(padded_errors(folder, (1024, 1017, 1009), 1024, is_training=is_training)) < 1e-10
    # Elsewhere its second global block is padding, and the result another.
    assert min(padded_errors(folder, (500, 1000), 1024, is_training=is_training)) > 1e-3


@pytest.mark.parametrize("layer", [0, 5])
@pytest.mark.parametrize("length", [704 + 64, 1024, 2048, 3072, 4096])
def test_its_random_blocks_are_those_of_the_graph_transformers_train(length, layer):
    """Block by block, with the counts: their tables for a layer, beside our pattern."""
    table = their_table(length, layer)
    num_blocks = length // 64
    spec = PatternSpec(block_size=64, graph="transformers-train")
    pattern = spec.build(num_blocks=num_blocks, num_heads=4, layer=layer)
    for head, rows in enumerate(table):
        expected = np.zeros((num_blocks, num_blocks), dtype=int)
        expected[[0, -1]] = 1
        for row in range(1, num_blocks - 1):
            seen = {0, row - 1, row, row + 1, num_blocks - 1}
            expected[row, sorted(seen)] = 1
            np.add.at(expected[row], rows[row - 1], 1)
        assert np.array_equal(pattern.counts()[head].numpy(), expected), head


def their_table(length, layer):
    config = transformers.BigBirdPegasusConfig(d_model=32, encoder_attention_heads=4)
    attention = pegasus.BigBirdPegasusBlockSparseAttention(config, seed=layer).train()
    kept = np.random.get_state()  # noqa: NPY002 - theirs seeds NumPy's global generator
    try:
        np.random.seed(layer)  # noqa: NPY002
        if length in (1024, 3072, 4096):
            most = config.max_position_embeddings
            rows = length // 64 - 2
            return [attention._bigbird_block_rand_mask(most, most, 64, 64, 3, last_idx=1024)[:rows] for _ in range(4)]
        plan = attention._get_rand_attn_plan(length, 64, 3)
        return attention._bigbird_block_rand_mask_with_head(length, length, 64, 64, 4, *plan)
    finally:
        np.random.set_state(kept)  # noqa: NPY002


@torch.no_grad()
def test_where_theirs_is_clamped_in_float16_is_beyond_what_float16_holds(folder_of):
    """Theirs clamps overflowing float16 sums; nothing is clamped here, and in range both agree."""
    theirs, ours = both(folder_of(), torch.float16)
    exact, _ = both(folder_of())
    token_ids = document(400)
    expected = exact(input_ids=token_ids).last_hidden_state
    error = (theirs(input_ids=token_ids).last_hidden_state - expected).abs().max()
    assert float((ours(token_ids) - expected).abs().max()) < max(2 * float(error), 0.02)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_theirs_read_and_written_is_theirs_bit_by_bit(folder_of, tmp_path, name, dtype):
    architecture = getattr(transformers, f"BigBirdPegasus{name}")
    first, second = tmp_path / "first", tmp_path / "second"
    architecture.from_pretrained(folder_of(name)).to(dtype).save_pretrained(first)
    save(load_encoder(first), second, like=first)
    one, other = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[tensor], other[tensor]) and other[tensor].dtype == dtype for tensor in one)
    assert json.loads((first / "config.json").read_text()) == json.loads((second / "config.json").read_text())
    again, info = architecture.from_pretrained(second, output_loading_info=True)
    assert not any(info.values())
    assert again.dtype == dtype


def test_ours_through_theirs_is_ours_bit_by_bit(folder_of, tmp_path):
    before = load_encoder(folder_of())
    with torch.no_grad():
        for parameter in before.parameters():
            parameter.add_(torch.randn_like(parameter))
    save(before, tmp_path / "ours", like=folder_of())
    transformers.BigBirdPegasusForConditionalGeneration.from_pretrained(tmp_path / "ours").save_pretrained(
        tmp_path / "theirs"
    )
    after = load_encoder(tmp_path / "theirs")
    assert repr(after) == repr(before)
    assert after.config == before.config
    first, second = before.state_dict(), after.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@torch.no_grad()
def test_a_trained_encoder_comes_back_into_their_whole_model(folder_of, tmp_path):
    """Its decoder reads what ours computes, and guesses with the token vectors of ours."""
    ours = load_encoder(folder_of(), "transformers-eval").double()
    for parameter in ours.parameters():
        parameter.mul_(1.1)
    save(ours, tmp_path / "model", like=folder_of())
    theirs = transformers.BigBirdPegasusForConditionalGeneration.from_pretrained(
        tmp_path / "model", dtype=torch.float64
    )
    out = theirs.eval()(input_ids=document(300), decoder_input_ids=document(5))
    torch.testing.assert_close(out.encoder_last_hidden_state, ours(document(300)), rtol=1e-10, atol=1e-10)
    assert torch.equal(theirs.lm_head.weight, ours.embeddings.tokens.weight)


def test_stored_copies_of_the_token_vectors_are_read_and_written_as_they_were(folder_of, tmp_path):
    weights = load_file(folder_of() / "model.safetensors")
    for copy in PEGASUS_NAMES.tied:
        weights[copy] = weights["model.shared.weight"].clone()
    first = tmp_path / "first"
    first.mkdir()
    (first / "config.json").write_bytes((folder_of() / "config.json").read_bytes())
    save_file(weights, first / "model.safetensors", metadata={"format": "pt"})
    transformers.BigBirdPegasusForConditionalGeneration.from_pretrained(first)
    save(load_encoder(first), tmp_path / "second", like=first)
    again = load_file(tmp_path / "second/model.safetensors")
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)


def test_their_shards_are_read(folder_of, tmp_path):
    theirs = transformers.BigBirdPegasusModel.from_pretrained(folder_of("Model"))
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="50KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    whole, sharded = (load_encoder(folder).state_dict() for folder in (folder_of("Model"), tmp_path / "shards"))
    assert all(torch.equal(whole[name], sharded[name]) for name in whole)


def test_all_their_settings_are_known(folder_of, tmp_path):
    """Nothing that their own config writes is refused, whatever its value of no effect."""
    config = transformers.BigBirdPegasusConfig.from_pretrained(folder_of("ForSequenceClassification"))
    values = config.to_dict() | {"num_hidden_layers": 2, "hidden_size": 32, "add_cross_attention": False}
    (tmp_path / "config.json").write_text(json.dumps(values | {"num_beams": 5, "length_penalty": 0.8}))
    weights = load_file(folder_of("ForSequenceClassification") / "model.safetensors")
    save_file(weights, tmp_path / "model.safetensors")
    load_encoder(tmp_path)


@torch.no_grad()
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
def test_bigbird_with_such_settings_equals_theirs_and_comes_back(tmp_path, rescale, use_bias):
    """rescale_embeddings, and use_bias, which leaves theirs the bias behind attention."""
    values = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.BigBirdConfig(
        **values, vocab_size=90, block_size=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        rescale_embeddings=rescale, use_bias=use_bias,
    )  # fmt: skip
    theirs = transformers.BigBirdModel(config)
    for parameter in theirs.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    theirs.save_pretrained(tmp_path / "first")
    ours = load_encoder(tmp_path / "first", "transformers-eval").double()
    compare(theirs.double().eval(), ours, document(700), within=1e-10)
    save(ours.float(), tmp_path / "second", like=tmp_path / "first")
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert json.loads((tmp_path / "first/config.json").read_text()) == json.loads(
        (tmp_path / "second/config.json").read_text()
    )


@torch.no_grad()
@EVERY_DTYPE
@pytest.mark.parametrize("hidden_size", [8, 96])
def test_sinusoidal_positions_are_pegasus_own(hidden_size, dtype):
    from transformers.models.pegasus.modeling_pegasus import PegasusSinusoidalPositionalEmbedding

    config = EncoderConfig(
        vocab_size=5, hidden_size=hidden_size, num_layers=1, num_heads=2, inner_size=8, positions="sinusoidal"
    )
    ours = Encoder(config).to(dtype).embeddings.positions(torch.arange(1500))
    theirs = PegasusSinusoidalPositionalEmbedding(1500, hidden_size)
    torch.testing.assert_close(ours, theirs.create_weight(), rtol=0, atol=6e-8)
    assert float((ours == theirs.create_weight()).double().mean()) > 0.999
