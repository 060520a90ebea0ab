"""ROUGE: equal to rouge-score, and lines as it has them."""

import logging
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.data.summaries import SummarizedDocument
from bigbird.errors import DataError, MissingDependency
from bigbird.tasks import rouge_words as words_module
from bigbird.tasks import summary_scores as module
from bigbird.tasks.rouge_words import rouge_words
from bigbird.tasks.summary_scores import rouge, summary_scores

rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
KINDS = ["rouge1", "rouge2", "rougeL", "rougeLsum"]

WORDS = st.sampled_from(["cat", "cats", "running", "ran", "The", "mat.", "\n", "3.5", "on", "naïve", "copies"])
TEXT = st.lists(WORDS, max_size=25).map(" ".join)


def theirs(summary, references, *, stem=True):
    """Of each figure the best F1 over references, scored one by one."""
    scorer = rouge_scorer.RougeScorer(KINDS, use_stemmer=stem)
    scores = [scorer.score(reference, summary) for reference in references]
    return tuple(max(one[kind].fmeasure for one in scores) for kind in KINDS)


def documents(*summaries, texts=None):
    return [
        SummarizedDocument(document=(texts or "abcdefgh")[place], summaries=some, name=str(place))
        for place, some in enumerate(summaries)
    ]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TEXT, st.lists(TEXT, min_size=1, max_size=3), st.booleans())
def test_scores_are_those_of_the_package(summary, references, stem):
    assert rouge(summary, references, stem=stem) == theirs(summary, references, stem=stem)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=40) | TEXT, st.booleans())
def test_words_are_those_of_the_package(text, stem):
    tokenizers = pytest.importorskip("rouge_score.tokenizers")
    assert rouge_words(text, stem=stem) == tokenizers.DefaultTokenizer(stem).tokenize(text)


def test_each_figure_takes_the_reference_that_suits_it_best():
    summary, apart, together = "a b c d e f", "f e d c b a", "a b x y z w"
    scores = rouge(summary, (apart, together))
    assert (scores.rouge_1, scores.rouge_2) == pytest.approx((1.0, 0.2))
    assert rouge(summary, (apart,)).rouge_2 == 0
    assert rouge(summary, (together,)).rouge_1 == pytest.approx(1 / 3)


REFERENCE, SUMMARY = "the cat sat\non the mat", "on the mat\nthe cat slept"


def test_lines_part_sentences_for_lsum_alone():
    scores = rouge(SUMMARY, [REFERENCE])
    assert [round(score, 2) for score in scores] == [0.83, 0.6, 0.5, 0.83]
    assert rouge(SUMMARY.replace("\n", " "), [REFERENCE.replace("\n", " ")])[:3] == scores[:3]


def test_without_lines_lsum_is_rouge_l():
    flat = rouge(SUMMARY.replace("\n", " "), [REFERENCE.replace("\n", " ")])
    assert flat.rouge_l_sum == flat.rouge_l == 0.5


def test_the_line_end_of_pegasus_is_one():
    for mark in ("<n>", " <n> ", "<n>\n"):
        assert rouge(SUMMARY.replace("\n", mark), [REFERENCE.replace("\n", mark)]) == rouge(SUMMARY, [REFERENCE])


def test_sentences_can_be_set_on_lines_first():
    reference, summary = "The cat sat. On the\nmat.", "On the mat. The cat slept."
    assert rouge(summary, [reference], split_sentences=True) == rouge(SUMMARY, [REFERENCE])
    assert rouge(summary, [reference]).rouge_l_sum == 0.5


def test_endings_are_taken_off_unless_asked_not_to():
    assert rouge("it copies", ["it copied"]).rouge_1 == 1
    assert rouge("it copies", ["it copied"], stem=False).rouge_1 == 0.5


def test_means_come_with_intervals_over_documents():
    some = documents(("a b c d",), ("a b c d",), ("a b c d",), ("a b c d",), texts="xxyz")
    scores = summary_scores(some, ["a b c d", "a b c d", "a b", ""])
    assert scores.rouge_1.value == pytest.approx((1 + 1 + 2 / 3 + 0) / 4)
    assert scores.rouge_1.low < scores.rouge_1.value < scores.rouge_1.high
    alone = summary_scores(some[:2], ["a b c d", ""])
    assert (alone.rouge_1.value, alone.rouge_1.low != alone.rouge_1.low) == (
        0.5,
        True,
    )  # one text says nothing of others


def test_there_must_be_one_summary_per_document():
    with pytest.raises(DataError, match=r"there are 2 documents and 1 summaries; give one each, in their order"):
        summary_scores(documents(("a",), ("b",)), ["a"])


def test_references_that_rouge_cannot_read_are_told(caplog):
    with caplog.at_level(logging.WARNING):
        scores = summary_scores(documents(("Γεια σου",), ("hello",)), ["Γεια σου", "hello"])
    assert scores.rouge_1.value == 0.5
    assert "1 of 2 documents have no summary with a word of a-z and 0-9" in caplog.messages[0]


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    module._scorer.cache_clear()
    words_module._stemmer.cache_clear()
    words_module._stem.cache_clear()
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(
        MissingDependency, match=r"scoring summaries needs rouge_score.*pip install 'bigbird\[summaries"
    ):
        rouge("a", ["a"])
    monkeypatch.setitem(sys.modules, "nltk.stem.porter", None)
    with pytest.raises(MissingDependency, match=r"stemming words for ROUGE needs nltk.*bigbird\[summaries\]"):
        rouge_words("copies", stem=True)
