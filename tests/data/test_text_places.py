"""Places that spell a text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.data.answer_text import squad_text, trivia_text
from bigbird.data.text_places import nearest_place, places, word_places


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text("ab \n🦜", max_size=40), st.text("ab \n🦜", max_size=4))
def test_every_place_spells_the_text_and_none_is_left(document, text):
    found = list(places(document, text))
    assert all(document[start:end] == text for start, end in found)
    assert len(found) == (document.count(text) if text else 0)


def test_whole_words_alone():
    assert list(word_places("art, party; ART art", "art")) == [(0, 3), (16, 19)]
    assert list(word_places("1999: 1", "1")) == [(6, 7)]
    assert list(word_places("C++ or C+++", "C++")) == [(0, 3), (7, 10)]  # a sign ends no word
    assert list(word_places("art, party; ART", "art", match_case=False)) == [(0, 3), (12, 15)]
    assert list(word_places("a", "", match_case=False)) == []


def test_the_nearest_place_and_one_that_differs_in_white_space():
    document = "May 1 or\nMay 1, then May\n 1st"
    assert nearest_place(document, "May 1", 8) == (9, 14)
    assert nearest_place(document, "May 1", 0) == (0, 5)
    assert nearest_place(document, "May 1st", 0) == (21, 29)
    assert document[21:29] == "May\n 1st"
    assert nearest_place(document, "June", 0) is None
    assert nearest_place(document, " ", 6) == (5, 6)


def test_answers_as_scorers_compare_them():
    """Of the official scripts."""
    assert squad_text("The U.S.-led  “Anglo-an” a an_d") == "usled “angloan” and"
    assert trivia_text("The U.S.-led ‘Rock_’n’ Roll’") == "u s led rock n roll"
