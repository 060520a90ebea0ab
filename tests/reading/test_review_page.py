"""A document's page: its letters as they are, answers marked in place, nothing in it alive."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigbird.documents.document_text import DocumentText, document_text
from bigbird.reading.asking import AskConfig, AskedQuestion, put_questions
from bigbird.reading.page_style import percent
from bigbird.reading.review_index import IndexCell, IndexRow, index_page
from bigbird.reading.review_page import document_page
from html_pages import parsed
from small_readers import SearchReader

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>&lt;"\'</style></main></mark>'


@pytest.fixture
def page(tmp_path):
    """The page of a text with the answers to questions, parsed."""

    def make(document, *sought, **options):
        questions = [AskedQuestion(words, f'Where is "{words}"?') for words in sought]
        answered = list(put_questions(SearchReader(), document, questions, AskConfig()))
        (tmp_path / "x.html").write_text(document_page(document, answered, model="m", **options), encoding="utf-8")
        return parsed(tmp_path / "x.html")

    return make


def of(text, **options):
    return DocumentText(source="x.txt", text=text, **options)


def test_the_text_stands_there_with_its_marks_and_the_list_leads_to_them(page):
    found = page(of("It ends in May.\nIn June? No, in May.", page_starts=(0, 16)), "in may", "law")
    assert "".join(found.document) == "It ends in May.\nIn June? No, in May."
    assert found.marks == [("in May", "in may: 90 %"), ("in May", "in may: 9 %")]
    assert {"q1", "q2", "a1-1", "a1-2", "page-1", "page-2"} == found.places
    assert found.links == ["#a1-1", "#a1-2", "#q1", "#q1"]
    assert "1 of 2 questions answered; 36 characters, 2 pages." in found.text
    assert "in May 9 % , page 2 No, in May . No answer: 1 %" in found.text.replace("9 %,", "9 % ,")
    assert "No answer found (97 %)" in found.text


def test_marks_that_overlap_are_cut_where_they_do_and_both_are_named(page):
    found = page(of("the term ends today"), "the term ends", "ends today")
    assert found.marks == [
        ("the term ", "the term ends: 90 %"),
        ("ends", "the term ends: 90 %; ends today: 90 %"),
        (" today", "ends today: 90 %"),
    ]
    assert {"a1-1", "a2-1"} <= found.places


def test_equal_answers_have_a_place_each(page):
    found = page(of("in May"), "in May", "IN MAY")
    assert found.marks == [("in May", "in May: 90 %; IN MAY: 90 %")]
    assert {"a1-1", "a2-1"} <= found.places


def test_nothing_of_a_document_is_alive(page, tmp_path):
    document = DocumentText(source=f"{EVIL}.txt", text=f"In May {EVIL} or not", remarks=(EVIL,))
    found = page(document, "May", EVIL.replace('"', ""), "<script>alert(")
    assert "".join(found.document) == document.text
    assert ("<script>alert(", "<script>alert(: 90 %") in found.marks
    raw = (tmp_path / "x.html").read_text()
    assert "<script" not in raw
    assert "<img" not in raw


def test_nothing_of_names_is_alive_in_the_index(tmp_path):
    rows = [
        IndexRow(EVIL, page=f"{EVIL}.html", cells=(IndexCell(True, 0.9),)),
        IndexRow("b", error=EVIL),
        IndexRow("javascript:alert(1)", page="javascript:alert(1).html", cells=(IndexCell(False, 0.9),)),
    ]
    (tmp_path / "i.html").write_text(index_page(rows, [AskedQuestion(EVIL, EVIL)], model=EVIL))
    page = parsed(tmp_path / "i.html")
    assert EVIL in page.text
    assert page.links[2] == "javascript%3Aalert%281%29.html"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1).filter(lambda text: not text.isspace()))
def test_any_text_comes_out_as_it_went_in(page, text):
    try:
        document = document_text("x", "A" + text)
    except UnicodeError:
        return
    found = page(document, "a")
    expected = document.text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\v", "\n")
    kept = "".join(
        letter if (letter >= " " and not "\x7f" <= letter <= "\x9f") or letter in "\n\t" else "\ufffd"
        for letter in expected
    )
    assert "".join(found.document) == kept


def test_a_way_back_where_there_is_an_index(page):
    assert page(of("text"), "text", up="../index.html").links[0] == "../index.html"


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0, "0 %"), (0.001, "<1 %"), (0.006, "1 %"), (0.5, "50 %"), (0.999, ">99 %"), (1, "100 %")],
)
def test_percents_do_not_claim_certainty(probability, words):
    assert percent(probability) == words
