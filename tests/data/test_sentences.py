"""Sentences: together they are the text, and an answer lies in its evidence."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bigbird.data.sentences import MAX_LETTERS, Sentences, Span


def sentences(text):
    return [text[start:end] for start, end in Sentences(text)]


WORDS = st.sampled_from(
    [
        "The",
        "term",
        "Inc.",
        "3.1",
        "(a)",
        "\n",
        "\n\n",
        " ",
        "  ",
        "end.",
        "e.g.",
        "U.S.",
        "?",
        "”",
        "。",
        "J.",
        "\r\n",
        "\t",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=300), st.lists(WORDS, max_size=60).map("".join), st.lists(WORDS, max_size=60).map(" ".join)
)


@given(TEXTS)
def test_sentences_tile_the_text(text):
    spans = list(Sentences(text))
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(before.end == after.start for before, after in pairwise(spans))
    assert all(0 < end - start <= MAX_LETTERS or text[start : end - 1].strip() == "" for start, end in spans)


@given(TEXTS.filter(len), st.data())
def test_evidence_holds_the_answer_and_no_blanks_around_it(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    found = Sentences(text).around(start, end)
    assert 0 <= found.start <= start < end <= found.end <= len(text)
    if not text[start:end].isspace():
        evidence = text[found.start : found.end]
        assert evidence.strip() == evidence or found in ((start, found.end), (found.start, end), (start, end))


@pytest.mark.parametrize(
    "parts",
    [
        ["Term. ", "It ends.  ", "Fees: 3.5 %."],
        ["Acme, Inc. and Dr. J. Smith met Mr. Doe. ", "He left."],
        ["Made by Acme Inc. ", "The parties agree, e.g. Smith, at 5 p.m. ", "The end."],
        ["He lives in the U.S. ", "The law of the U.S. Government applies."],
        ['"I go." ', "She said so. ", "(It rained.) ", "End"],
        ["3.1 Term. ", "This Agreement ends.\n", "3.2 Fees. ", "None are due."],
        ["See Section 3. Term is five years. ", "It began in 1999. ", "It ends."],
        ["7. GOVERNING LAW. ", "This Agreement is governed by law No. 5. ", "A new one."],
        [
            "HEADING ONE\n",
            "The text goes on\nand on until\nSection 3.1 of it.\n\n",
            "(a) first;\n",
            "(b) second; and\n",
            "(c) third.",
        ],
        ["• one\n", "• two\n", "1. Three\n", "2. Four"],
        ["If a page\n\nends within it, they stay. ", "Next"],
        ["It follows:\n\n", "the list"],
        ["这是第一句。", "这是第二句！", "「三。」", "End."],
        ["Wait... ", "What?! ", "No! yes."],
        ["Ends with CRLF.\r\n\r\n", "Next one\r\ngoes on. ", "Last."],
        ["One page.\f", "Two."],
    ],
)
def test_prose_and_contracts_are_cut_where_a_reader_would(parts):
    assert sentences("".join(parts)) == parts


def test_an_answer_over_two_sentences_has_both_as_evidence():
    text = "First one. The term. It ends in May. Last one."
    start, end = text.index("term"), text.index("May")
    assert Sentences(text).around(start, end) == Span(text.index("The"), text.index(" Last"))


def test_what_has_no_full_stop_is_cut_between_words():
    text = "word " * 1_000
    parts = sentences(text)
    assert len(parts) == 3
    assert all(part.endswith("word ") for part in parts)
    start = len(parts[0]) - 3
    assert Sentences(text).around(start, start + 6) == Span(0, len(parts[0]) + len(parts[1]) - 1)


@pytest.mark.parametrize("text", ["." * 300_000, "\n" * 300_000, " " * 300_000 + "a", "A" * 300_000, "x.)" * 100_000])
def test_no_text_takes_long(text):
    assert "".join(sentences(text)) == text


def test_small_letters_begin_sentences_where_there_are_no_others():
    text = "we show this in fig. 2 . it holds.\nfor all n. see e.g. x."
    assert [text[start:end] for start, end in Sentences(text)] == [
        "we show this in fig. 2 . ",
        "it holds.\n",
        "for all n. see e.g. x.",
    ]
    assert len(list(Sentences("A" + text[1:]))) == 1
