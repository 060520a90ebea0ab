"""The benchmark of held-out documents: several models and lengths, paired by document."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from bigbird.checkpoint import save_model
from bigbird.data.prepared import PreparedCorpus
from bigbird.errors import ConfigError
from bigbird.tasks import MaskedLM
from helpers import YES_NO, loaded_model
from small_corpora import text_corpus

SCRIPT = Path(__file__).parents[2] / "benchmarks/held_out.py"


@pytest.fixture
def held_out(monkeypatch, tmp_path):
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 20)
    monkeypatch.chdir(tmp_path)
    tokenizer = PreparedCorpus.open(text_corpus(tmp_path)).load_tokenizer()
    for seed, name in enumerate(("one", "other")):
        save_model(tmp_path / name, loaded_model(MaskedLM(unit="word", max_length=64), tokenizer=tokenizer, seed=seed))
    save_model(tmp_path / "classes", loaded_model(YES_NO))
    module = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location("held_out", SCRIPT))
    spec.loader.exec_module(module)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["held_out.py", "--corpus", "corpus", *arguments, "--out", "out.json"])
        module.main()
        return json.loads((tmp_path / "out.json").read_text())

    return run


def test_models_and_lengths_are_scored_on_the_same_documents(held_out):
    written = held_out("--model", "a=one", "--model", "other", "--row-length", "32", "--row-length", "128")
    results = written["results"]
    assert [(one["model"], one["row_length"]) for one in results] == [
        ("a", 32), ("a", 128), ("other", 32), ("other", 128)
    ]  # fmt: skip
    assert results[0]["minus_first"] == [0, 0, 0]
    assert len({one["num_documents"] for one in results}) == 1
    assert max(one["hidden_letters"] for one in results) < 1.1 * min(one["hidden_letters"] for one in results)
    for one in results:
        value, low, high = one["bits_per_letter"]
        assert low <= value <= high
        parts = one["by_document"].values()
        assert value == pytest.approx(sum(part["bits"] for part in parts) / sum(part["letters"] for part in parts))
        assert one["minus_first"][0] == pytest.approx(value - results[0]["bits_per_letter"][0])
    assert written["corpus_sha256"] == PreparedCorpus.open("corpus").sha256
    assert written["about"]["threads"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "classes", "--row-length", "32"), "classes is no masked language model"),
        (("--model", "one", "--row-length", "1024"), "one reads 512 tokens; --row-length 1024 is more"),
    ],
)
def test_what_cannot_be_scored_is_refused(held_out, arguments, message):
    with pytest.raises(ConfigError, match=message):
        held_out(*arguments)
