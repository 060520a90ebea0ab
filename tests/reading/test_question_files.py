"""Questions from files."""

import sys
from pathlib import Path

import pytest

from bigbird.errors import DataError, MissingDependency
from bigbird.reading.asking import AskedQuestion
from bigbird.reading.question_files import named_questions, read_questions

CLAUSES = Path(__file__).parents[2] / "examples" / "clauses.yaml"
ASKED = [AskedQuestion("End", "When does it end?"), AskedQuestion("Law", "Which law?")]
UNNAMED = [AskedQuestion(question, question) for _, question in ASKED]


def read(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return read_questions(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "End: When does\n  it end?\nLaw: 'Which law?'\n"),
        ("a.yml", "- {name: End, question: 'When does it end?'}\n- name: Law\n  question: Which law?\n"),
        ("a.json", '\ufeff{"End": "When does it  end?", "Law": "Which law?"}'),
        ("a.json", '[{"question": "When does it end?", "name": "End"}, {"name": "Law", "question": "Which law?"}]'),
    ],
)
def test_named_questions_come_in_the_order_of_the_file(tmp_path, name, text):
    assert read(tmp_path, name, text) == ASKED


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "# mine\nWhen does it end?\r\n\r\n  Which law?  \n"),
        ("a.yaml", "- When does it end?\n- question: Which law?\n"),
        ("a.json", '["When does it end?", "Which law?"]'),
    ],
)
def test_a_question_without_a_name_goes_by_its_words(tmp_path, name, text):
    assert read(tmp_path, name, text) == UNNAMED


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "x", r"a.csv is no file of questions by its ending '.csv'\. Give a .txt, .yaml or .json\."),
        (
            "a.txt",
            "# none\n\n",
            r"a.txt holds no question\. Write a list of questions, \"name: question\" for each, or",
        ),
        ("a.txt", b"\xff\xfe\xfa", r"a.txt:1: byte 1 is not UTF-8 text"),
        ("a.txt", "Why?\nWhy?\n", r"a.txt has two questions of the name 'Why\?'\. Give each a name of its own\."),
        ("a.json", "{", r"a.json is not valid JSON: Expecting"),
        ("a.json", '{"a": "b?", "a": "c?"}', r"a.json has 'a' twice\. Give each question a name of its own\."),
        ("a.json", "7", r"a.json holds int '7'\. Write a list of questions"),
        ("a.json", "[" * 100_000, r"a.json is not valid JSON: "),
        ("a.yaml", "a: b: c", r"a.yaml is not valid YAML: mapping values are not allowed here"),
        ("a.yaml", "a: b\na: c\n", r"a.yaml has 'a' twice"),
        ("a.yaml", "", r"a.yaml is empty\. Write a list"),
        (
            "a.yaml",
            "a: !!python/object/apply:os.system [ls]",
            r"a.yaml is not valid YAML: could not determine a construc",
        ),
        (
            "a.yaml",
            "- nmae: a\n  question: b?",
            r"question 1 has an unknown field 'nmae'; did you mean 'name'\? It may have n",
        ),
        ("a.yaml", "- name: a", r"a.yaml: question 1: its field question is missing"),
        ("a.yaml", "- {name: , question: b}", r"a.yaml: question 1: its name is missing"),
        ("a.yaml", "Yes: why?", r"a.yaml: the name True is True, which is no text; put it in quotes"),
        (
            "a.yaml",
            "a: 1999-05-01",
            r"a.yaml: the question of 'a' is datetime.date\(1999, 5, 1\), which is no text; put it",
        ),
        ("a.yaml", "- ' '", r"a.yaml: question 1 is empty\. Write a list"),
        ("a.yaml", "- a?\n- a?", r"a.yaml has two questions of the name 'a\?'"),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message) as told:
        read(tmp_path, name, text)
    assert "\n" not in str(told.value)


def test_without_yaml_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(
        MissingDependency, match=r"a.yaml needs yaml, which is not installed\. Run: pip install 'bigbird\["
    ):
        read(tmp_path, "a.yaml", "- a?")


def test_no_question_at_all_is_an_error():
    with pytest.raises(DataError, match=r"^what is asked holds no question\."):
        named_questions([], source="what is asked")


def test_the_41_clauses_can_be_asked():
    questions = read_questions(CLAUSES)
    assert len(questions) == 41
    assert all(
        one.question.startswith(f'Highlight the parts (if any) of this contract related to "{one.name}" that ')
        for one in questions
    )
    assert "CC BY 4.0" in CLAUSES.read_text().splitlines()[5]
