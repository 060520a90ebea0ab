"""Files in HotpotQA's format."""

import json

import pytest

from bigbird.data.hotpotqa_files import read_hotpotqa
from bigbird.data.multi_hop_questions import Fact, MultiHopQuestion, Sentence
from bigbird.data.questions import Question
from bigbird.errors import DataError

ROW = {
    "_id": "5a8c",
    "question": "What did she become?",
    "answer": "Chief",
    "type": "bridge",
    "supporting_facts": [["Film", 0], ["Shirley 🦜", 1]],
    "context": [
        ["Film", ["A film with Shirley.", " Chief is not said here."]],
        ["Shirley 🦜", ["She was born.", " She became Chief, a Chief."]],
        ["Chief", ["A Chief rules. ", ""]],
    ],
}


@pytest.fixture
def read(tmp_path):
    def read(*rows, name="a.json"):
        lines = "\n".join(map(json.dumps, rows)) if name.endswith("jsonl") else json.dumps(rows)
        (tmp_path / name).write_text(lines)
        return list(read_hotpotqa(tmp_path / name))

    return read


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_sentences_lie_where_they_stand_in_the_document(read, name):
    (one,) = read(ROW, name=name)
    document = one.asked.document
    assert document == (
        "Film\nA film with Shirley. Chief is not said here.\n\nShirley 🦜\nShe was born. She became Chief, a Chief."
        "\n\nChief\nA Chief rules. "
    )
    told = {sentence.fact: document[sentence.start : sentence.end] for sentence in one.sentences}
    expected = {Fact(title, n): text for title, texts in ROW["context"] for n, text in enumerate(texts)}
    assert told == expected
    assert [one.sentences[number].fact for number in one.supporting] == [("Film", 0), ("Shirley 🦜", 1)]
    assert (one.asked.name, one.asked.accepted, one.kind, one.yes_no) == ("5a8c", ("Chief",), "bridge", "")


def places(one):
    return [(one.asked.document[start - 2 : start], one.asked.document[start:end]) for start, end in one.asked.answers]


def test_answers_are_looked_for_in_supporting_sentences_then_paragraphs_then_anywhere(read):
    def of(**changes):
        return read(ROW | changes)[0]

    assert places(of()) == [("e ", "Chief"), ("a ", "Chief")]
    assert places(of(answer="Shirley 🦜")) == [("\n\n", "Shirley 🦜")]  # in the title
    assert places(of(supporting_facts=[["Film", 0]])) == [(". ", "Chief")]  # of the paragraph
    assert places(of(answer="rules", supporting_facts=[])) == [("f ", "rules")]
    assert places(of(answer="A FILM WITH")) == [("m\n", "A film with")]  # where nothing has its capitals
    assert of(answer="Chi").asked.answers == ()
    assert of(answer="General", answer_aliases=["Chief"]).asked.accepted == ("General", "Chief")


def test_yes_and_no_have_no_place(read):
    (one,) = read(ROW | {"answer": "No"})
    assert (one.yes_no, one.asked.answers, one.asked.accepted) == ("no", (), ("No",))


def test_facts_of_no_sentence_stay_and_are_counted(read, caplog):
    (one,) = read(ROW | {"supporting_facts": [["Film", 0], ["Film", 0], ["Film", 9], ["Song", 0]]})
    assert one.facts == (("Film", 0), ("Film", 0), ("Film", 9), ("Song", 0))
    assert one.supporting == (0,)
    assert "2 supporting facts name a sentence that the context does not hold" in caplog.text


def test_a_test_set_has_neither_answers_nor_facts(read):
    (one,) = read({key: ROW[key] for key in ("_id", "question", "context")})
    assert (one.asked.accepted, one.asked.answers, one.facts, one.supporting) == ((), (), (), ())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"context": [["Film"]]}, r"a.json, entry 1: 'context' must hold \[title, \[sentence, …\]\] pairs, got"),
        ({"context": [["Film", ["a", 1]]]}, "'context' must hold"),
        ({"context": [["Film", "a"]]}, "'context' must hold"),
        ({"supporting_facts": [["Film", "0"]]}, r"'supporting_facts' must hold \[title, number\] pairs, got"),
        ({"supporting_facts": [["Film", True]]}, "'supporting_facts' must hold"),
        ({"supporting_facts": ["Film"]}, "'supporting_facts' must hold"),
    ],
)
def test_faults_name_the_entry(read, changes, said):
    with pytest.raises(DataError, match=said):
        read(ROW | changes)


def test_a_multi_hop_question_checks_what_it_is_given():
    asked = Question(name="q", question="?", document="one")
    with pytest.raises(DataError, match="question 'q': yes_no must be 'yes', 'no' or '', got 'maybe'"):
        MultiHopQuestion(asked=asked, yes_no="maybe")
    with pytest.raises(
        DataError, match=r"question 'q': supporting sentences \(1,\) must be numbers of its 1 sentences"
    ):
        MultiHopQuestion(asked=asked, sentences=(Sentence(0, 3, Fact("", 0)),), supporting=(1,))
