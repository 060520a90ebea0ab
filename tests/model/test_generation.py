"""Writing: a document's text is its own affair, comes as soon as it is certain, and takes no row longer than needed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.errors import ConfigError, InputError, ShapeError
from bigbird.model.generation import Piece, generate, stream
from bigbird.model.generation_config import GenerationConfig, Sampling
from decodings import END, START, TableDecoding

BIAS = 2.0  # so that texts end at many lengths


def config(**changes):
    return GenerationConfig(**{"start_token": START, "end_token": END, "max_new_tokens": 12, **changes})


def write(names, asked, **settings):
    return generate(TableDecoding(names, bias=BIAS, **settings), asked, document_keys=names)


WAYS = st.one_of(
    st.fixed_dictionaries(
        {
            "num_beams": st.integers(1, 4),
            "length_penalty": st.sampled_from([0.0, 0.8, 2.0]),
            "early_stopping": st.sampled_from([True, False, "never"]),
        }
    ),
    st.fixed_dictionaries(
        {
            "sampling": st.builds(
                Sampling,
                temperature=st.sampled_from([0.5, 1.0, 2.0]),
                top_k=st.sampled_from([None, 3]),
                top_p=st.sampled_from([0.8, 1.0]),
                seed=st.integers(0, 5),
            )
        }
    ),
)
RULES = st.fixed_dictionaries(
    {"no_repeat_ngram_size": st.integers(0, 3), "min_new_tokens": st.integers(0, 5), "forced_end": st.booleans()}
)
NAMES = st.lists(st.integers(0, 10**6), min_size=1, max_size=6)


@given(names=NAMES, way=WAYS, rules=RULES)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_a_document_is_written_alike_alone_and_in_any_batch(names, way, rules):
    asked = config(**way, **rules)
    together = write(names, asked)
    assert together == [write([name], asked)[0] for name in names]
    assert write(names[::-1], asked) == together[::-1]


@given(names=NAMES, way=WAYS, rules=RULES)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_a_stream_gives_each_text_once_and_only_what_stays(names, way, rules):
    asked = config(**way, **rules)
    shown = dict.fromkeys(range(len(names)), ())
    whole = {}
    for piece in stream(TableDecoding(names, bias=BIAS), asked, document_keys=names):
        assert piece.document not in whole
        shown[piece.document] += piece.token_ids
        if piece.written is not None:
            whole[piece.document] = piece.written
    expected = [texts[0] for texts in write(names, asked)]
    assert [whole[document] for document in range(len(names))] == expected
    assert [shown[document] for document in range(len(names))] == [text.token_ids for text in expected]


@given(names=NAMES, way=WAYS, rules=RULES)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_rules_hold_for_every_text(names, way, rules):
    for text, *_ in write(names, config(**way, **rules)):
        size = rules["no_repeat_ngram_size"]
        length = len(text.token_ids)
        runs = [(START, *text.token_ids)[place : place + size] for place in range(length + 2 - size)]
        assert not size or len(set(runs)) == len(runs)
        assert length + text.has_ended <= 12
        assert length >= rules["min_new_tokens"] or not text.has_ended
        assert (
            text.has_ended or not rules["forced_end"] or size == 1
        )  # a text of tokens that never repeat may get stuck
        assert END not in text.token_ids


def test_a_greedy_token_is_streamed_in_the_step_that_chose_it():
    decoding = TableDecoding([3], bias=-9.0)
    pieces = stream(decoding, config(max_new_tokens=5))
    for num_steps in range(1, 6):
        piece = next(pieces)
        assert len(piece.token_ids) == 1
        assert len(decoding.num_rows) == num_steps
    assert piece.written is not None
    assert next(pieces, None) is None


def test_with_beams_tokens_come_before_the_search_is_over():
    decoding = TableDecoding(range(10), bias=BIAS - 4)
    pieces = list(stream(decoding, config(num_beams=3, max_new_tokens=40)))
    assert sum(len(piece.token_ids) for piece in pieces if piece.written is None) > 100


def test_greedy_takes_the_likeliest_token_and_of_equals_the_lowest():
    decoding = TableDecoding([8], bias=-20.0)
    (text,) = generate(decoding, config())[0]
    history = (START,)
    for token in text.token_ids:
        assert token == decoding.logits(0, history).argmax()
        history += (token,)

    flat = TableDecoding([0], scale=0.0)
    assert generate(flat, config(min_new_tokens=12))[0][0].token_ids == (0,) * 12


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_finished_document_takes_no_more_rows(num_beams):
    names = list(range(12))
    asked = config(num_beams=num_beams)
    alone = []
    for name in names:
        decoding = TableDecoding([name], bias=BIAS)
        generate(decoding, asked)
        alone.append(decoding.num_rows)
    together = TableDecoding(names, bias=BIAS)
    generate(together, asked)
    longest = max(len(rows) for rows in alone)
    assert together.num_rows == [sum(rows[step] for rows in alone if step < len(rows)) for step in range(longest)]
    assert len({len(rows) for rows in alone}) > 3


def test_draws_depend_on_seed_key_and_number_alone():
    def drawn(seed=0, key=0, num=4):
        asked = config(sampling=Sampling(seed=seed), num_return_sequences=num)
        return generate(TableDecoding([1], bias=-9.0, scale=1.0), asked, document_keys=[key])[0]

    four = drawn()
    assert drawn(num=2) == four[:2]
    assert len({text.token_ids for text in [*four, *drawn(seed=1), *drawn(key=1)]}) == 12


def test_global_generators_are_neither_read_nor_seeded():
    asked = config(sampling=Sampling())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        before = torch.random.get_rng_state()
        first = write([1, 2], asked)
        assert torch.equal(torch.random.get_rng_state(), before)
        torch.manual_seed(2)
        assert write([1, 2], asked) == first


def test_the_score_of_a_drawn_text_is_the_models_own():
    asked = config(sampling=Sampling(temperature=3.0, top_k=4), min_new_tokens=2, length_norm="google")
    decoding = TableDecoding([4], bias=BIAS)
    (text,) = generate(decoding, asked, document_keys=[4])[0]
    tokens = (START, *text.token_ids, *([END] if text.has_ended else []))
    places = range(1, len(tokens))
    total = sum(decoding.logits(0, tokens[:place]).double().log_softmax(-1)[tokens[place]].item() for place in places)
    assert text.score == pytest.approx(total / ((5 + len(places)) / 6), abs=1e-5)


def test_a_forced_end_token_costs_nothing():
    (text,) = generate(TableDecoding([4], bias=-50.0), config(max_new_tokens=2, forced_end=True))[0]
    row = TableDecoding([4], bias=-50.0).logits(0, (START,)).log_softmax(-1)
    assert text.has_ended
    assert text.score == pytest.approx(row.max().item() / 2, abs=1e-6)


def test_a_text_is_cut_where_every_token_is_forbidden():
    asked = config(min_new_tokens=9, no_repeat_ngram_size=1)
    (text,) = generate(TableDecoding([1], vocab_size=4), asked)[0]
    assert sorted(text.token_ids) == [0, 3]
    assert not text.has_ended


def test_no_documents_give_no_texts():
    assert generate(TableDecoding([]), config()) == []
    assert list(stream(TableDecoding([]), config(num_beams=2))) == []


def test_a_piece_without_a_whole_text_is_not_the_last():
    pieces = list(stream(TableDecoding([3], bias=-9.0), config(max_new_tokens=2)))
    assert [type(piece) for piece in pieces] == [Piece, Piece]
    assert [piece.written is None for piece in pieces] == [True, False]


class Wrong(TableDecoding):
    def __init__(self, change):
        super().__init__([0, 1])
        self.change = change

    def step(self, token_ids):
        return self.change(super().step(token_ids))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda logits: logits.double(),
            ShapeError,
            "step must return float32 logits [2, vocab], got torch.float64 [2, 7]",
        ),
        (lambda logits: logits[:1], ShapeError, "step must return float32 logits [2, vocab], got torch.float32 [1, 7]"),
        (lambda logits: logits[:, :1], ConfigError, "end_token must be one of the model's 1 tokens, got 1"),
        (
            lambda logits: logits * float("nan"),
            InputError,
            "the scores of the next token are not numbers (NaN or infinite), so no text can be written; check the "
            "weights for values that are not finite",
        ),
    ],
)
@pytest.mark.parametrize("num_beams", [1, 2])
def test_scores_that_do_not_fit_are_refused(change, error, message, num_beams):
    with pytest.raises(error) as raised:
        generate(Wrong(change), config(num_beams=num_beams))
    assert str(raised.value) == message


def test_a_decoding_that_has_begun_is_refused():
    decoding = TableDecoding([0, 1])
    decoding.select(torch.tensor([1]))
    with pytest.raises(InputError) as error:
        generate(decoding, config())
    assert str(error.value) == "a decoding must have one row per document, in order; its rows are of documents [1]"


def test_draws_without_a_key_per_document_are_refused():
    asked = config(sampling=Sampling())
    with pytest.raises(ConfigError) as error:
        generate(TableDecoding([0]), asked)
    assert str(error.value) == (
        "sampling needs document_keys, a whole number per document, for example its place in the input: random numbers "
        "are made from it, so that a document is written alike in any batch"
    )
    with pytest.raises(ShapeError) as shape_error:
        generate(TableDecoding([0]), asked, document_keys=[1, 2])
    assert str(shape_error.value) == "document_keys must be one per document, 1, got 2"


def test_several_texts_per_document_cannot_be_streamed():
    with pytest.raises(ConfigError) as error:
        stream(TableDecoding([0]), config(num_beams=2, num_return_sequences=2))  # at once, not at the first piece
    assert str(error.value) == (
        "one text per document can be streamed, got num_return_sequences 2; set it to 1, or call generate"
    )
