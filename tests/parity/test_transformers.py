"""The whole encoder against Hugging Face transformers with the same weights."""

import pytest
import torch

from bigbird.attention import PatternSpec
from bigbird.model.encoder import Encoder, EncoderConfig

transformers = pytest.importorskip("transformers")

SIZE = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "inner_size": 64}


def pair(graph):
    """Their model and ours with its weights, float64."""
    torch.manual_seed(0)
    theirs = transformers.BigBirdModel(
        transformers.BigBirdConfig(
            vocab_size=90,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            block_size=16,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=0.2,
        )
    ).double()
    pattern = PatternSpec(block_size=16, graph=graph)
    ours = Encoder(EncoderConfig(vocab_size=90, dropout=0.0, num_token_types=2, pattern=pattern, **SIZE)).double()
    ours.load_state_dict(dict(renamed(theirs.state_dict())))
    return theirs.train(graph == "transformers-train"), ours


def renamed(weights):
    for ours, theirs in {"tokens": "word", "positions": "position", "token_types": "token_type"}.items():
        yield f"embeddings.{ours}.weight", weights[f"embeddings.{theirs}_embeddings.weight"]
    for kind in ("weight", "bias"):
        yield f"embeddings.norm.{kind}", weights[f"embeddings.LayerNorm.{kind}"]
        for layer in range(2):
            old, new = f"encoder.layer.{layer}", f"layers.{layer}"
            parts = [weights[f"{old}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            yield f"{new}.attention.qkv.{kind}", torch.cat(parts)
            yield f"{new}.attention.output.{kind}", weights[f"{old}.attention.output.dense.{kind}"]
            yield f"{new}.attention_norm.{kind}", weights[f"{old}.attention.output.LayerNorm.{kind}"]
            yield f"{new}.feed_forward.inner.{kind}", weights[f"{old}.intermediate.dense.{kind}"]
            yield f"{new}.feed_forward.output.{kind}", weights[f"{old}.output.dense.{kind}"]
            yield f"{new}.feed_forward_norm.{kind}", weights[f"{old}.output.LayerNorm.{kind}"]


@torch.no_grad()
@pytest.mark.parametrize("graph", ["transformers-train", "transformers-eval"])
@pytest.mark.parametrize("length", [1, 40, 176, 177, 192, 400, 1000, 1024, 1025, 2048, 3072])
def test_the_encoder_equals_transformers(graph, length):
    theirs, ours = pair(graph)
    token_ids = torch.randint(0, 90, (1, length), generator=torch.Generator().manual_seed(length))
    expected = theirs(input_ids=token_ids).last_hidden_state
    torch.testing.assert_close(ours(token_ids), expected, rtol=0, atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("graph", ["transformers-train", "transformers-eval"])
def test_in_float32_whichever_backend_serves_it_is_equal_to_1e_5(graph):
    theirs, ours = (model.float() for model in pair(graph))
    token_ids = torch.randint(0, 90, (1, 3072), generator=torch.Generator().manual_seed(0))
    expected = theirs(input_ids=token_ids).last_hidden_state
    assert float((ours(token_ids) - expected).abs().max()) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("graph", ["transformers-train", "transformers-eval"])
@pytest.mark.parametrize("lengths", [(400, 90), (1000, 1024), (170, 30), (9, 3)])
def test_a_padded_batch_equals_theirs_with_padding_batch(graph, lengths):
    theirs, ours = pair(graph)
    token_ids = torch.randint(0, 90, (2, max(lengths)), generator=torch.Generator().manual_seed(0))
    key_mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    expected = theirs(input_ids=token_ids, attention_mask=key_mask.long()).last_hidden_state
    found = ours(token_ids, key_mask, padding="batch")
    torch.testing.assert_close(found[key_mask], expected[key_mask], rtol=0, atol=1e-9)
    assert not found[~key_mask].any()
