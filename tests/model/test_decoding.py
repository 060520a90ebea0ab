"""Writing token by token gives what the model gives at once, whoever else writes at the same time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.attention import row_attention as rows_of
from bigbird.attention.row_attention import row_attention
from bigbird.errors import ConfigError, ShapeError
from seq2seq_models import SPARSE, VOCABULARY, begun, document, encoder_config, logits, seq2seq

KINDS = {
    "pre separate full": ("pre", False, {}),
    "pre coupled self": ("pre", True, {"self_attention": SPARSE["self_attention"]}),
    "pre separate sparse": ("pre", False, SPARSE),
    "post separate cross": ("post", False, {"cross_attention": SPARSE["cross_attention"]}),
    "post coupled full": ("post", True, {}),
    "post coupled sparse": ("post", True, SPARSE),
}
POSITIONS = {"pre": "sinusoidal", "post": "learned"}


def model_of(kind, **changes):
    norm, is_coupled, sparse = KINDS[kind]
    config = encoder_config(**{"norm": norm, "positions": POSITIONS[norm]} | changes)
    return seq2seq(config, is_coupled=is_coupled, **sparse)


def written(decoding, targets):
    """Logits of every place of targets of one length: [rows, length, vocab]."""
    return torch.stack([decoding.step(tokens) for tokens in torch.stack(targets).T], 1)


def greedy(logits_of, first, length):
    """The most likely token each time, of those that are not there yet."""
    tokens = torch.tensor([first])
    for _ in range(length):
        found = logits_of(tokens).index_fill(0, tokens, -torch.inf)
        tokens = torch.cat((tokens, found.argmax()[None]))
    return tokens.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_token_by_token_equals_all_at_once(kind):
    model = model_of(kind)
    sources, targets = [document(n) for n in (300, 3, 129)], [document(150, seed) for seed in range(3)]
    stepped = written(begun(model, *sources), targets)
    torch.testing.assert_close(stepped, torch.stack(logits(model, sources, targets)), rtol=0, atol=1e-5)


def test_with_rotary_positions_too():
    model = model_of("pre separate sparse", positions="rotary")
    stepped = written(begun(model, document(300)), [document(150)])
    torch.testing.assert_close(stepped[0], logits(model, [document(300)], [document(150)])[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["pre separate full", "post coupled sparse"])
def test_greedy_writing_gives_the_same_tokens(kind):
    model, source = model_of(kind), document(200)
    decoding = begun(model, source)
    cached = greedy(lambda tokens: decoding.step(tokens[-1:])[0], 2, 30)
    assert cached == greedy(lambda tokens: logits(model, [source], [tokens])[0][-1], 2, 30)


@settings(max_examples=6, deadline=None)
@given(
    st.sampled_from(["pre separate full", "post coupled sparse"]),
    st.lists(st.integers(0, 3), min_size=1, max_size=21),
)
def test_a_row_is_bitwise_the_same_whoever_writes_beside_it(kind, documents):
    """Documents in any order and number, each with any number of rows, before and after others join or leave."""
    model = model_of(kind)
    sources = [document(n) for n in (300, 3, 129, 64)]
    target = document(40)
    alone = {index: written(begun(model, sources[index]), [target])[0] for index in set(documents)}
    order = sorted(set(documents), reverse=True)
    decoding = begun(model, *(sources[index] for index in order))
    before = [decoding.step(token.expand(len(order))) for token in target[:7]]
    decoding.select(torch.tensor([order.index(index) for index in documents]))
    after = [decoding.step(token.expand(len(documents))) for token in target[7:]]
    for place, index in enumerate(documents):
        found = torch.stack([*(x[order.index(index)] for x in before), *(x[place] for x in after)])
        assert torch.equal(found, alone[index])


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_beams_go_on_with_what_their_row_wrote(data):
    """Any choice of rows at any step; every row then equals its own history written alone."""
    kind = data.draw(st.sampled_from(["pre separate full", "post coupled sparse"]))
    model, sources = model_of(kind), [document(129), document(40)]
    decoding = begun(model, *sources)
    histories, token = [[], []], 0
    for _ in range(data.draw(st.integers(2, 8))):
        for _ in range(data.draw(st.integers(1, 4))):
            tokens = [(token := (7 * token + 3 + row % 2) % VOCABULARY) for row in range(len(histories))]
            found = decoding.step(torch.tensor(tokens))
            histories = [[*history, new] for history, new in zip(histories, tokens, strict=True)]
        documents = decoding.documents
        for row, history in enumerate(histories):
            alone = written(begun(model, sources[documents[row]]), [torch.tensor(history)])
            assert torch.equal(found[row], alone[0, -1])
        rows = data.draw(st.lists(st.integers(0, len(histories) - 1), min_size=1, max_size=4))
        decoding.select(torch.tensor(rows))
        assert torch.equal(decoding.documents, documents[torch.tensor(rows)])
        histories = [histories[row] for row in rows]


def test_room_for_more_tokens_is_made():
    model = seq2seq(encoder_config(positions="rotary"), max_length=300)
    target = document(300)
    stepped = written(begun(model, document(50)), [target])[0]
    torch.testing.assert_close(stepped, logits(model, [document(50)], [target])[0], rtol=0, atol=1e-5)


def test_the_source_is_kept_once_for_all_rows():
    decoding = begun(model_of("pre separate full"), document(300))
    decoding.select(torch.zeros(5, dtype=torch.int64))
    kept = decoding._source._keys_values
    decoding.step(torch.arange(5))
    assert [tuple(x.shape) for x in kept] == [(2, 4, 304, 8)] * 2


def test_without_rows_nothing_is_written():
    decoding = begun(model_of("pre separate full"), document(30))
    decoding.select(torch.zeros(0, dtype=torch.int64))
    assert decoding.step(torch.zeros(0, dtype=torch.int64)).shape == (0, VOCABULARY)


def test_logits_may_be_changed_and_are_float32():
    decoding = begun(model_of("pre separate full").bfloat16(), document(30))
    found = decoding.step(torch.tensor([3]))
    found[:, 3] = -torch.inf
    assert found.dtype == torch.float32


def test_what_does_not_fit_is_refused():
    decoding = begun(model_of("pre separate full"), document(30), document(20))
    with pytest.raises(ShapeError, match=r"token_ids must be int64 \[2\], a token for each row, got torch.int64 \[3\]"):
        decoding.step(torch.tensor([1, 2, 3]))
    with pytest.raises(ShapeError, match=r"rows must be int64 \[new rows\], each from 0 to 1, got .* with 0 to 2"):
        decoding.select(torch.tensor([0, 2]))
    for _ in range(150):
        decoding.step(torch.tensor([1, 2]))
    with pytest.raises(ShapeError, match=r"150 tokens are written, the decoder's max_length. Stop there"):
        decoding.step(torch.tensor([1, 2]))
    with pytest.raises(
        ConfigError, match=r"in training mode, in which dropout changes what it writes: call model.eval"
    ):
        begun(model_of("pre separate full", dropout=0.1).train(), document(30))


def dense(q, k, v, bias):
    scores = q.double() @ k.double().mT * q.shape[3] ** -0.5
    return (scores + (0 if bias is None else bias.double()[:, None])).softmax(3) @ v.double()


@pytest.mark.parametrize("head_dim", [1, 5, 8, 64, 80])
@pytest.mark.parametrize("num_keys", [1, 7, 64, 333])
@pytest.mark.parametrize("has_bias", [False, True])
def test_row_attention_is_attention(head_dim, num_keys, has_bias):
    generator = torch.Generator().manual_seed(num_keys)
    q = torch.randn(2, 3, 18, head_dim, generator=generator)
    k, v = torch.randn(2, 2, 3, num_keys, head_dim, generator=generator)
    bias = None
    if has_bias:
        bias = torch.randn(3, num_keys, generator=generator)
        bias[:, 1:].masked_fill_(torch.rand(3, num_keys - 1, generator=generator) < 0.3, -torch.inf)
    expected = dense(q, k, v, bias)
    torch.testing.assert_close(row_attention(q, k, v, bias=bias).double(), expected, rtol=0, atol=3e-6)
    for dtype, within in ((torch.float64, 1e-12), (torch.bfloat16, 3e-2)):
        found = row_attention(q.to(dtype), k.to(dtype), v.to(dtype), bias=bias)
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=max(within, 1e-6 if has_bias else 0))


@pytest.mark.parametrize("is_portable", [False, True])
def test_row_attention_is_bitwise_the_same_for_any_number_of_queries(is_portable, monkeypatch):
    if is_portable:
        monkeypatch.setattr(rows_of, "_has_kernel", lambda: False)
    q = torch.randn(2, 3, 37, 16)
    k, v = torch.randn(2, 2, 3, 200, 16)
    together = row_attention(q, k, v)
    for size in (1, 2, 15, 16, 17, 36):
        assert torch.equal(row_attention(q[:, :, -size:], k, v), together[:, :, -size:])
    assert torch.equal(row_attention(q[1:, :, :5], k[1:], v[1:]), together[1:, :, :5])
