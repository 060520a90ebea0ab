"""The shared question sets become files that the readers take, and comparisons of scores say what differs."""

import gzip
import importlib
import json
import sys
from pathlib import Path

import pytest

from bigbird.data.hotpotqa_files import read_hotpotqa
from bigbird.data.question_lines import read_questions

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

DOCUMENT = "It ends on 1 May."
ASKED = {"question": "When?", "answers": [{"text": "1 May", "answer_start": 11}], "is_impossible": False}
PARAGRAPHS = [["Film", ["A film.", " With Shirley."]], ["Shirley", ["A chief."]]]
HOTPOT = {"question": "What?", "answer": "chief", "supporting_facts": [["Shirley", 0]], "context": PARAGRAPHS}
FILES = {
    "cuad/cuad": [
        {"title": "Lease", "context": DOCUMENT, "qas": [ASKED | {"id": "a"}, {**ASKED, "id": "b", "answers": []}]}
    ],
    "covidqa/covidqa": [{"document_id": 630, "context": DOCUMENT, "qas": [ASKED | {"id": 7}]}],
    "hotpotqa/hotpot_sp": [HOTPOT | {"id": "x", "split": "train"}, HOTPOT | {"id": None, "split": "dev"}],
    "hotpotqa/hotpot_dev500": [
        {
            "id": "y",
            "question": "What?",
            "answers": ["chief", "a chief"],
            "paragraphs": [{"title": t, "text": "".join(s), "supporting": t == "Film"} for t, s in PARAGRAPHS],
        }
    ],
    "musique/musique_train100": [
        {
            "id": "z",
            "question": "Who?",
            "answer": "G. Hall",
            "answer_aliases": ["Hall"],
            "paragraphs": [
                {"idx": n, "title": "T", "paragraph_text": text, "is_supporting": n == 1}
                for n, text in enumerate(["Nobody.", "Hall came."])
            ],
        }
    ],
    "2wiki/corpus": [{"title": str(n), "text": f"Number {n}."} for n in range(20)],
    "2wiki/questions": [
        {"_id": "w", "type": "comparison", "question": "?", "answer": "yes", "supporting_facts": [["3", 0], ["4", 1]]}
    ],
}


@pytest.fixture
def benchmark(monkeypatch):
    """A script of the folder as a module, with what it imports from there."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("question_data", "question_scores", "question_cases"):
            del sys.modules[name]


@pytest.fixture
def written(benchmark, monkeypatch, tmp_path):
    rows = {name: [dict(row) for row in some] for name, some in FILES.items()}
    rows["cuad/cuad"][0]["qas"][1]["is_impossible"] = True
    for name, some in rows.items():
        path = tmp_path / "data" / f"{name}.jsonl.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in some).encode()))
    arguments = [str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--paragraphs", "6"]
    monkeypatch.setattr(sys, "argv", ["question_data.py", *arguments])
    benchmark("question_data").main()
    return tmp_path / "out"


def test_contracts_and_articles_become_plain_questions(written):
    one, other = read_questions(written / "cuad.jsonl")
    assert (one.name, one.title, one.answers, one.accepted) == ("a", "Lease", ((11, 16),), ("1 May",))
    assert (other.name, other.is_impossible) == ("b", True)
    (covid,) = read_questions(written / "covidqa.jsonl")
    assert (covid.name, covid.title, covid.answers) == ("7", "630", ((11, 16),))


def test_multi_hop_sets_become_files_in_hotpotqas_format(written):
    one, other = read_hotpotqa(written / "hotpotqa.jsonl")
    assert (one.asked.name, other.asked.name, one.facts) == ("x", "dev-1", (("Shirley", 0),))
    (dev,) = read_hotpotqa(written / "hotpotqa_dev.jsonl")
    assert (dev.asked.accepted, dev.facts, len(dev.sentences)) == (("chief", "a chief"), (("Film", 0),), 2)
    (musique,) = read_hotpotqa(written / "musique.jsonl")
    assert musique.facts == (("T (1)", 0),)
    assert [musique.asked.document[start:end] for start, end in musique.asked.answers] == ["Hall"]


def test_distractors_are_drawn_for_a_questions_name(written):
    (one,) = read_hotpotqa(written / "2wiki.jsonl")
    titles = [sentence.fact.title for sentence in one.sentences]
    assert len(titles) == len(set(titles)) == 6
    assert {"3", "4"} < set(titles)
    assert (one.yes_no, one.kind, set(one.facts)) == ("yes", "comparison", {("3", 0), ("4", 0)})


def test_a_difference_is_written_and_ends_the_run(benchmark, monkeypatch, tmp_path):
    scores = benchmark("question_scores")
    compared = benchmark("question_cases.official").Compared

    def case(difference):
        return lambda *_: compared(3, {"f1": (0.5, 0.5 + difference), "exact": (1.0, 1.0)}, {"evaluate.py": "00"})

    monkeypatch.setattr(scores, "CASES", {"same": case(0), "other": case(0.001)})
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 2)
    out = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["question_scores.py", "scripts", "--questions", "questions", "--out", str(out)])
    with pytest.raises(SystemExit, match="scores differ from the official ones"):
        scores.main()
    same, other = json.loads(out.read_text())["results"]
    assert (same["task"], same["num_answers"], same["equal"], same["largest_difference"]) == ("same", 9, True, 0)
    assert (other["equal"], other["largest_difference"]) == (False, pytest.approx(0.001))


def test_the_kept_comparison_found_no_difference_on_a_thousand_answers_a_task():
    kept = json.loads((BENCHMARKS / "results/question_scores.json").read_text())
    assert all(one["equal"] and one["num_answers"] >= 1000 for one in kept["results"])
    assert len(kept["results"]) == 8
