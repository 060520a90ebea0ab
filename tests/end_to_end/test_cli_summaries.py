"""From a BERT in the Hub's layout to a model that writes, through the command line."""

import json
import random

import pytest
import torch

import reader_models as readers
from bigbird.checkpoint import load_model

SETTINGS = {
    "start": "bert",
    "task.max_length": 64,
    "task.generation.max_new_tokens": 8,
    "task.generation.min_new_tokens": 0,
    "task.label_smoothing": 0.0,
    "training.num_steps": 300,
    "training.batch_size": 16,
    "training.micro_batch_size": 16,
    "training.learning_rate": 3e-3,
    "training.warmup_steps": 10,
    "training.precision": "float32",
    "training.evaluate_every": 300,
    "training.save_every": 300,
}
FILES = {"data.train": "train.jsonl", "data.validation": "dev.jsonl"}
VALUES = ["one", "two", "three", "four"]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def training(recipe="summarization.small", **changes):
    options = [part for name, value in (SETTINGS | changes).items() for part in ("--set", f"{name}={value}")]
    return ["train", recipe, "--out", "run", *options]


def named(index):
    """ "so blue red two so" -> "two" """
    chance = random.Random(f"summary {index}")
    words = [chance.choice(["so", "blue"]) for _ in range(6)]
    value = chance.choice(VALUES)
    words[chance.randrange(5)] = f"red {value}"
    return {"name": str(index), "document": " ".join(words), "summary": value}


@pytest.fixture(autouse=True)
def _files(tmp_path):
    for name, first, count in (("train", 0, 400), ("dev", 1000, 20)):
        rows = [json.dumps(named(index)) for index in range(first, first + count)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    asked = json.dumps({**named(0), "name": "7", "query": "red " * 80})
    (tmp_path / "one.jsonl").write_text((tmp_path / "dev.jsonl").read_text() + "\n" + asked)
    readers.bert_folder(tmp_path / "bert")


def test_a_model_learns_to_write_and_is_scored(bigbird, tmp_path):
    code, _, told = bigbird(*training(**FILES))
    assert code == 0, told
    assert "use it with: bigbird summarize FILE --model run/model" in told
    code, out, told = bigbird("evaluate", "run/model", "dev.jsonl", "--out", "scores.json")
    assert code == 0, told
    assert [line.split("\t")[0] for line in out.splitlines()] == ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    assert json.loads((tmp_path / "scores.json").read_text())["scores"]["rouge1"]["value"] > 0.5  # chance: 1 / 4
    code, _, told = bigbird("predict", "run/model", "dev.jsonl")
    assert code == 2
    assert "run/model sums texts up, and records are none. Use it with: bigbird summarize FILE" in told
    code, _, told = bigbird("evaluate", "run/model", "dev.jsonl", "--genome", "x.fa")
    assert code == 2
    assert "--genome is for records of DNA, and run/model sums texts up" in told


def test_a_model_is_scored_on_the_fields_that_its_run_named(bigbird, tmp_path):
    for name in ("train", "dev"):
        rows = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        rows = [{"name": row["name"], "article": row["document"], "highlights": [row["summary"]]} for row in rows]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    few = {"training.num_steps": 1, "training.warmup_steps": 1, "training.evaluate_every": 1}
    named = {"data.fields.document": "article", "data.fields.summary": "highlights"}
    code, _, told = bigbird(*training(**few, **named, **{"data.train": "train.jsonl", "data.validation": "dev.jsonl"}))
    assert code == 0, told
    code, out, told = bigbird("evaluate", "run/model", "dev.jsonl")
    assert (code, out.splitlines()[0].split("\t")[0]) == (0, "rouge1"), told


def test_gaps_are_learned_and_a_run_on_summaries_goes_on_from_them(bigbird, tmp_path):
    (tmp_path / "texts").mkdir()
    for number in range(12):
        chance = random.Random(number)
        text = ". ".join(" ".join(chance.choices(["Red", "one", "so", "blue", "two"], k=5)) for _ in range(5))
        (tmp_path / "texts" / f"{number}.txt").write_text(text + ".")
    few = {"training.num_steps": 4, "training.warmup_steps": 1, "training.evaluate_every": 4}
    code, _, told = bigbird(*training("summarization.gap_sentences", **few, **{"data.sources": "texts"}))
    assert code == 0, told
    assert "go on from it with: bigbird train summarization.small --set start=run/model" in told
    before = load_model(tmp_path / "run" / "model")
    (tmp_path / "run").rename(tmp_path / "gaps")
    again = {"start": "gaps/model", "data.train": "train.jsonl", "data.validation": "dev.jsonl"}
    code, _, told = bigbird(
        *training(**few, **again, **{"training.learning_rate": 1e-12, "training.weight_decay": 0.0})
    )
    assert code == 0, told
    after = load_model(tmp_path / "run" / "model").model.state_dict()
    for name, tensor in before.model.state_dict().items():
        torch.testing.assert_close(after[name], tensor, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.train": "none.jsonl", "data.validation": "dev.jsonl"}, "none.jsonl"),
        ({"data.train": "train.jsonl"}, "data.validation is not set"),
        ({**FILES, "task.generation.max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({**FILES, "task.generation.start_token": 9999}, "generation.start_token must be one of the model's"),
        (
            {**FILES, "data.train": "one.jsonl"},
            "the query of document '7' leaves no room for the document in 64 tokens",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(bigbird, changes, message):
    code, _, told = bigbird(*training(**changes))
    assert code == 2
    assert message in told
    assert "Traceback" not in told
