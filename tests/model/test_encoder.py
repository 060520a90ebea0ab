import dataclasses
import math

import pytest
import torch

from bigbird.attention import DocumentLayout, PatternSpec, native_cpu
from bigbird.errors import ConfigError, ShapeError
from bigbird.model.encoder import Encoder, EncoderConfig
from bigbird.model.heads import MaskedLanguageModel, SequenceClassifier, TokenClassifier
from bigbird.tokenizers import KmerTokenizer
from helpers import dna

CONFIG = EncoderConfig(
    vocab_size=50,
    hidden_size=32,
    num_layers=2,
    num_heads=4,
    inner_size=64,
    max_length=1000,
    pattern=PatternSpec(block_size=16),
)
LENGTHS = (1, 5, 16, 17, 200, 333, 600)


def encoder(**changes):
    torch.manual_seed(0)
    return Encoder(dataclasses.replace(CONFIG, **changes)).eval()


def document(length):
    return torch.randint(0, 50, (length,), generator=torch.Generator().manual_seed(length))


def padded(documents, length, left=0):
    token_ids = torch.full((len(documents), length), 49)
    mask = torch.zeros(len(documents), length, dtype=torch.bool)
    for row, tokens in enumerate(documents):
        token_ids[row, left : left + len(tokens)] = tokens
        mask[row, left : left + len(tokens)] = True
    return token_ids, mask


@pytest.fixture(params=["learned", "rotary", "sinusoidal"])
def model(request):
    return encoder(positions=request.param)


@torch.no_grad()
def test_a_document_gets_the_same_bits_alone_in_a_batch_and_padded_further(model):
    documents = [document(length) for length in LENGTHS]
    for length, left in ((600, 0), (700, 0), (1000, 0), (640, 40)):
        token_ids, mask = padded(documents, length, left)
        together = model(token_ids, mask)
        for row, tokens in enumerate(documents):
            assert torch.equal(model(tokens[None])[0], together[row, mask[row]]), (length, left, len(tokens))
        assert together[~mask].abs().max() == 0


@torch.no_grad()
def test_bases_read_by_convolution_do_not_depend_on_the_batch_either():
    tokenizer = KmerTokenizer(8)
    model = encoder(vocab_size=tokenizer.vocab_size, bases_per_token=8, positions="rotary")
    documents = [
        torch.from_numpy(encoding.ids) for encoding in tokenizer.encode_batch([dna(8 * n - 3, seed=n) for n in LENGTHS])
    ]
    token_ids, mask = padded(documents, 640, left=40)
    together = model(token_ids, mask)
    for row, tokens in enumerate(documents):
        assert torch.equal(model(tokens[None])[0], together[row, mask[row]])


def test_what_an_evaluation_leaves_behind_serves_training():
    model = encoder(pattern=PatternSpec(block_size=16, seed=17))  # a seed no other test uses: nothing is kept yet
    layout = DocumentLayout((173, 431), 16)
    tokens = layout.pack(torch.cat([document(173), document(431)]))
    for backend in ("reference", "gathered"):
        model.backend = backend
        with torch.inference_mode():
            model(tokens, layout=layout)
        layout.unpack(model(tokens, layout=layout)).square().sum().backward()


@torch.no_grad()
def test_a_short_call_before_changes_nothing(model):
    tokens = document(600)[None]
    before = model(tokens)
    model(document(3)[None])
    assert torch.equal(model(tokens), before)


@torch.no_grad()
def test_training_mode_without_dropout_computes_the_same_function():
    model = encoder(dropout=0.0)
    for length in LENGTHS:
        tokens = document(length)[None]
        assert torch.equal(model.eval()(tokens), model.train()(tokens))


@torch.no_grad()
def test_dropout_acts_in_training():
    model = encoder(dropout=0.5).train()
    assert not torch.equal(model(document(50)[None]), model(document(50)[None]))


@torch.no_grad()
def test_packed_documents_give_what_padded_ones_give(model):
    documents = [document(length) for length in LENGTHS]
    layout = DocumentLayout(LENGTHS, block_size=16)
    packed = layout.unpack(model(layout.pack(torch.cat(documents)), layout=layout))
    token_ids, mask = padded(documents, 600)
    assert torch.equal(packed, model(token_ids, mask)[mask])


