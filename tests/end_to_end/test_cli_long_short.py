"""From a BERT in the Hub's layout to a model that finds long and short answers, through the command line."""

import json

import pytest
import torch

import reader_models as readers
from long_short_cases import as_natural_questions, needle

SETTINGS = {
    "data.train": "train.jsonl",
    "data.validation": "dev.jsonl",
    "start": "bert",
    "task.max_length": 64,
    "task.overlap": 32,
    "task.max_answer_tokens": 8,
    "task.max_question_tokens": 16,
    "training.num_steps": 50,
    "training.batch_size": 16,
    "training.micro_batch_size": 16,
    "training.learning_rate": 3e-3,
    "training.warmup_steps": 5,
    "training.precision": "float32",
    "training.evaluate_every": 50,
    "training.save_every": 50,
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def training(**changes):
    options = [part for name, value in (SETTINGS | changes).items() for part in ("--set", f"{name}={value}")]
    return ["train", "long_short.answers", "--out", "run", *options]


@pytest.fixture(autouse=True)
def _files(tmp_path):
    for name, first, count in (("train", 0, 400), ("dev", 1000, 40)):
        rows = [as_natural_questions(needle(index)) for index in range(first, first + count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    readers.bert_folder(tmp_path / "bert")


def test_a_model_learns_to_find_answers_and_is_scored(bigbird, tmp_path):
    code, _, told = bigbird(*training())
    assert code == 0, told
    assert "score it with: bigbird evaluate run/model dev.jsonl" in told
    code, out, told = bigbird("evaluate", "run/model", "dev.jsonl", "--out", "scores.json")
    assert code == 0, told
    figures = ["f1", "precision", "recall", "threshold"]
    names = [f"{what}_{figure}" for what in ("long", "short") for figure in figures]
    assert [line.split("\t")[0] for line in out.splitlines()] == names
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert scores["short_f1"]["value"] > 0.5  # chance: a word of 20
    code, _, told = bigbird("predict", "run/model", "dev.jsonl")
    assert code == 2
    assert "run/model answers questions, and records have none. Score it on a file of questions" in told


def test_what_cannot_be_learned_is_told_in_one_line(bigbird, tmp_path):
    code, _, told = bigbird(*training(**{"task.max_question_tokens": 2}))
    assert code == 2
    assert "tokens; at most 2 are read. Shorten it" in " ".join(told.split())
    assert not (tmp_path / "run").exists()
