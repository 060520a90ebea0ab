"""Questions to one document."""

import pytest

from bigbird.documents.document_text import DocumentText
from bigbird.errors import ConfigError
from bigbird.reading.asking import AskConfig, AskedQuestion, as_json, put_questions
from small_readers import SearchReader

DOCUMENT = DocumentText(source="x.pdf", text="The fee is due. It ends in May.\nNo law in May.", page_starts=(0, 32))
MAY, NONE = AskedQuestion("End", 'Where is "may"?'), AskedQuestion("Law", "Which law?")


def test_answers_come_with_page_and_evidence():
    may, none = put_questions(SearchReader(), DOCUMENT, [MAY, NONE], AskConfig())
    assert [(one.text, one.start, one.page) for one in may.answers] == [("May", 27, 1), ("May", 42, 2)]
    assert [DOCUMENT.text[slice(*one.evidence)] for one in may.answers] == ["It ends in May.", "No law in May."]
    assert may.answers[0].score == 0.9
    assert (may.is_found, none.is_found) == (True, False)
    assert none.no_answer == 0.97


@pytest.mark.parametrize(("threshold", "is_found"), [(0.009, False), (0.02, True), (1.0, True)])
def test_the_threshold_is_on_the_probability_of_no_answer(threshold, is_found):
    (may,) = put_questions(SearchReader(), DOCUMENT, [MAY], AskConfig(threshold=threshold))
    assert may.is_found == is_found
    assert may.no_answer == pytest.approx(0.01)


def test_no_more_than_top_k_answers():
    (may,) = put_questions(SearchReader(), DOCUMENT, [MAY], AskConfig(top_k=1))
    assert len(may.answers) == 1


def test_json_holds_places_in_the_text():
    (may,) = put_questions(SearchReader(), DOCUMENT, [MAY], AskConfig())
    row = as_json(may, DOCUMENT)
    assert (row["name"], row["question"], row["is_found"]) == ("End", 'Where is "may"?', True)
    assert row["answers"][1] == {
        "text": "May", "start": 42, "end": 45, "score": pytest.approx(0.09), "page": 2,
        "evidence": {"text": "No law in May.", "start": 32, "end": 46},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top_k": 0}, r"top_k must be at least 1, got 0"),
        (
            {"threshold": 0.0},
            r"threshold is the probability from which no answer counts as found, above 0 up to 1, got 0.0",
        ),
        ({"threshold": float("nan")}, r"above 0 up to 1, got nan"),
    ],
)
def test_bad_settings_are_told(settings, message):
    with pytest.raises(ConfigError, match=message):
        AskConfig(**settings)