@torch.no_grad()
def test_what_stands_under_the_padding_changes_no_bit(model):
    token_ids, mask = padded([document(100), document(40)], 130)
    changed = torch.where(mask, token_ids, torch.zeros_like(token_ids))
    assert torch.equal(model(token_ids, mask), model(changed, mask))


def test_gathered_and_reference_give_the_same_model():
    model = encoder(positions="rotary").double()
    token_ids, mask = padded([document(300), document(111)], 300)
    gathered = model(token_ids, mask)
    model.backend = "reference"
    torch.testing.assert_close(gathered, model(token_ids, mask), rtol=0, atol=1e-12)


@torch.no_grad()
def test_pre_norm_and_relu_and_token_types_are_values():
    tokens = document(100)[None]
    outputs = [
        encoder(**change)(tokens) for change in ({}, {"norm": "pre"}, {"activation": "relu"}, {"activation": "gelu"})
    ]
    assert all(not torch.equal(outputs[0], other) for other in outputs[1:])
    typed = encoder(num_token_types=2)
    assert torch.equal(typed(tokens), typed(tokens, token_types=torch.zeros_like(tokens)))
    assert not torch.equal(typed(tokens), typed(tokens, token_types=torch.ones_like(tokens)))


@torch.no_grad()
def test_rotary_positions_see_distances_not_places():
    # With rotary positions and full attention, rolling the document rolls the result.
    model = encoder(positions="rotary", pattern=PatternSpec(block_size=64))
    tokens = document(64)
    padding = document(30)
    layout = DocumentLayout((64, 30), block_size=64)
    first = model(layout.pack(torch.cat((tokens, padding))), layout=layout)[:64]
    torch.testing.assert_close(first, model(tokens[None])[0])
    learned = encoder()
    assert not torch.allclose(learned(tokens.repeat(2)[None])[0, :64], learned(tokens.repeat(2)[None])[0, 64:])


def test_every_parameter_gets_a_gradient(model):
    model.train()
    model(document(200)[None]).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@torch.no_grad()
def test_heads_give_one_answer_per_document_and_per_token():
    layout = DocumentLayout(LENGTHS, block_size=16)
    packed = layout.pack(torch.cat([document(length) for length in LENGTHS]))
    torch.manual_seed(0)
    sequence, token = SequenceClassifier(CONFIG, num_labels=3).eval(), TokenClassifier(CONFIG, num_labels=2).eval()
    together, per_token = sequence(packed, layout), token(packed, layout)
    assert together.shape == (7, 3)
    assert per_token.shape == (layout.total_length, 2)
    for row, length in enumerate(LENGTHS):
        alone = DocumentLayout((length,), block_size=16)
        assert torch.equal(sequence(alone.pack(document(length)), alone)[0], together[row])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 30}, r"hidden_size 30 is not a multiple of num_heads 4\. Use 28 or 32\."),
        ({"hidden_size": 20, "positions": "rotary"}, r"rotary positions need an even hidden_size / num_heads, got 5"),
        ({"num_layers": 0}, r"num_layers must be at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        (
            {"pattern": PatternSpec(window_blocks=0, global_blocks=0, random_blocks=0)},
            r"no window, global or random blocks, so no token would see any other",
        ),
        ({"positions": "alibi"}, r"positions must be one of learned, rotary, sinusoidal, got 'alibi'"),
        ({"attention_bias": "none"}, r"attention_bias must be true, false or 'output', got 'none'"),
        ({"attention_bias": 1}, r"attention_bias must be true, false or 'output', got 1"),
        ({"norm": "rms"}, r"norm must be one of post, pre, got 'rms'"),
        ({"activation": "swish"}, r"activation must be one of gelu, gelu_tanh, relu, got 'swish'"),
        ({"num_token_types": -3}, r"num_token_types must be at least 0, got -3"),
        ({"layer_norm_eps": 0.0}, r"layer_norm_eps must be a finite number above 0, got 0.0"),
        ({"layer_norm_eps": math.nan}, r"layer_norm_eps must be a finite number above 0, got nan"),
        ({"rotary_base": 0.0}, r"rotary_base must be a finite number above 0, got 0.0"),
        ({"rotary_base": math.inf}, r"rotary_base must be a finite number above 0, got inf"),
        ({"dropout": math.nan}, r"dropout must be in \[0, 1\), got nan"),
        ({"bases_per_token": 7}, r"bases_per_token must be 0 \(a table of tokens\) or from 8 to 20, got 7"),
        ({"bases_per_token": 8}, r"8 bases_per_token make a vocab_size of 16777216, got 50"),
        (
            {"pattern": PatternSpec(block_size=4097)},
            r"pattern.block_size must be at most 4096, got 4097: .* raise pattern.window_blocks",
        ),
    ],
)
def test_a_config_that_makes_no_model_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(CONFIG, **change)


