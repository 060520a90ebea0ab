"""Which sentences say what another says: by hand, and never by words that stand everywhere."""

from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.summarizing.overlap import THRESHOLD, Overlaps

DOCUMENT = "In May the fee rises again. Nobody pays. The fee is small."


def weights(sentence, document=DOCUMENT):
    return [weight for _, weight in Overlaps(document).weights(sentence)]


def test_weights_are_those_of_the_definition():
    # of three sentences two hold "the" and "fee", one "rises", "in" and "may"
    often, once = log(4 / 2), log(4)
    words = 2 * often + 3 * once
    pairs = (often + often) + (often + once) + 2 * once + 2 * once  # the fee, fee rises, rises in, in May
    shared_pairs = pairs - 2 * once  # all but "rises in"
    assert weights("The fee rises in May.") == pytest.approx(
        [(1 + shared_pairs / pairs) / 2, 0, (2 * often / words + 2 * often / pairs) / 2]
    )


def test_a_name_that_the_document_lacks_costs_as_much_as_a_rare_word():
    assert weights("The fee rises in Paris.")[0] < weights("The fee rises in May.")[0]
    assert max(weights("Paris.")) == 0


def test_a_sentence_of_the_document_is_wholly_its_own():
    assert weights("Nobody pays!") == pytest.approx([0, 1, 0])
    assert weights("Fee") == pytest.approx([1, 0, 1])
    assert weights("?!") == [0, 0, 0]
    assert weights("") == [0, 0, 0]


def test_letters_of_any_script_are_words_and_ideographs_one_each():
    text = "Плата растёт в мае. 料金は五月に上がる。誰も払わない。"
    assert weights("Плата растёт.", text)[0] > THRESHOLD > max(weights("Плата растёт.", text)[1:])
    found = weights("料金が上がる。", text)
    assert found[1] == max(found) > THRESHOLD


def test_a_repeated_word_counts_as_often_as_the_document_has_it():
    assert weights("pays pays pays")[1] == pytest.approx((1 / 3 + 0) / 2)


def test_places_are_the_sentences_of_the_document():
    assert [DOCUMENT[start:end] for (start, end), _ in Overlaps(DOCUMENT).weights("x")] == [
        "In May the fee rises again.",
        "Nobody pays.",
        "The fee is small.",
    ]


WORDS = st.lists(st.sampled_from(["fee", "rises", "pays", "may", "small"]), min_size=1, max_size=6).map(
    lambda words: f"Then {' '.join(words)}."
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(WORDS, min_size=1, max_size=5), WORDS)
def test_weights_are_shares_and_what_stands_in_a_sentence_has_all_of_it(sentences, asked):
    found = weights(asked, " ".join(sentences))
    assert all(0 <= weight <= 1 + 1e-9 for weight in found)
    for sentence, weight in zip(sentences, found, strict=True):
        if sentence == asked:
            assert weight == pytest.approx(1)
