"""From a BERT in the Hub's layout to a reader that answers, through the command line."""

import json

import pytest
import torch

import reader_models as readers
from bigbird.checkpoint import load_model, save_model
from bigbird.reading.reader import Reader
from bigbird.tasks import SpanQA

SETTINGS = {
    "task.max_length": 64,
    "task.max_question_tokens": 16,
    "task.overlap": 16,
    "task.max_answer_tokens": 8,
    "training.batch_size": 16,
    "training.micro_batch_size": 16,
    "training.learning_rate": 3e-3,
    "training.warmup_steps": 20,
    "training.precision": "float32",
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write(path, questions):
    rows = [
        {
            "name": question.name,
            "question": question.question,
            "document": question.document,
            "answers": [list(span) for span in question.answers],
            "is_impossible": question.is_impossible,
        }
        for question in questions
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def needles(first, count):
    return [readers.needle(index, num_words=24, is_impossible=index % 4 == 0) for index in range(first, first + count)]


@pytest.fixture(autouse=True)
def _files(tmp_path):
    write(tmp_path / "train.jsonl", needles(0, 400))
    write(tmp_path / "dev.jsonl", needles(1000, 40))
    readers.bert_folder(tmp_path / "bert")


def training(out, **changes):
    values = {"data.train": "train.jsonl", "data.validation": "dev.jsonl", "start": "bert"} | SETTINGS | changes
    options = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    return ["train", "question_answering.spans", "--out", out, *options]


def losses(folder):
    events = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [event["loss"] for event in events if event["event"] == "step"]


def test_a_reader_learns_to_find_needles_and_is_scored_and_asked(bigbird, tmp_path):
    steps = {"training.num_steps": 300, "training.evaluate_every": 150, "training.save_every": 150}
    code, _, told = bigbird(*training("run", **steps))
    assert code == 0, told
    assert "score it with: bigbird evaluate run/model dev.jsonl" in told
    code, out, told = bigbird("evaluate", "run/model", "dev.jsonl", "--out", "scores.json")
    assert code == 0, told
    assert [line.split("\t")[0] for line in out.splitlines()] == ["exact_match", "f1", "no_answer_accuracy"]
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    # Always "no answer" is right for a quarter; a word drawn from 24 is nearly never right.
    assert scores["exact_match"]["value"] > 0.4
    question = needles(1000, 2)[1]
    found = Reader.load("run/model", device="cpu").ask(question.document, question.question)
    assert all(question.document[a.start : a.end] == a.text for a in found.answers)
    write(tmp_path / "other.jsonl", needles(2000, 60))
    code, out, told = bigbird("calibrate", "run/model", "other.jsonl", "--out", "calibrated")
    assert code == 0, told
    before, after = map(float, out.splitlines()[0].removeprefix("nats per question\t").split(" -> "))
    assert after < before
    task = load_model(tmp_path / "calibrated").task
    assert f"temperature\t{task.temperature:.4f}\nno_answer_offset\t{task.no_answer_offset:.4f}" in out
    assert (task.temperature, task.no_answer_offset) != (1.0, 0.0)
    code, _, told = bigbird("predict", "run/model", "dev.jsonl")
    assert code == 2
    assert "run/model answers questions, and records have none. Ask it: bigbird ask; or score it" in told


def test_a_run_that_goes_on_is_the_run_that_never_stopped(bigbird, tmp_path):
    steps = {"training.evaluate_every": 2, "training.save_every": 2}
    assert bigbird(*training("whole", **steps, **{"training.num_steps": 4}))[0] == 0
    assert bigbird(*training("parts", **steps, **{"training.num_steps": 2}))[0] == 0
    assert bigbird(*training("parts", **steps, **{"training.num_steps": 4}), "--resume")[0] == 0
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == 4


def test_a_reader_goes_on_from_a_reader(bigbird, tmp_path):
    task = SpanQA(max_length=64, max_question_tokens=16, overlap=16, max_answer_tokens=8)
    tokenizer = readers.TextTokenizer.from_folder(tmp_path / "bert")
    save_model(tmp_path / "first", readers.reader(task, tokenizer, max_length=64))
    steps = {"training.num_steps": 1, "training.learning_rate": 1e-12, "start": "first"}
    assert bigbird(*training("second", **steps))[0] == 0
    one, other = (load_model(tmp_path / name).model.state_dict() for name in ("first", "second/model"))
    assert all(torch.allclose(one[name], other[name]) for name in one)  # the head too


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"start": None},
            r"begins from one that has read much text; with random weights it would learn next to nothing",
        ),
        ({"data.train": "none.jsonl"}, "none.jsonl"),
        ({"task.max_question_tokens": 2}, "tokens; at most 2 are read. Shorten it"),
        ({"training.context_parallel": 2}, "context"),
    ],
)
def test_what_cannot_be_learned_is_told_in_one_line(bigbird, changes, message):
    arguments = training("run", **{"training.num_steps": 1} | changes)
    if changes.get("start", "") is None:
        place = arguments.index("start=None")
        del arguments[place - 1 : place + 1]
    code, _, told = bigbird(*arguments)
    assert code == 2
    assert message in " ".join(told.split())
    assert "Traceback" not in told