@pytest.mark.parametrize(
    ("token_ids", "arguments", "message"),
    [
        (torch.zeros(3, dtype=torch.int64), {}, r"token_ids must be int64 \[batch, length\].*layout="),
        (torch.zeros(0, 3, dtype=torch.int64), {}, r"both at least 1, got torch.int64 \[0, 3\]"),
        (torch.zeros(1, 0, dtype=torch.int64), {}, r"both at least 1, got torch.int64 \[1, 0\]"),
        (torch.zeros(1, 3), {}, r"token_ids must be int64"),
        (torch.zeros(1, 3, dtype=torch.int64), {"key_mask": torch.ones(1, 3)}, r"key_mask must be bool \[1, 3\]"),
        (
            torch.zeros(2, 3, dtype=torch.int64),
            {"key_mask": torch.tensor([[True] * 3, [False] * 3])},
            r"document 1 of the batch has no real token",
        ),
        (torch.zeros(1, 1001, dtype=torch.int64), {}, r"a document has 1001 tokens, the model reads at most 1000"),
        (
            torch.zeros(9, dtype=torch.int64),
            {"layout": DocumentLayout((3,), block_size=16)},
            r"packed token_ids must be \[16\] for this layout, got \[9\]",
        ),
        (
            torch.zeros(16, dtype=torch.int64),
            {"layout": DocumentLayout((3,), block_size=8)},
            r"the layout has block_size 8, the model 16",
        ),
        (
            torch.zeros(16, dtype=torch.int64),
            {"layout": DocumentLayout((3,), block_size=16), "key_mask": torch.ones(16, dtype=torch.bool)},
            r"key_mask and layout were both given; .* Give key_mask for a padded batch, layout for packed documents",
        ),
        (
            torch.zeros(1, 3, dtype=torch.int64),
            {"token_types": torch.zeros(1, 3, dtype=torch.int64)},
            r"token_types were given to a model without token types",
        ),
    ],
)
def test_input_that_makes_no_sense_is_refused_with_the_cure(token_ids, arguments, message):
    with pytest.raises(ShapeError, match=message):
        encoder()(token_ids, **arguments)


def test_a_language_model_wants_a_vocabulary():
    with pytest.raises(ConfigError, match=r"start\.tokenizer=bpe"):
        MaskedLanguageModel(dataclasses.replace(CONFIG, vocab_size=2**24, bases_per_token=8))


@pytest.mark.skipif(native_cpu.instruction_set() is None, reason="gathered, in plain PyTorch, is not one operator")
def test_the_encoder_compiles_without_a_graph_break_and_exports():
    ours = encoder(positions="rotary")
    layout = DocumentLayout((300, 77), 16)
    token_ids = torch.randint(0, ours.config.vocab_size, (layout.total_length,))
    expected = ours(token_ids, layout=layout)

    class Packed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = ours

        def forward(self, token_ids):
            return self.encoder(token_ids, layout=layout)

    compiled = torch.compile(Packed(), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(token_ids), expected)
    exported = torch.export.export(Packed(), (token_ids,))
    torch.testing.assert_close(exported.module()(token_ids), expected)
