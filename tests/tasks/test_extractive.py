"""Summaries out of the document's own sentences, and what can be copied at all."""

import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.data.sentences import Sentences, on_lines, sentence_spans
from bigbird.errors import ConfigError, MissingDependency
from bigbird.tasks import extractive
from bigbird.tasks.copying import copyable
from bigbird.tasks.extractive import _ranks, lead, lex_rank
from bigbird.tasks.oracle_extract import oracle
from bigbird.tasks.rouge_words import rouge_words

DOCUMENT = """Cats sleep. Dogs bark at
cats.  Birds sing.

Cats and dogs play. Fish swim."""

WORDS = st.sampled_from(["aa", "bb", "cc", "dd", "copies", "copied", "3", "ee"])
SENTENCE = st.lists(WORDS, min_size=1, max_size=6).map(lambda words: f"Aa {' '.join(words)} end.")
DOCUMENTS = st.lists(SENTENCE, min_size=1, max_size=7).map(" ".join)
REFERENCES = st.lists(st.lists(WORDS, max_size=9).map(" ".join), min_size=1, max_size=2)


def texts(document, spans):
    return [document[start:end] for start, end in spans]


def extracts(document, number):
    yield lead(document, number)
    if pytest.importorskip("sklearn"):
        yield lex_rank(document, number)
    yield oracle(document, ["cats play and fish swim"], number)


def test_sentences_come_without_blanks_and_make_lines():
    spans = sentence_spans("\n" + DOCUMENT + "\n\n")
    assert texts("\n" + DOCUMENT, spans)[1] == "Dogs bark at\ncats."
    assert on_lines("\n" + DOCUMENT, spans[:2]) == "Cats sleep.\nDogs bark at cats."
    assert (sentence_spans(" \n "), on_lines("a", [])) == ([], "")


@pytest.mark.parametrize("number", [1, 2, 9])
def test_extracts_are_sentences_of_the_document_in_its_order(number):
    spans = sentence_spans(DOCUMENT)
    for chosen in extracts(DOCUMENT, number):
        assert len(chosen) <= min(number, len(spans))
        assert list(chosen) == sorted(set(chosen))
        assert set(chosen) <= set(spans)
    assert len(list(Sentences(DOCUMENT))) == len(spans) == 5


def test_lead_is_the_beginning():
    assert texts(DOCUMENT, lead(DOCUMENT, 2)) == ["Cats sleep.", "Dogs bark at\ncats."]
    pictured = "It rains. Birds fear cats.  Why?"
    assert lead(pictured, 2) == ((0, 9), (10, 26))
    assert on_lines(pictured, lead(pictured, 2)) == "It rains.\nBirds fear cats."


def test_an_empty_text_has_no_sentences():
    assert all(chosen == () for chosen in extracts(" \n ", 3))


@pytest.mark.parametrize("extract", [lead, lex_rank, lambda text, number: oracle(text, ["a"], number)])
def test_at_least_one_sentence_is_asked_for(extract):
    with pytest.raises(ConfigError, match=r"num_sentences must be at least 1, got 0"):
        extract(DOCUMENT, 0)


def cosines(words):
    """Equation 1 of Erkan & Radev 2004, written out; 0 of sentences without words."""
    idf = {word: np.log(len(words) / sum(word in some for some in words)) for some in words for word in some}

    def dot(one, other):
        return sum(one.count(word) * other.count(word) * idf[word] ** 2 for word in set(one))

    return np.array([[dot(a, b) / (np.sqrt(dot(a, a) * dot(b, b)) or 1) for b in words] for a in words])


def power_method(sentences, threshold, damping):
    """Equation 4 there."""
    words = [sentence.lower().rstrip(".").split() for sentence in sentences]
    joined = (cosines(words) > threshold).astype(float)
    matrix = damping / len(words) + (1 - damping) * joined / joined.sum(1, keepdims=True)
    shares = np.full(len(words), 1 / len(words))
    for _ in range(500):
        shares = matrix.T @ shares
    return shares


@pytest.mark.parametrize(("threshold", "damping"), [(0.1, 0.15), (0.3, 0.5)])
def test_ranks_are_those_of_the_paper(threshold, damping):
    pytest.importorskip("sklearn")
    draw = np.random.default_rng(0)
    sentences = [" ".join(draw.choice(list("abcdefghijk"), 5)) + "." for _ in range(12)]
    expected = power_method(sentences, threshold, damping)
    assert np.ptp(expected) > 0.01
    assert _ranks(sentences, threshold, damping) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("rows_at_once", [1, 7, 256])
