"""Beam search finds what it should, and stops where nothing better can come."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.model.beam_search import BeamSearch
from bigbird.model.generation import generate
from bigbird.model.generation_config import GenerationConfig
from decodings import END, START, TableDecoding

VOCABULARY, LONGEST = 4, 4


def config(**changes):
    return GenerationConfig(**{"start_token": START, "end_token": END, "max_new_tokens": LONGEST, **changes})


def repeats(text, size):
    runs = [text[place : place + size] for place in range(len(text) - size + 1)]
    return size > 0 and len(set(runs)) < len(runs)


def every_text(decoding, asked):
    """{tokens, end token included: score} of all that the settings permit."""
    logs = {}
    scores = {}
    for length in range(1, asked.max_new_tokens + 1):
        for text in itertools.product(range(decoding.vocab_size), repeat=length):
            is_whole = text[-1] == END or length == asked.max_new_tokens
            is_forced = asked.forced_end and length == asked.max_new_tokens
            before = text[:-1]
            if END in before or (is_forced and text[-1] != END):
                continue
            is_early = text[-1] == END and length - 1 < asked.min_new_tokens
            unended = before if text[-1] == END else text
            if is_early or repeats((START, *unended), asked.no_repeat_ngram_size):
                continue
            key = (START, *before)
            if key not in logs:
                logs[key] = decoding.logits(0, key).double().log_softmax(-1)
            last = 0.0 if is_forced else logs[key][text[-1]].item()
            total = last + sum(logs[START, *before[:place]][token].item() for place, token in enumerate(before))
            if is_whole:
                scores[text] = total / asked.norm(length)
    return scores


@given(
    name=st.integers(0, 1000),
    length_penalty=st.sampled_from([0.0, 0.8, 2.0]),
    length_norm=st.sampled_from(["transformers", "google"]),
    no_repeat_ngram_size=st.integers(0, 3),
    min_new_tokens=st.integers(0, 2),
    forced_end=st.booleans(),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_with_as_many_beams_as_texts_the_best_of_all_texts_is_found(name, **changes):
    decoding = TableDecoding([name], vocab_size=VOCABULARY)
    asked = config(num_beams=VOCABULARY**LONGEST, early_stopping="never", num_return_sequences=3, **changes)
    scores = every_text(decoding, asked)
    best = sorted(scores, key=scores.get, reverse=True)[:3]
    written = generate(decoding, asked)[0]
    assert [(*text.token_ids, *([END] if text.has_ended else [])) for text in written] == best
    assert [text.score for text in written] == pytest.approx([scores[text] for text in best], abs=1e-5)


@given(name=st.integers(0, 10**6), num_beams=st.integers(2, 4), penalty=st.sampled_from([-1.0, 0.0, 0.8, 2.0]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_never_stops_only_where_going_on_changes_nothing(name, num_beams, penalty):
    settings = {"num_beams": num_beams, "length_penalty": penalty, "num_return_sequences": num_beams}
    asked = config(max_new_tokens=10, early_stopping="never", **settings)
    stopping = TableDecoding([name], bias=3.0)
    stopped = generate(stopping, asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BeamSearch, "_is_over", lambda search: not search.num_rows)
        going_on = TableDecoding([name], bias=3.0)
        assert generate(going_on, asked) == stopped
    assert len(stopping.num_rows) <= len(going_on.num_rows)


def num_steps(early_stopping, penalty):
    decodings = [TableDecoding([name], bias=4.0) for name in range(20)]
    for decoding in decodings:
        generate(
            decoding, config(num_beams=3, max_new_tokens=30, early_stopping=early_stopping, length_penalty=penalty)
        )
    return sum(len(decoding.num_rows) for decoding in decodings)


def test_the_earlier_a_search_may_stop_the_fewer_steps_it_takes():
    assert num_steps(True, 1.0) < num_steps(False, 1.0) < num_steps("never", 1.0) < 20 * 30
    assert num_steps(False, 0.0) == num_steps("never", 0.0)  # without a length norm both bounds are the same


def test_equally_likely_texts_come_by_the_better_beam_and_the_lower_token():
    asked = config(num_beams=4, num_return_sequences=4, max_new_tokens=2, min_new_tokens=2)
    written = generate(TableDecoding([0], scale=0.0), asked)[0]
    assert [text.token_ids for text in written] == [(0, 0), (0, 2), (0, 3), (0, 4)]


def test_where_every_token_is_forbidden_the_live_beams_are_the_texts():
    asked = config(num_beams=2, num_return_sequences=2, max_new_tokens=9, min_new_tokens=9, no_repeat_ngram_size=1)
    written = generate(TableDecoding([5], vocab_size=VOCABULARY), asked)[0]  # only 0 and 3 are neither start nor end
    assert sorted(text.token_ids for text in written) == [(0, 3), (3, 0)]
    assert not any(text.has_ended for text in written)
    nothing = generate(TableDecoding([5], vocab_size=3), config(num_beams=2, min_new_tokens=2, no_repeat_ngram_size=1))
    assert [text.token_ids for text in nothing[0]] == [(0,)]
