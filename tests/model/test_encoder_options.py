"""Options that published encoders need."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bigbird import config as configs
from bigbird.attention import PatternSpec
from bigbird.checkpoint import empty_model
from bigbird.model.embeddings import SinusoidalPositions
from bigbird.model.encoder import Encoder, EncoderConfig

CONFIG = EncoderConfig(
    vocab_size=50,
    hidden_size=32,
    num_layers=2,
    num_heads=4,
    inner_size=64,
    max_length=300,
    pattern=PatternSpec(block_size=16),
)
TOKENS = torch.randint(0, 50, (1, 250), generator=torch.Generator().manual_seed(0))


def encoder(**changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Encoder(replace(CONFIG, **changes)).eval()


def formula(num_positions, hidden_size):
    """Sine half, then cosine half; element by element."""
    table = np.zeros((num_positions, hidden_size))
    num_sines = (hidden_size + 1) // 2
    for position, place in itertools.product(range(num_positions), range(num_sines)):
        angle = position / 10_000 ** (2 * place / hidden_size)
        table[position, place] = math.sin(angle)
        if num_sines + place < hidden_size:
            table[position, num_sines + place] = math.cos(angle)
    return torch.from_numpy(table)


@pytest.mark.parametrize("hidden_size", [6, 7, 64])
def test_sinusoidal_positions_are_pegasus_formula_at_near_and_far_places(hidden_size):
    found = SinusoidalPositions(hidden_size)(torch.arange(4096))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), formula(4096, hidden_size), rtol=0, atol=6e-8)
    for length in (1, 3, 17, 1001):
        assert torch.equal(SinusoidalPositions(hidden_size)(torch.arange(length)), found[:length])


def test_sinusoidal_positions_are_not_stored_and_survive_a_model_made_empty():
    config = replace(CONFIG, positions="sinusoidal")
    before = encoder(positions="sinusoidal")
    assert not [name for name in before.state_dict() if "position" in name]
    after = empty_model(lambda: Encoder(config))
    after.load_state_dict(before.state_dict(), assign=True)
    with torch.no_grad():
        assert torch.equal(after.eval()(TOKENS), before(TOKENS))


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_sinusoidal_positions_come_in_the_model_s_type(dtype):
    model = encoder(positions="sinusoidal").to(dtype)
    assert model(TOKENS).dtype == dtype
    embeddings = model.embeddings
    places = torch.arange(250)
    added = (embeddings.tokens(TOKENS[0]) + formula(250, 32).float().to(dtype)).to(dtype)
    torch.testing.assert_close(embeddings(TOKENS[0], places), embeddings.norm(added))


@torch.no_grad()
def test_scaled_embeddings_are_token_vectors_times_the_root_of_the_width():
    scaled, plain = encoder(scale_embeddings=True), encoder()
    plain.embeddings.tokens.weight.mul_(math.sqrt(32))
    torch.testing.assert_close(scaled(TOKENS), plain(TOKENS))


def test_without_an_embedding_norm_there_is_none():
    names = set(encoder(embedding_norm=False, norm="pre").state_dict())
    assert set(encoder(norm="pre").state_dict()) - names == {"embeddings.norm.weight", "embeddings.norm.bias"}
    embeddings = encoder(embedding_norm=False).embeddings
    places = torch.arange(250)
    expected = embeddings.tokens(TOKENS[0]) + embeddings.positions(places)
    assert torch.equal(embeddings(TOKENS[0], places), expected)


@pytest.mark.parametrize(
    ("bias", "lost"), [(True, []), ("output", ["qkv"]), (False, ["qkv", "output"])], ids=["all", "output", "none"]
)
def test_attention_biases_are_there_or_not(bias, lost):
    with_all, some = set(encoder().state_dict()), set(encoder(attention_bias=bias).state_dict())
    assert with_all - some == {f"layers.{layer}.attention.{name}.bias" for layer in (0, 1) for name in lost}


@pytest.mark.parametrize("positions", ["learned", "rotary", "sinusoidal"])
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("embedding_norm", [True, False])
@pytest.mark.parametrize("attention_bias", [True, False, "output"])
def test_all_options_go_together_and_every_parameter_learns(positions, norm, embedding_norm, attention_bias):
    model = encoder(
        positions=positions, norm=norm, embedding_norm=embedding_norm, attention_bias=attention_bias,
        scale_embeddings=True,
    )  # fmt: skip
    (model(TOKENS) ** 3).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    assert configs.from_json(EncoderConfig, configs.to_json(model.config), source="x") == model.config


def test_a_config_written_before_these_options_reads_as_the_same_model():
    values = configs.to_json(CONFIG)
    for name in ("scale_embeddings", "embedding_norm", "attention_bias"):
        values.pop(name)
    assert configs.from_json(EncoderConfig, values, source="x") == CONFIG
