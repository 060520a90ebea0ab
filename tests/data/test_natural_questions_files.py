"""Natural Questions' files in both forms."""

import gzip
import json

import pytest

from bigbird.data.long_short_questions import TokenSpan
from bigbird.data.natural_questions_files import read_natural_questions
from bigbird.data.questions import AnswerSpan
from bigbird.errors import DataError

# 0 <h1>  1 Google  2 Inc.  3 </h1>  4 <p>  5 Founded  6 by  7 Lärry  8 &  9 Sergey  10 </p>
TOKENS = ["<h1>", "Google", "Inc.", "</h1>", "<p>", "Founded", "by", "Lärry", "&", "Sergey", "</p>"]
NULL = {"start_token": -1, "end_token": -1, "start_byte": -1, "end_byte": -1, "candidate_index": -1}


def place(start, end):
    return {"start_token": start, "end_token": end, "start_byte": 10 * start, "end_byte": 10 * end}


ROW = {
    "example_id": -797803103760793766,
    "question_text": "who founded google",
    "document_url": "http://www.wikipedia.org/Google",
    "document_tokens": [{"token": text, "html_token": text[0] == "<"} for text in TOKENS],
    "long_answer_candidates": [place(4, 11) | {"top_level": True}, place(5, 7) | {"top_level": False}],
    "annotations": [
        {"long_answer": place(4, 11), "short_answers": [place(7, 8), place(9, 10)], "yes_no_answer": "NONE"},
        {"long_answer": NULL, "short_answers": [], "yes_no_answer": "NONE"},
        {"long_answer": place(4, 11), "short_answers": [], "yes_no_answer": "YES"},
    ],
}


def simplified(span):
    return {key: value for key, value in span.items() if "byte" not in key}


SIMPLE = {
    **{key: value for key, value in ROW.items() if key != "document_tokens"},
    "document_text": " ".join(TOKENS).replace("<p>", '<Th_colspan="2">'),
    "long_answer_candidates": list(map(simplified, ROW["long_answer_candidates"])),
    "annotations": [
        {
            "long_answer": simplified(one["long_answer"]),
            "short_answers": list(map(simplified, one["short_answers"])),
            "yes_no_answer": one["yes_no_answer"],
        }
        for one in ROW["annotations"]
    ],
}


@pytest.fixture
def read(tmp_path):
    def read(*rows):
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(data))
        return list(read_natural_questions(tmp_path / "a.jsonl.gz"))

    return read


def test_a_page_is_its_words_with_a_line_where_tags_stand(read):
    for one in read(ROW, SIMPLE):
        assert one.document == "Google Inc.\nFounded by Lärry & Sergey"
        told = [one.document[start:end] for start, end in one.places]
        assert told == [text if text[0] != "<" else "" for text in TOKENS]
        assert (one.name, one.question, one.title) == (
            "-797803103760793766",
            "who founded google",
            "http://www.wikipedia.org/Google",
        )
        assert one.top_level == (True, False)


def test_annotations_have_tokens_and_where_known_bytes(read):
    original, simple = read(ROW, SIMPLE)
    assert original.annotations[0].short == (TokenSpan(7, 8, 70, 80), TokenSpan(9, 10, 90, 100))
    assert simple.annotations[0].short == (TokenSpan(7, 8), TokenSpan(9, 10))
    for one in (original, simple):
        assert [annotation.long is None for annotation in one.annotations] == [False, True, False]
        assert [annotation.yes_no for annotation in one.annotations] == ["", "", "yes"]
        assert [span[:2] for span in one.candidates] == [(4, 11), (5, 7)]


def test_tokens_and_characters_lead_to_each_other(read):
    (one,) = read(ROW)
    long, (first, last) = one.annotations[0].long, one.annotations[0].short
    assert one.document[slice(*one.characters(long))] == "Founded by Lärry & Sergey"
    assert [one.document[slice(*one.characters(span))] for span in (first, last)] == ["Lärry", "Sergey"]
    assert one.tokens(one.characters(first)) == TokenSpan(7, 8)
    assert one.tokens(AnswerSpan(20, 22)) == TokenSpan(6, 7)  # "by" from its "b", with the space before it
    assert one.characters(TokenSpan(0, 1)) == AnswerSpan(0, 0)
    with pytest.raises(DataError, match="tokens 9 to 12 do not lie in its 11"):
        one.characters(TokenSpan(9, 12))
    with pytest.raises(DataError, match="characters 11 to 12 hold no word of its document"):
        one.tokens(AnswerSpan(11, 12))


def test_a_test_set_has_no_annotations(read):
    assert read({key: value for key, value in ROW.items() if key != "annotations"})[0].annotations == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"long_answer_candidates": [NULL]}, "long_answer_candidates 1 names no place; a candidate needs start_token"),
        (
            {"long_answer_candidates": [place(3, 3)]},
            "tokens 3 to 3, bytes 30 to 30 are no place on a page of 11 tokens",
        ),
        ({"long_answer_candidates": [place(3, 12)]}, "tokens 3 to 12"),
        ({"annotations": [ROW["annotations"][0] | {"yes_no_answer": "MAYBE"}]}, "'yes_no_answer' must hold YES, NO or"),
        ({"document_tokens": None}, "there is no 'document_text'"),
    ],
)
def test_faults_name_the_line(read, changes, said):
    with pytest.raises(DataError, match=rf"a\.jsonl\.gz:1.*{said}"):
        read(ROW | changes)
