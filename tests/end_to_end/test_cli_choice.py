"""From a BERT in the Hub's layout to a model that chooses among candidates, through the command line."""

import json

import pytest
import torch

import reader_models as readers
from choice_cases import as_wikihop, named_value

SETTINGS = {
    "data.train": "train.json",
    "data.validation": "dev.json",
    "start": "bert",
    "task.max_length": 64,
    "task.overlap": 8,
    "training.num_steps": 80,
    "training.batch_size": 16,
    "training.micro_batch_size": 16,
    "training.learning_rate": 2e-3,
    "training.warmup_steps": 10,
    "training.precision": "float32",
    "training.evaluate_every": 80,
    "training.save_every": 80,
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def training(**changes):
    options = [part for name, value in (SETTINGS | changes).items() for part in ("--set", f"{name}={value}")]
    return ["train", "choice.candidates", "--out", "run", *options]


@pytest.fixture(autouse=True)
def _files(tmp_path):
    for name, first, count in (("train", 0, 400), ("dev", 1000, 40)):
        rows = [as_wikihop(named_value(index, num_words=12)) for index in range(first, first + count)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    readers.bert_folder(tmp_path / "bert")


def test_a_model_learns_to_choose_and_is_scored(bigbird, tmp_path):
    code, _, told = bigbird(*training())
    assert code == 0, told
    assert "score it with: bigbird evaluate run/model dev.json" in told
    code, out, told = bigbird("evaluate", "run/model", "dev.json", "--out", "scores.json")
    assert code == 0, told
    assert [line.split("\t")[0] for line in out.splitlines()] == ["accuracy"]
    assert json.loads((tmp_path / "scores.json").read_text())["scores"]["accuracy"]["value"] > 0.8  # chance: 1 / 2
    code, _, told = bigbird("predict", "run/model", "dev.json")
    assert code == 2
    assert "run/model answers questions, and records have none. Score it on a file of questions" in told
    code, _, told = bigbird("evaluate", "run/model", "dev.json", "--genome", "x.fa")
    assert code == 2
    assert "--genome is for records of DNA" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task.max_length": 12, "task.overlap": 4}, "2 candidates have 7 tokens, which leaves no room for new text"),
        ({"data.train": "none.json"}, "none.json"),
        ({"training.context_parallel": 2}, "context"),
    ],
)
def test_what_cannot_be_learned_is_told_in_one_line(bigbird, tmp_path, changes, message):
    code, _, told = bigbird(*training(**changes))
    assert code == 2
    assert message in " ".join(told.split())
    assert not (tmp_path / "run").exists()
