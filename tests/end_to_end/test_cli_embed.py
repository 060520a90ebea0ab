"""`bigbird embed` as people use it."""

import re

import numpy as np
import pytest

from bigbird.checkpoint import save_model
from bigbird.tasks import MaskedLM
from bigbird.tokenizers.train_text import train_text_tokenizer
from helpers import STRANDED, YES_NO, dna, loaded_model

TEXT = train_text_tokenizer(["the elephant sat", "an elephant ran home"] * 9, vocab_size=300)


@pytest.fixture
def files(tmp_path):
    """A genome, places on it, texts, and models that read them."""
    (tmp_path / "genome.fa").write_text(f">chr1\n{dna(3_000, 1)}\n")
    (tmp_path / "sites.bed").write_text("1\t100\t200\tone\t0\t-\nchr1\t0\t50\n")
    (tmp_path / "texts.jsonl").write_text('{"text": "the elephant ran"}\n{"text": ""}\n{"text": "sat"}\n')
    save_model(tmp_path / "windows", loaded_model(YES_NO))
    save_model(tmp_path / "tokens", loaded_model(STRANDED))
    save_model(tmp_path / "guesses", loaded_model(MaskedLM(max_length=64)))
    save_model(tmp_path / "text", loaded_model(MaskedLM(max_length=64), tokenizer=TEXT))
    return tmp_path


def test_places_of_a_bed_file_become_vectors_with_their_names(bigbird, files):
    arguments = ("sites.bed", "--genome", "genome.fa", "--out", "e.npy", "--strands", "both")
    code, out, said = bigbird("embed", "windows", *arguments)
    assert (code, out) == (0, "")
    assert said.endswith("2 records of 16 numbers each are in e.npy\n")
    assert np.load(files / "e.npy").shape == (2, 16)
    assert (files / "e.tsv").read_text().splitlines()[1:] == [
        "one\tchr1\t100\t200\t-",
        "chr1:1-50\tchr1\t0\t50\t.",
    ]


@pytest.mark.parametrize("model", ["windows", "tokens", "guesses"])
def test_tokens_of_every_model_of_dna(bigbird, files, model):
    code, _, said = bigbird("embed", model, "genome.fa", "--out", "e.npy", "--pool", "none", "--layer", "-2")
    assert (code, said) == (0, "3,000 tokens of 16 numbers each are in e.npy\n")
    assert np.load(files / "e.npy").shape == (3_000, 16)


def test_texts_for_a_model_that_reads_text(bigbird, files):
    code, _, said = bigbird("embed", "text", "texts.jsonl", "--out", "e.npy")
    assert code == 0, said
    names = [line.split("\t")[0] for line in (files / "e.tsv").read_text().splitlines()[1:]]
    assert names == ["texts.jsonl:1", "texts.jsonl:3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["windows", "genome.fa", "--out", "e.csv"], r"e\.csv must end in \.npy, \.parquet, \.h5ad"),
        (
            ["windows", "genome.fa", "--out", "e.npy", "--pool", "sum"],
            r"'sum' is not one of 'mean', 'first', 'max', 'none'",
        ),
        (["windows", "genome.fa", "--out", "e.npy", "--strands", "-"], r"'-' is not one of 'given', 'both'"),
        (["windows", "genome.fa", "--out", "e.npy", "--layer", "9"], r"layer must be from 0 .* got 9"),
        (["windows", "genome.fa", "--out", "e.npy", "--pool", "none", "--strands", "both"], r"averages pooled"),
        (["windows", "sites.bed", "--out", "e.npy"], r"give the genome they lie on with --genome FASTA"),
        (["text", "texts.jsonl", "--out", "e.npy", "--strands", "both"], r"are for DNA, and this model reads text"),
        (["text", "nowhere.txt", "--out", "e.npy"], r"nowhere\.txt"),
        (["windows", "genome.fa"], r"missing option '--out'"),
    ],
)
def test_mistakes_are_told_in_one_line_and_leave_no_file(bigbird, files, arguments, message):
    code, _, said = bigbird("embed", *arguments)
    assert (code, said.count("\n")) == (2, 1), said
    assert re.search(message, said)
    assert not list(files.glob("e.*")) + list(files.glob(".e.*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["names.tsv", "--out", "names.npy"], r"file beside it names\.tsv is what is read; name another file"),
        (["sites.bed", "--genome", "fasta.tsv", "--out", "fasta.npy"], r"fasta\.tsv is what is read"),
        (["genome.fa", "--out", "windows/config.npy"], r"beside it windows/config\.json is what is read; name another"),
        (["genome.fa", "--out", "folder.npy"], r"--out folder\.npy: the file beside it folder\.json is a folder"),
    ],
)
def test_files_beside_the_vectors_replace_no_input(bigbird, files, arguments, message):
    texts = {"names.tsv": "sequence\tname\nACGT\ta\n", "fasta.tsv": f">1\n{dna(300, 1)}\n"}
    for name, text in texts.items():
        (files / name).write_text(text)
    (files / "folder.json").mkdir()
    code, _, said = bigbird("embed", "windows", *arguments)
    assert (code, said.count("\n")) == (2, 1), said
    assert re.search(message, said)
    assert not list(files.glob("*.npy"))
    assert {name: (files / name).read_text() for name in texts} == texts
