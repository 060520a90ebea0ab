"""Where a decoder looks: what cross-attention takes, by hand, and nothing of it changes what is written."""

import pytest
import torch

from bigbird.attention import DocumentLayout, PatternSpec
from bigbird.model.decoder_config import DecoderConfig
from bigbird.model.encoder import EncoderConfig
from bigbird.model.seq2seq import Seq2Seq
from bigbird.model.source_attention import source_attention

SPEC = PatternSpec(block_size=4)


def small(*, num_layers=2, cross_attention=None):
    config = EncoderConfig(
        vocab_size=20,
        hidden_size=8,
        num_layers=1,
        num_heads=2,
        inner_size=16,
        max_length=64,
        pattern=SPEC,
        dropout=0.0,
    )
    decoder = DecoderConfig(
        num_layers=num_layers, num_heads=2, inner_size=16, max_length=16, cross_attention=cross_attention
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Seq2Seq(config, decoder).eval()


def texts(*lengths, seed=0):
    generator = torch.Generator().manual_seed(seed)
    layout = DocumentLayout(lengths, 4)
    return layout.pack(torch.randint(1, 20, (sum(lengths),), generator=generator)), layout


def looked(model, source, target):
    (source_ids, layout), (target_ids, target_layout) = source, target
    with torch.no_grad():
        encoded = model.encode(source_ids, layout)
    return source_attention(model.decoder, target_ids, encoded, layout=layout, target_layout=target_layout)


def test_with_even_scores_every_token_gets_the_same_share():
    model = small()
    for cross in model.decoder.cross:
        torch.nn.init.zeros_(cross.attention.query.weight)
        if cross.attention.query.bias is not None:
            torch.nn.init.zeros_(cross.attention.query.bias)
    found = looked(model, texts(6), texts(3))
    assert torch.allclose(found[:3, :6], torch.full((3, 6), 1 / 6))
    assert not found[:3, 6:].any()


def test_one_layer_by_hand():
    model = small(num_layers=1)
    source, target = texts(6), texts(3, seed=1)
    seen = {}
    hook = model.decoder.cross[0].attention.register_forward_pre_hook(lambda _, given: seen.update(x=given[0]))
    found = looked(model, source, target)
    hook.remove()
    attention = model.decoder.cross[0].attention
    with torch.no_grad():
        encoded = model.encode(*source)
        q = attention.query(seen["x"][:3]).view(3, 2, 4)
        k = attention.keys_values(encoded)[:6, :8].view(6, 2, 4)
    by_hand = torch.stack([(q[:, head] @ k[:, head].T / 2).softmax(1) for head in range(2)]).mean(0)
    assert torch.allclose(found[:3, :6], by_hand, atol=1e-6)
    assert torch.allclose(found[:3].sum(1), torch.ones(3))


def test_layers_count_alike():
    model = small(num_layers=2)
    source, target = texts(6), texts(5)
    both = looked(model, source, target)
    with torch.no_grad():  # a layer that looks at everything alike leaves half of what the other does
        attention = model.decoder.cross[1].attention
        attention.query.weight.zero_()
        if attention.query.bias is not None:
            attention.query.bias.zero_()
    even = looked(model, source, target)[:5, :6]
    first_alone = 2 * even - 1 / 6
    assert torch.allclose(first_alone.sum(1), torch.ones(5), atol=1e-6)
    assert (first_alone > 0).all()
    assert not torch.allclose(both[:5, :6], even)


@pytest.mark.parametrize("spec", [None, PatternSpec(block_size=4, window_blocks=1, global_blocks=1, random_blocks=0)])
def test_a_document_s_shares_are_its_own_in_any_batch_and_follow_the_pattern(spec):
    model = small(cross_attention=spec)
    sources, targets = texts(30, 9), texts(5, 7)
    together = looked(model, sources, targets)
    first_source, first_target = DocumentLayout((30,), 4), DocumentLayout((5,), 4)
    alone = looked(
        model,
        (first_source.pack(sources[0][:30]), first_source),
        (first_target.pack(targets[0][:5]), first_target),
    )
    assert torch.allclose(together[:5, :30], alone[:5, :30], atol=1e-6)
    assert not together[:5, 32:].any()
    assert torch.allclose(together[:5].sum(1), torch.ones(5), atol=1e-6)
    assert (together[:5, :30] > 0).all() == (spec is None)


def test_watching_changes_nothing_and_ends():
    model = small()
    source, target = texts(6), texts(3)
    with torch.no_grad():
        before = model(source[0], target[0], layout=source[1], target_layout=target[1])
    looked(model, source, target)
    with torch.no_grad():
        assert torch.equal(model(source[0], target[0], layout=source[1], target_layout=target[1]), before)
    assert not any(cross.attention._forward_pre_hooks for cross in model.decoder.cross)
