"""TriviaQA's files, and the noisy places of their answers."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.data.alias_places import alias_places
from bigbird.data.answer_text import trivia_text
from bigbird.data.triviaqa_files import read_triviaqa
from bigbird.errors import DataError

ROW = {
    "QuestionId": "tc_33",
    "Question": "Which musical premiered in 1993?",
    "Answer": {
        "Value": "Sunset Boulevard",
        "Aliases": ["Sunset Blvd.", "Sunset Boulevard"],
        "NormalizedAliases": ["sunset blvd", "sunset boulevard"],
    },
    "EntityPages": [{"Filename": "Andrew_Lloyd_Webber.txt", "Title": "Andrew Lloyd Webber"}],
    "SearchResults": [{"Filename": "35/35_995.txt", "DocPartOfVerifiedEval": True}, {"Filename": "35/36.txt"}],
    "QuestionPartOfVerifiedEval": True,
}


@pytest.fixture
def read(tmp_path):
    for name, text in {
        "wikipedia/Andrew_Lloyd_Webber.txt": "He wrote The Sunset\r\nBoulevard.",
        "web/35/35_995.txt": "“sunset_blvd”: 1993 🦜",
        "web/35/36.txt": "Nothing here.",
    }.items():
        path = tmp_path / "evidence" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())

    def read(*rows, domain="Web", **options):
        table = {"Data": rows, "Domain": domain, "VerifiedEval": True, "Version": 1.0}
        (tmp_path / "qa.json").write_text(json.dumps(table))
        return list(read_triviaqa(tmp_path / "qa.json", tmp_path / "evidence", **options))

    return read


def test_all_pages_of_a_question_are_one_document(read):
    (one,) = read(ROW)
    assert one.document == (
        "Andrew Lloyd Webber\nHe wrote The Sunset\nBoulevard.\n\n“sunset_blvd”: 1993 🦜\n\nNothing here."
    )
    assert [one.document[start:end] for start, end in one.answers] == ["Sunset\nBoulevard"]  # “ belongs to a word here
    assert (one.name, one.question, one.accepted) == (
        "tc_33",
        "Which musical premiered in 1993?",
        ("sunset blvd", "sunset boulevard"),
    )


def test_a_page_a_question_where_the_official_scorer_asks_for_it(read):
    names = [one.name for one in read(ROW, per_page=True)]
    assert names == ["tc_33--Andrew_Lloyd_Webber.txt", "tc_33--35/35_995.txt", "tc_33--35/36.txt"]


def test_the_verified_subset_has_verified_questions_and_of_the_web_verified_pages(read):
    other = ROW | {"QuestionId": "tc_34", "QuestionPartOfVerifiedEval": False}
    assert [one.name for one in read(ROW, other, verified=True, per_page=True)] == ["tc_33--35/35_995.txt"]
    (whole,) = read(ROW, other, verified=True, domain="Wikipedia")
    assert whole.document.count("\n\n") == 2


def test_answers_of_people_count_and_plain_aliases_are_normalised(read):
    answer = {"Value": "x", "Aliases": ["The Sunset Blvd."], "HumanAnswers": ["Sunset Blvd", "A Sunset!"]}
    assert read(ROW | {"Answer": answer})[0].accepted == ("sunset blvd", "sunset")
    without = {key: value for key, value in ROW.items() if key != "Answer"}
    assert read(without)[0].accepted == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"EntityPages": [{"Filename": "none.txt"}]},
            "there is no evidence file .*none.txt; give the folder that holds",
        ),
        ({"EntityPages": [{"Filename": "../../secret"}]}, "EntityPages 1: '../../secret' leads out of the evidence"),
        ({"EntityPages": [{"Filename": "/etc/hosts"}]}, "leads out of the evidence folder"),
        ({"EntityPages": [], "SearchResults": []}, "Data 1: question 'tc_33' has no pages, so it has no document"),
    ],
)
def test_faults_name_the_question(read, changes, said):
    with pytest.raises(DataError, match=said):
        read(ROW | changes)


def test_a_page_may_hold_any_character_and_must_be_utf_8(read, tmp_path):
    page = tmp_path / "evidence/web/35/36.txt"
    page.write_bytes("\ufeffone\0 two\r\u2028".encode())  # pages of the web hold such
    assert read(ROW)[0].document.endswith("\n\none\0 two\n\u2028")
    page.write_bytes(b"one \xff")
    with pytest.raises(DataError, match=r"36\.txt: byte 5 is not UTF-8 text"):
        read(ROW)


def test_places_are_found_through_punctuation_articles_and_capitals():
    def found(document, *aliases):
        return [document[start:end] for start, end in alias_places(document, aliases)]

    assert found("Rock 'n' Roll, rock n roll", "rock n roll") == ["Rock 'n' Roll", "rock n roll"]
    assert found("The U.S. and US.", "u s") == ["U.S"]
    assert found("Lord of the Rings; Lord of Rings", "lord of rings") == ["Lord of the Rings", "Lord of Rings"]
    assert found("New York City, New York", "new york", "new york city") == ["New York City", "New York"]
    assert found("party art", "art") == ["art"]
    assert found("İSTANBUL x", "İstanbul") == ["İSTANBUL"]  # longer in small letters
    assert found("anything", "", "the") == []


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text("ab’'. \nA_the–", max_size=40), st.lists(st.text("ab the", max_size=6), max_size=3))
def test_a_place_reads_as_an_alias(document, aliases):
    normal = {trivia_text(alias) for alias in aliases}
    for start, end in alias_places(document, aliases):
        words = trivia_text(document[start:end])
        assert words in normal or "–" in words  # a word around which articles stand is taken whole
