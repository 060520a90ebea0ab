"""Which tokens are hidden: the share, the units, and that nothing but the draw and the place decides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.errors import ConfigError
from bigbird.tasks.masking import LONGEST_WORD, Masking, vocabulary_of
from helpers import SINGLE_BASE

LENGTH = 4000
MASKINGS = {
    "token": Masking(share=0.15, unit="token", mean_span=3.0),
    "word": Masking(share=0.15, unit="word", mean_span=3.0),
    "span": Masking(share=0.15, unit="span", mean_span=3.0),
}


def words(length, seed, longest=4):
    """Word starts of words of 1 to `longest` tokens."""
    starts = np.zeros(length, bool)
    lengths = np.random.default_rng(seed).integers(1, longest + 1, length)
    ends = lengths.cumsum()
    starts[np.concatenate(([0], ends[ends < length]))] = True
    return starts


def hidden(masking, draw, start=0, length=LENGTH, word_starts=None):
    starts = words(length, draw) if word_starts is None else word_starts
    return masking.chosen(draw, start + np.arange(length), starts)


@pytest.mark.parametrize("unit", MASKINGS)
@pytest.mark.parametrize(("share", "mean_span"), [(0.15, 3.0), (0.15, 1.0), (0.4, 6.5), (0.05, 5.0)])
def test_the_expected_share_is_hidden_from_the_first_token_on(unit, share, mean_span):
    masking = Masking(share=share, unit=unit, mean_span=mean_span)
    many = np.stack([hidden(masking, draw, length=60) for draw in range(4000)])
    assert many.mean() == pytest.approx(share, rel=0.08)
    assert many[:, :5].mean() == pytest.approx(share, rel=0.2)
    assert many[:, -5:].mean() == pytest.approx(share, rel=0.2)


@pytest.mark.parametrize("mean_span", [1.0, 2.0, 3.0, 8.0])
def test_spans_have_the_mean_length_that_was_asked_for(mean_span):
    masking = Masking(share=0.01, unit="span", mean_span=mean_span)  # so few that spans rarely meet
    chosen = hidden(masking, 1, length=400_000)
    num_spans = (np.diff(chosen.astype(int), prepend=0) == 1).sum()
    assert chosen.sum() / num_spans == pytest.approx(mean_span, rel=0.08)


def test_spans_of_one_token_are_hidden_as_often_as_tokens():
    one = Masking(share=0.15, unit="span", mean_span=1.0)
    assert (hidden(one, 3) == hidden(MASKINGS["token"], 3)).all()


@given(draw=st.integers(0, 2**63 - 1), longest=st.integers(1, 6), length=st.integers(1, 300))
@settings(max_examples=50, deadline=None)
def test_all_tokens_of_a_word_are_hidden_or_none(draw, longest, length):
    starts = words(length, draw % 1000, longest)
    chosen = hidden(MASKINGS["word"], draw, length=length, word_starts=starts)
    for one in np.split(chosen, np.flatnonzero(starts)[1:]):
        assert one.all() or not one.any()


def test_a_very_long_word_is_several():
    starts = np.zeros(LENGTH, bool)
    chosen = hidden(MASKINGS["word"], 1, word_starts=starts)
    parts = chosen.reshape(-1, LONGEST_WORD)
    assert (parts.all(1) | ~parts.any(1)).all()
    assert parts.any(1).mean() == pytest.approx(0.15, abs=0.07)


@pytest.mark.parametrize("unit", MASKINGS)
@given(draw=st.integers(0, 2**63 - 1), cut=st.integers(1, 299))
@settings(max_examples=50, deadline=None)
def test_where_a_document_is_cut_changes_no_mask(unit, draw, cut):
    """Of a word that is cut in two the second part is a word of its own; nothing else may differ."""
    starts = words(300, draw % 1000)
    whole = hidden(MASKINGS[unit], draw, length=300, word_starts=starts)
    first = hidden(MASKINGS[unit], draw, length=cut, word_starts=starts[:cut])
    second = hidden(MASKINGS[unit], draw, start=cut, length=300 - cut, word_starts=starts[cut:])
    rest = 0
    if unit == "word" and not starts[cut]:
        rest = int(np.argmax(starts[cut:])) if starts[cut:].any() else 300 - cut
    same = np.concatenate((first, second)) == whole
    same[cut : cut + rest] = True
    assert same.all()


@pytest.mark.parametrize("unit", MASKINGS)
def test_another_draw_hides_other_tokens(unit):
    starts = words(LENGTH, 0)
    one, other = (hidden(MASKINGS[unit], draw, word_starts=starts) for draw in (1, 2))
    assert (one & other).mean() == pytest.approx(0.15**2, abs=0.01)


def test_nothing_of_nothing_is_hidden():
    for masking in MASKINGS.values():
        assert masking.chosen(1, np.arange(0), np.zeros(0, bool)).shape == (0,)


def test_the_vocabulary_is_looked_up_once():
    assert vocabulary_of(SINGLE_BASE) is vocabulary_of(SINGLE_BASE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 0.0}, "share must lie between 0 and 1, got 0.0"),
        ({"unit": "line"}, "unit must be one of token, word, span, got 'line'"),
        ({"mean_span": 0.5}, "mean_span must be from 1 to 100 tokens, got 0.5"),
        ({"mean_span": float("nan")}, "mean_span must be from 1 to 100 tokens, got nan"),
    ],
)
def test_masking_that_makes_no_sense_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Masking(**{"share": 0.15, "unit": "token", "mean_span": 3.0} | values)
