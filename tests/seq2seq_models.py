"""Small models that write, with random numbers in every tensor."""

import torch

from bigbird.attention import DocumentLayout, PatternSpec
from bigbird.model.decoder_config import DecoderConfig
from bigbird.model.encoder import EncoderConfig
from bigbird.model.seq2seq import Seq2Seq

BLOCK = 16
VOCABULARY = 50
SPARSE = {
    "self_attention": PatternSpec(block_size=BLOCK, window_blocks=1, global_blocks=1, random_blocks=1),
    "cross_attention": PatternSpec(block_size=BLOCK, window_blocks=1, global_blocks=1, random_blocks=2),
}


def encoder_config(**changes):
    values = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "inner_size": 48,
        "max_length": 400,
        "dropout": 0.0,
        "pattern": PatternSpec(block_size=BLOCK),
    }
    return EncoderConfig(**values | changes)


def decoder_config(**changes):
    values = {"num_layers": 2, "num_heads": 4, "inner_size": 48, "max_length": 150, "has_logits_bias": True}
    return DecoderConfig(**values | changes)


def seq2seq(encoder=None, **decoder):
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = Seq2Seq(encoder or encoder_config(), decoder_config(**decoder))
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def document(length, seed=0):
    return torch.randint(0, VOCABULARY, (length,), generator=torch.Generator().manual_seed(1000 * seed + length))


def packed(*documents):
    """The row and its layout."""
    layout = DocumentLayout(tuple(len(one) for one in documents), BLOCK)
    return layout.pack(torch.cat(documents)), layout


@torch.no_grad()
def logits(model, sources, targets):
    """Of each target's tokens, a tensor each."""
    source, layout = packed(*sources)
    target, target_layout = packed(*targets)
    found = target_layout.unpack(model(source, target, layout=layout, target_layout=target_layout))
    return list(found.split([len(one) for one in targets]))


@torch.no_grad()
def begun(model, *sources):
    source, layout = packed(*sources)
    return model.begin(model.encode(source, layout), layout)
