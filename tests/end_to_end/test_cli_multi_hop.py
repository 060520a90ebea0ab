"""From a BERT in the Hub's layout to answers with supporting sentences, through the command line."""

import json

import pytest
import torch

import multi_hop_cases as cases
import reader_models as readers
from bigbird.checkpoint import load_model, save_model

SETTINGS = {
    "task.max_length": 64,
    "task.max_question_tokens": 16,
    "task.overlap": 16,
    "task.max_answer_tokens": 8,
    "training.batch_size": 8,
    "training.micro_batch_size": 8,
    "training.learning_rate": 3e-3,
    "training.warmup_steps": 4,
    "training.precision": "float32",
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _files(tmp_path):
    (tmp_path / "train.json").write_text(json.dumps([cases.entry(index) for index in range(24)]))
    (tmp_path / "dev.jsonl").write_text("".join(f"{json.dumps(cases.entry(index))}\n" for index in range(24, 30)))
    readers.bert_folder(tmp_path / "bert")


def training(out, **changes):
    values = {"data.train": "train.json", "data.validation": "dev.jsonl", "start": "bert"} | SETTINGS | changes
    options = [part for name, value in values.items() if value for part in ("--set", f"{name}={value}")]
    return ["train", "multi_hop.small", "--out", out, *options]


def test_a_reader_is_trained_scored_and_asked(bigbird, tmp_path):
    steps = {"training.num_steps": 12, "training.evaluate_every": 6, "training.save_every": 6}
    code, _, told = bigbird(*training("run", **steps))
    assert code == 0, told
    assert "score it with: bigbird evaluate run/model dev.jsonl" in told
    events = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [event["loss"] for event in events if event["event"] == "step"]
    assert losses[-1] < losses[0]

    code, out, told = bigbird("evaluate", "run/model", "dev.jsonl", "--out", "scores.json")
    assert code == 0, told
    names = [f"{what}_{figure}" for what in ("answer", "support", "joint") for figure in ("exact_match", "f1")]
    assert [line.split("\t")[0] for line in out.splitlines()] == names
    assert list(json.loads((tmp_path / "scores.json").read_text())["scores"]) == names

    code, out, told = bigbird("predict", "run/model", "dev.jsonl")
    assert code == 0, told
    head, *rows = [line.split("\t") for line in out.splitlines()]
    assert head == ["name", "answer", "score", "start", "end", "supporting sentences"]
    assert [row[0] for row in rows] == [f"hop {index}" for index in range(24, 30)]
    code, _, told = bigbird("predict", "run/model", "dev.jsonl", "--out", "said.json")
    assert code == 0, told
    official = json.loads((tmp_path / "said.json").read_text())
    assert official["answer"] == {row[0]: row[1] for row in rows}
    assert official["sp"] == {row[0]: [fact[:2] for fact in json.loads(row[5])] for row in rows}
    assert all(len(facts) >= 2 for facts in official["sp"].values())

    (tmp_path / "twice.jsonl").write_text((tmp_path / "dev.jsonl").read_text() * 2)
    code, _, told = bigbird("predict", "run/model", "twice.jsonl", "--out", "twice.json")
    assert code == 2
    assert "each question is known by its name, and some of these have the same" in " ".join(told.split())
    code, _, told = bigbird("evaluate", "run/model", "dev.jsonl", "--genome", "dev.jsonl")
    assert code == 2
    assert "--genome is for records of DNA, and run/model answers questions about texts" in " ".join(told.split())


def test_a_run_that_goes_on_is_the_run_that_never_stopped(bigbird, tmp_path):
    def losses(folder):
        events = map(json.loads, (tmp_path / folder / "metrics.jsonl").read_text().splitlines())
        return [event["loss"] for event in events if event["event"] == "step"]

    steps = {"training.evaluate_every": 2, "training.save_every": 2}
    assert bigbird(*training("whole", **steps, **{"training.num_steps": 4}))[0] == 0
    assert bigbird(*training("parts", **steps, **{"training.num_steps": 2}))[0] == 0
    assert bigbird(*training("parts", **steps, **{"training.num_steps": 4}), "--resume")[0] == 0
    assert losses("parts") == losses("whole")
    assert len(losses("whole")) == 4


def test_a_reader_of_spans_hands_on_what_finds_them(bigbird, tmp_path):
    tokenizer = readers.TextTokenizer.from_folder(tmp_path / "bert")
    save_model(tmp_path / "spans", readers.reader(readers.SMALL, tokenizer, max_length=64))
    steps = {"training.num_steps": 1, "training.learning_rate": 1e-12, "start": "spans"}
    assert bigbird(*training("run", **steps))[0] == 0
    one, other = (load_model(tmp_path / name).model.state_dict() for name in ("spans", "run/model"))
    assert "ends.weight" in one
    assert all(torch.allclose(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": None}, "begins from one that has read much text; with random weights it would learn next to"),
        ({"task.max_question_tokens": 2}, "tokens; at most 2 are read. Shorten it"),
        ({"data.train": "test.json"}, "no answer to question 'hop 0' is known, so nothing can be learned from it"),
        ({"data.train": "bert/vocab.txt"}, "questions with supporting sentences are read from .json and .jsonl files"),
    ],
)
def test_what_cannot_be_learned_is_told_in_one_line(bigbird, tmp_path, changes, message):
    unanswered = {"_id", "question", "context"}
    entry = {name: value for name, value in cases.entry(0).items() if name in unanswered}
    (tmp_path / "test.json").write_text(json.dumps([entry]))
    code, _, told = bigbird(*training("run", **{"training.num_steps": 1} | changes))
    assert code == 2
    assert message in " ".join(told.split())
    assert "Traceback" not in told
