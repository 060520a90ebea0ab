"""From a corpus to a pretrained model and its figures, on the command line."""

import json
import re
from dataclasses import replace

import pytest

from bigbird.checkpoint import load_model, save_model
from bigbird.data.prepared import PreparedCorpus
from bigbird.interop.huggingface import save
from bigbird.interop.starting import read_start
from bigbird.tasks import MaskedLM
from helpers import YES_NO, loaded_model
from hub_folders import CONFIG, hub_folder
from small_corpora import dna_corpus, text_corpus


def settings(*pairs):
    return [part for pair in pairs for part in ("--set", pair)]


SHORT = settings(
    "data.corpus=corpus",
    "data.row_length=128",
    "data.block_size=16",
    "task.max_length=128",
    "training.num_steps=2",
    "training.batch_size=2",
    "training.micro_batch_size=1",
    "training.warmup_steps=0",
    "training.precision=float32",
)
TINY = settings(
    "start.encoder.hidden_size=16",
    "start.encoder.inner_size=32",
    "start.encoder.num_heads=2",
    "start.encoder.num_layers=1",
    "start.encoder.max_length=256",
    "start.encoder.pattern.block_size=16",
)


@pytest.mark.parametrize(
    ("recipe", "corpus"),
    [("text.pretrain", text_corpus), ("text.pretrain_base", text_corpus), ("genomics.pretrain_prepared", dna_corpus)],
)
def test_from_a_corpus_to_a_model_and_its_bits_per_letter(bigbird, tmp_path, recipe, corpus):
    corpus(tmp_path)
    code, _, said = bigbird("train", recipe, "--out", "run", *SHORT, *TINY)
    assert code == 0, said
    assert json.loads((tmp_path / "run/model/config.json").read_text())["task"]["name"] == "masked-lm"
    assert said.rstrip().endswith("the best model is in run/model; score it with: bigbird evaluate run/model corpus")
    notes = load_model(tmp_path / "run/model").notes
    assert notes["corpus_sha256"] == PreparedCorpus.open(tmp_path / "corpus").sha256
    figures = {}
    for length in (64, 128):
        arguments = ("evaluate", "run/model", "corpus", "--row-length", length, "--out", "figures.json")
        code, out, said = bigbird(*arguments)
        assert code == 0, said
        assert out.startswith("bits_per_letter\t")
        figures[length] = json.loads((tmp_path / "figures.json").read_text())["scores"]["bits_per_letter"]["value"]
    assert figures[64] == pytest.approx(figures[128], rel=0.2)
    code, out, _ = bigbird("evaluate", "run/model", "corpus")  # as many tokens as the task reads
    assert code == 0
    assert out == f"bits_per_letter\t{out.split()[1]} {' '.join(out.split()[2:])}\n"
    assert float(out.split()[1]) == pytest.approx(figures[128], abs=1e-3)


def test_the_base_recipe_makes_a_model_that_can_be_published(bigbird, tmp_path):
    text_corpus(tmp_path)
    assert bigbird("train", "text.pretrain_base", "--out", "run", *SHORT, *TINY)[0] == 0
    loaded = load_model(tmp_path / "run/model")
    save(loaded.model, tmp_path / "published")
    loaded.tokenizer.save(tmp_path / "published")
    start = read_start(str(tmp_path / "published"), loaded.task)
    assert start.encoder == loaded.encoder
    assert all((start.weights[name] == tensor).all() for name, tensor in loaded.model.state_dict().items())


def test_from_a_published_model_with_its_tokenizer(bigbird, tmp_path):
    text_corpus(tmp_path)
    tokenizer = PreparedCorpus.open(tmp_path / "corpus").load_tokenizer()
    folder = hub_folder(tmp_path / "published", config=replace(CONFIG, vocab_size=tokenizer.vocab_size))
    tokenizer.save(folder)
    code, _, said = bigbird("train", "text.pretrain", "--out", "run", *SHORT, *settings("start=published"))
    assert code == 0, said
    loaded = load_model(tmp_path / "run/model")
    assert loaded.notes["start"] == "published"
    assert loaded.encoder == replace(CONFIG, vocab_size=tokenizer.vocab_size)


def test_next_segments_are_learned_on_request(bigbird, tmp_path):
    text_corpus(tmp_path)
    pairs = settings("task.next_segment=true", "start.encoder.num_token_types=2")
    code, _, said = bigbird("train", "text.pretrain", "--out", "run", *SHORT, *TINY, *pairs)
    assert code == 0, said
    assert "order_accuracy" in load_model(tmp_path / "run/model").notes["validation"]
    code, out, said = bigbird("evaluate", "run/model", "corpus")
    assert (code, out.split()[0]) == (0, "bits_per_letter"), said
    assert "order_accuracy" not in out  # the documents are scored whole, not as pairs


def test_a_run_goes_on_with_its_own_corpus_alone(bigbird, tmp_path):
    text_corpus(tmp_path)
    assert bigbird("train", "text.pretrain", "--out", "run", *SHORT, *TINY)[0] == 0
    longer = ("train", "run/run.json", "--out", "run", "--resume", *settings("training.num_steps=3"))
    code, _, said = bigbird(*longer)
    assert code == 0, said
    for name in ("corpus", "texts"):
        (tmp_path / name).rename(tmp_path / f"first {name}")
    code, _, said = bigbird(*longer, *settings("data.corpus=first corpus", "training.num_steps=4"))
    assert (code, "goes on from the state of step 3" in said) == (0, True), said
    longer = (*longer, *settings("data.corpus=corpus"))
    text_corpus(tmp_path, num_documents=11)
    code, _, said = bigbird(*longer)
    assert code == 2
    assert re.search(r"run was begun with the corpus whose .* SHA-256 \w{12}, now it is \w{12}", said)


