"""Gap sentences: those that rouge-score would choose, and examples that lose nothing."""

import re
from collections import Counter
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird import randomness
from bigbird.data.gap_sentences import GapSentences, Strategy
from bigbird.data.sentences import on_lines, sentence_spans
from bigbird.errors import ConfigError

WORDS = st.sampled_from([*"abcdefg", "A", "b-c", "3.5", "_", "?"])
SENTENCES = st.lists(st.lists(WORDS, max_size=7).map(" ".join), min_size=2, max_size=9)
PRINCIPAL = ("ind-orig", "ind-uniq", "seq-orig", "seq-uniq")


def f1(inside, outside, *, once):
    """ROUGE-1 of two lists of sentences out of rouge-score."""
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1"])
    sides = (re.sub(r"[^a-z0-9]+", " ", " ".join(side).lower()).split() for side in (inside, outside))
    first, second = (" ".join(sorted(set(words)) if once else words) for words in sides)
    return scorer.score(second, first)["rouge1"].fmeasure


def brute_force(sentences, strategy, count):
    """Section 3.1 of the paper, word for word."""
    once = strategy.endswith("uniq")
    places = range(len(sentences))

    def score(chosen):
        inside = [sentences[place] for place in chosen]
        return f1(inside, [sentences[place] for place in places if place not in chosen], once=once)

    if strategy.startswith("ind"):
        scores = [score([place]) for place in places]
        return sorted(sorted(places, key=lambda place: (-scores[place], place))[:count])
    chosen = []
    for _ in range(count):
        left = [place for place in places if place not in chosen]
        chosen.append(max(left, key=lambda place: (score([*chosen, place]), -place)))
    return sorted(chosen)


@pytest.mark.parametrize("strategy", PRINCIPAL)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(SENTENCES, st.sampled_from([0.2, 0.45, 0.9]))
def test_the_choice_is_that_of_rouge_score(strategy, sentences, ratio):
    count = max(1, int(len(sentences) * ratio))
    assert GapSentences(strategy=strategy, ratio=ratio).chosen(sentences, 0) == brute_force(sentences, strategy, count)


def test_strategies_differ():
    sentences = ["a a a b", "a b c", "a a x y", "b c d e f g", "a b c d"]
    assert len({tuple(GapSentences(strategy=one).chosen(sentences, 1)) for one in PRINCIPAL}) > 1
    assert GapSentences(strategy="lead").chosen(sentences, 1) == [0, 1]
    drawn = [GapSentences(strategy="random").chosen(sentences, draw) for draw in range(40)]
    assert Counter(place for some in drawn for place in some).keys() == set(range(5))
    assert drawn == [GapSentences(strategy="random").chosen(sentences, draw) for draw in range(40)]


def test_other_alphabets_are_read_too():
    assert GapSentences(ratio=0.3).chosen(["Снег.", "Собака лает.", "Кошка и собака лает."], 0) == [1]


LONG_WORDS = WORDS.map(lambda word: word * 2)  # a letter and a full stop may be an initial, which ends no sentence
TEXTS = st.lists(st.lists(LONG_WORDS, min_size=1, max_size=5), min_size=2, max_size=9).map(
    lambda some: "  ".join(f"X {' '.join(words)}.\n" for words in some)
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(TEXTS, st.sampled_from(get_args(Strategy)), st.integers(0, 2**62))
def test_an_example_holds_the_document_but_for_its_gaps(text, strategy, draw):
    making = GapSentences(strategy=strategy)
    example = making.example(text, draw=draw)
    spans = sentence_spans(text)
    assert len(spans) > 1
    chosen = [spans[place] for place in making.chosen([text[start:end] for start, end in spans], draw)]
    assert example.target == on_lines(text, chosen)
    assert 2 <= len(example.parts) <= len(chosen) + 1
    assert example == making.example(text, draw=draw)
    hidden = GapSentences(strategy=strategy, shown=0).example(text, draw=draw)
    assert len(hidden.parts) == len(chosen) + 1
    gaps = iter(text[start:end] for start, end in chosen)
    whole = "".join(part + next(gaps, "") for part in hidden.parts)
    assert whole == text
    assert hidden.masked("<mask>").count("<mask>") == len(chosen)


def test_an_example_as_drawn_in_the_module():
    text = "Cats sleep. It rains. Cats sleep late. Why?"
    example = GapSentences(ratio=0.5, shown=0).example(text, draw=0)
    assert example.parts == ("", " It rains. ", " Why?")
    assert (example.target, example.masked("<m>")) == ("Cats sleep.\nCats sleep late.", "<m> It rains. <m> Why?")


def test_a_share_of_the_chosen_is_shown_and_another_one_each_time():
    text = " ".join(f"Word{n} and more." for n in range(40))
    gaps = [len(GapSentences().example(text, draw=draw).parts) - 1 for draw in range(60)]
    assert sum(gaps) / 60 / 18 == pytest.approx(0.8, abs=0.03)
    assert len({GapSentences().example(text, draw=draw).parts for draw in range(20)}) > 15
    assert len(GapSentences(shown=0.99).example(text, draw=3).parts) == 2  # at least one gap stays
    assert randomness.uniform(3, 1, 0) < 0.99


def test_a_text_of_one_sentence_has_nothing_to_learn():
    assert GapSentences().example("Only one.", draw=0) is None
    assert GapSentences().example("", draw=0) is None


@pytest.mark.parametrize(
    ("settings_", "told"),
    [
        ({"strategy": "best"}, "strategy must be one of random, lead, ind-orig, .*got 'best'"),
        ({"ratio": 0}, "ratio must be between 0 and 1, got 0"),
        ({"ratio": 1}, "ratio must be between 0 and 1, got 1"),
        ({"shown": 1}, "shown must be from 0 to below 1, got 1"),
    ],
)
def test_settings_are_checked(settings_, told):
    with pytest.raises(ConfigError, match=told):
        GapSentences(**settings_)