def test_ranks_are_those_of_networkx_also_where_a_sentence_has_no_words(monkeypatch, rows_at_once):
    networkx = pytest.importorskip("networkx")
    pytest.importorskip("sklearn")
    monkeypatch.setattr(extractive, "_ROWS_AT_ONCE", rows_at_once)
    draw = np.random.default_rng(1)
    sentences = [" ".join(draw.choice(list("abcdefghijkl"), number)) + "?" for number in (*range(9), 0, *range(3, 9))]
    joined = cosines([sentence.rstrip("?").split() for sentence in sentences]) > 0.2
    assert not joined[0].any()
    shares = networkx.pagerank(networkx.from_numpy_array(joined.astype(float)), alpha=0.7)
    expected = [shares[place] for place in range(len(sentences))]
    assert _ranks(sentences, 0.2, 0.3) == pytest.approx(expected, abs=1e-12)


def test_ranks_of_many_sentences_need_little_memory():
    pytest.importorskip("sklearn")
    draw = np.random.default_rng(0)
    words = [f"w{number}" for number in range(300)]
    sentences = [f"the {' '.join(draw.choice(words, 8))} of" for _ in range(1500)]
    tracemalloc.start()
    _ranks(sentences, 0.1, 0.15)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20e6


def test_the_central_sentence_is_chosen_and_ties_go_to_the_first():
    pytest.importorskip("sklearn")
    document = "Fish swim deep. Cats purr loudly. Birds fear cats and dogs. Dogs bark often. Snow is cold."
    assert texts(document, lex_rank(document, 1)) == ["Birds fear cats and dogs."]
    assert lex_rank("It rains. Who knows? They did.", 1) == lead("It rains. Who knows? They did.", 1)
    assert lex_rank("?! … ?!", 1) == lead("?! … ?!", 1)  # no words at all


def test_settings_of_lex_rank_are_checked():
    with pytest.raises(ConfigError, match=r"threshold must be from 0 to below 1, got 1"):
        lex_rank(DOCUMENT, 1, threshold=1)
    with pytest.raises(ConfigError, match=r"damping must be between 0 and 1, got 0"):
        lex_rank(DOCUMENT, 1, damping=0)


def test_without_scikit_learn_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(MissingDependency, match=r"LexRank needs sklearn.*pip install 'bigbird\[summaries\]'"):
        lex_rank(DOCUMENT, 1)


def by_hand(document, references, num_sentences):
    """The oracle with every score out of rouge-score."""
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2"], use_stemmer=True)
    spans = sentence_spans(document)

    def score(places, reference):
        scores = scorer.score(reference, on_lines(document, [spans[place] for place in sorted(places)]))
        return scores["rouge1"].fmeasure + scores["rouge2"].fmeasure

    best = ((), 0.0)
    for reference in references:
        chosen, reached = [], 0.0
        while len(chosen) < num_sentences:
            left = [place for place in range(len(spans)) if place not in chosen]
            scores = [score([*chosen, place], reference) for place in left]
            if max(scores, default=0.0) <= reached:
                break
            reached = max(scores)
            chosen.append(left[scores.index(reached)])
        if reached > best[1]:
            best = (tuple(spans[place] for place in sorted(chosen)), reached)
    return best[0]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(DOCUMENTS, REFERENCES, st.integers(1, 5))
def test_the_oracle_is_that_of_rouge_score_step_by_step(document, references, number):
    assert oracle(document, references, number) == by_hand(document, references, number)


def test_the_oracle_stops_where_nothing_is_gained():
    assert texts(DOCUMENT, oracle(DOCUMENT, ["Fish swim.\nCats sleep."], 5)) == ["Cats sleep.", "Fish swim."]
    assert oracle(DOCUMENT, ["wholly other"], 5) == ()


def test_what_can_be_copied_is_counted_in_pairs_of_words():
    document = "We sell it. They BUY all of it today."
    assert copyable(document, ["they buy it"], [11, len(document)]) == [0.0, 0.5]
    assert copyable(document, ["they buy it", "sell it they buy"], [11, 19, 20]) == [1 / 3, 2 / 3, 1.0]
    assert copyable(document, ["word"], [99]) == [0.0]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(DOCUMENTS, REFERENCES)
def test_what_can_be_copied_out_of_more_is_more(document, references):
    shares = copyable(document, references, list(range(len(document) + 1)))
    assert all(less <= more for less, more in pairwise(shares))
    whole = set(pairwise(rouge_words(document, stem=False)))
    pairs = [list(pairwise(rouge_words(reference, stem=False))) for reference in references]
    assert shares[-1] == max(sum(pair in whole for pair in some) / len(some) if some else 0 for some in pairs)