def other_model(folder):
    """A masked model of DNA, beside a corpus of text."""
    save_model(folder / "dna", loaded_model(MaskedLM(max_length=128)))
    save_model(folder / "classes", loaded_model(YES_NO))
    text = PreparedCorpus.open(folder / "corpus").load_tokenizer()
    save_model(folder / "text", loaded_model(MaskedLM(max_length=128), tokenizer=text))


MISTAKES = {
    "a run without a corpus": (["train", "text.pretrain", "--out", "run"], r"data.corpus is not set"),
    "a tokenizer beside that of the corpus": (
        ["train", "text.pretrain", "--out", "run", *SHORT, *TINY, "--set", "start.tokenizer=bpe"],
        r"start.tokenizer is 'bpe', but the corpus is in tokens already; set start.tokenizer=corpus",
    ),
    "a corpus' tokenizer without a corpus": (
        ["train", "genomics.classification", "--out", "run", "--set", "start.tokenizer=corpus",
         "--set", "data.train=dev.csv", "--set", "data.validation=dev.csv"],
        r"start.tokenizer is 'corpus', but only a prepared corpus has a tokenizer; choose bpe",
    ),
    "a start with another tokenizer": (
        ["train", "text.pretrain", "--out", "run", *SHORT, "--set", "start=dna"],
        r"start dna has another tokenizer \(\w{12}\) than the corpus \(\w{12}\).* --tokenizer FOLDER",
    ),
    "blocks of another size": (
        ["train", "text.pretrain", "--out", "run", *SHORT, *TINY, "--set", "data.block_size=32"],
        r"data.block_size is 32, the model's pattern has blocks of 16. Set data.block_size=16",
    ),
    "next segments without a corpus": (
        ["train", "genomics.pretrain", "--out", "run", "--set", "task.next_segment=true", "--set",
         'data.genomes=["genome.fa"]', "--set", 'data.train_regions=["chr1"]', "--set",
         'data.validation_regions=["chr2"]'],
        r"task.next_segment needs documents that were cut into rows",
    ),
    "rows longer than the task reads": (
        ["train", "text.pretrain", "--out", "run", *SHORT, *TINY, "--set", "task.max_length=64"],
        r"up to 128 tokens, more than task.max_length 64. Give data.row_length=64",
    ),
    "next segments without types of tokens": (
        ["train", "text.pretrain", "--out", "run", *SHORT, *TINY, "--set", "task.next_segment=true"],
        r"bigbird: task.next_segment tells the segments apart .* set start.encoder.num_token_types=2$",
    ),
    "records for a model of text": (
        ["predict", "text", "dev.csv"],
        r"text reads text, and records are DNA. To score it: bigbird prepare TEXTS --out corpus --tokenizer text, then",
    ),
    "records to score a model of text": (["evaluate", "text", "dev.csv"], r"text reads text, and records are DNA"),
    "rows that are no whole blocks": (
        ["evaluate", "dna", "corpus", "--row-length", "100"],
        r"--row-length must be a multiple of the 16 tokens of a block of dna, got 100",
    ),
    "rows of nothing": (["evaluate", "dna", "corpus", "--row-length", "0"], r"invalid value for '--row-length': "),
    "a genome beside a corpus": (
        ["evaluate", "dna", "corpus", "--genome", "genome.fa"],
        r"--genome is for records that name places; a corpus has its letters already",
    ),
    "a region beside a corpus": (
        ["evaluate", "dna", "corpus", "--region", "chr1"],
        r"--region is for a file of peaks \(.bed, .narrowPeak\), and corpus is a folder",
    ),
    "a corpus for a model of other tokens": (
        ["evaluate", "dna", "corpus"],
        r"model dna has another tokenizer",
    ),
    "a corpus for a classifier": (["evaluate", "classes", "corpus"], r"classes is no masked language model"),
    "rows longer than the model reads": (
        ["evaluate", "dna", "corpus", "--row-length", "1024"],
        r"--row-length 1024 is more than the 512 tokens dna reads",
    ),
    "rows of a table": (
        ["evaluate", "classes", "dev.csv", "--row-length", "64"],
        r"--row-length is for a corpus made by bigbird prepare, and dev.csv is no folder",
    ),
    "a folder that is no corpus": (["evaluate", "dna", "texts"], r"texts is no prepared corpus"),
}  # fmt: skip


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    text_corpus(folder)
    other_model(folder)
    (folder / "genome.fa").write_text(f">chr1\n{'ACGT' * 2000}\n>chr2\n{'ACGT' * 2000}\n")
    (folder / "dev.csv").write_text("sequence,label\nACGT,a\nACGG,b\n")
    return folder


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(bigbird, corpora, monkeypatch, mistake):
    monkeypatch.chdir(corpora)
    arguments, message = MISTAKES[mistake]
    code, out, said = bigbird(*arguments)
    assert (code, out) == (2, ""), said
    assert said.count("\n") == 1, said
    assert re.search(message, said), said
    assert not (corpora / "run").exists()
