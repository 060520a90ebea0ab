"""WikiHop's files."""

import json

import pytest

from bigbird.data.choice_questions import ChoiceQuestion
from bigbird.data.wikihop_files import read_wikihop
from bigbird.errors import DataError

ROW = {
    "id": "WH_dev_0",
    "query": "country_of_citizenship stella pevsner",
    "candidates": ["american", "british"],
    "supports": ["Stella 🦜 is a writer.", "", "She is ___MASK12___."],
    "answer": "american",
}


@pytest.fixture
def read(tmp_path):
    def read(*rows):
        (tmp_path / "a.json").write_text(json.dumps(rows))
        return list(read_wikihop(tmp_path / "a.json"))

    return read


def test_supports_are_one_document_with_their_places(read):
    (one,) = read(ROW)
    assert one.document == "Stella 🦜 is a writer.\n\n\n\nShe is ___MASK12___."
    assert [one.document[start:end] for start, end in one.texts] == ROW["supports"]
    assert (one.name, one.question, one.candidates, one.answer) == (
        "WH_dev_0",
        "country_of_citizenship stella pevsner",
        ("american", "british"),
        "american",
    )
    assert read({key: value for key, value in ROW.items() if key != "answer"})[0].answer == ""


def test_faults_name_the_entry(read):
    with pytest.raises(DataError, match=r"a.json, entry 1: question 'WH_dev_0': its answer 'dutch' is not among its 2"):
        read(ROW | {"answer": "dutch"})
    with pytest.raises(DataError, match=r"a.json, entry 2: there is no 'supports'"):
        read(ROW, {key: value for key, value in ROW.items() if key != "supports"})


def test_a_choice_needs_candidates():
    with pytest.raises(DataError, match="question 'q' has no candidates; it needs at least one to choose from"):
        ChoiceQuestion(name="q", question="?", document="", candidates=())
