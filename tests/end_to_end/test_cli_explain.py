"""`bigbird explain` as people use it."""

import json
import re

import pytest

from bigbird.checkpoint import save_model
from bigbird.tasks import BinClassification, MaskedLM
from helpers import STRANDED, YES_NO, dna, loaded_model


@pytest.fixture
def files(tmp_path):
    (tmp_path / "genome.fa").write_text(f">chr1\n{dna(1_000, 1)}\n>gap\n{'N' * 500}\n")
    (tmp_path / "places.bed").write_text("chr1\t100\t120\tone\t0\t-\n1\t0\t9\n")
    (tmp_path / "short.fa").write_text(f">a\n{dna(30, 3)}\n")
    save_model(tmp_path / "windows", loaded_model(YES_NO))
    save_model(tmp_path / "tokens", loaded_model(STRANDED))
    save_model(tmp_path / "guesses", loaded_model(MaskedLM()))
    bins = BinClassification(labels=("x", "y"), bin_bp=20, context_bp=20, max_length=402, overlap=20)
    save_model(tmp_path / "bins", loaded_model(bins))
    return tmp_path


def test_a_region_is_explained_on_one_page(bigbird, files):
    arguments = ("--genome", "genome.fa", "--region", "1:991-1,000", "--window", "100", "--deletions", "--out", "e")
    code, out, said = bigbird("explain", "tokens", *arguments)
    assert (code, out) == (0, ""), said
    assert re.search(r"^chr1:991-1,000: site[+-] has a probability of 0\.\d{3} at \d{3}$", said, re.MULTILINE)
    assert said.endswith("open e/explain.html\n")
    assert (files / "e/explain.html").exists()
    assert len((files / "e/mutations.tsv").read_text().splitlines()) == 11
    assert json.loads((files / "e/summary.json").read_text())["regions"][0]["window"] == "chr1:901-1000"


@pytest.mark.parametrize("given", [("places.bed", "--genome", "genome.fa"), ("short.fa",)])
def test_records_are_explained_one_by_one(bigbird, files, given):
    code, _, said = bigbird("explain", "windows", *given, "--attribution", "none", "--label", "yes")
    assert code == 0, said
    names = {path.name for path in (files / "explained").glob("*.tsv")}
    one = {"mutations.tsv", "attention.tsv"}
    assert names == (one if given == ("short.fa",) else {f"{number}.{name}" for number in (1, 2) for name in one})


def test_a_model_of_bins_is_explained_from_a_contig_s_first_base_on(bigbird, files):
    arguments = ("--genome", "genome.fa", "--region", "chr1:1-4", "--window", "100", "--attribution", "none")
    code, _, said = bigbird("explain", "bins", *arguments)
    assert code == 0, said
    assert "the window reaches 40 bases over the ends of chr1; these are N" in said
    region = json.loads((files / "explained/summary.json").read_text())["regions"][0]
    assert region["window"] == "chr1:-39-60"
    (files / "place.bed").write_text("chr1\t0\t4\n")
    code, out, said = bigbird("predict", "bins", "place.bed", "--genome", "genome.fa")
    assert code == 0, said
    column = ["x", "y"].index(region["label"]) - 2
    assert float(out.splitlines()[1].split("\t")[column]) == pytest.approx(region["probability"], abs=1e-4)


@pytest.mark.parametrize("model", ["windows", "tokens", "bins"])
def test_a_sequence_without_a_place_is_read_in_the_window_asked_for(bigbird, files, model):
    code, _, said = bigbird("explain", model, "short.fa", "--window", "100", "--attribution", "none")
    assert code == 0, said
    assert "the window reaches 70 bases over the ends of a; these are N" in said
    rows = [line.split("\t") for line in (files / "explained/mutations.tsv").read_text().splitlines()[1:]]
    assert [int(row[1]) for row in rows] == list(range(1, 31))
    assert json.loads((files / "explained/summary.json").read_text())["regions"][0]["num_bases"] == 30


def test_a_model_of_bins_explains_a_sequence_as_it_predicts_it(bigbird, files):
    code, out, said = bigbird("predict", "bins", "short.fa")
    assert code == 0, said
    code, _, said = bigbird("explain", "bins", "short.fa", "--label", "x", "--at", "5", "--attribution", "none")
    assert code == 0, said
    region = json.loads((files / "explained/summary.json").read_text())["regions"][0]
    assert (region["position"], float(out.splitlines()[1].split("\t")[-2])) == (
        5,
        pytest.approx(region["probability"], abs=1e-4),
    )


REGION = ["--genome", "genome.fa", "--region", "chr1:1-20"]
MISTAKES = {
    "nothing to explain": (["tokens"], r"needs either a file of sequences or places, or --region"),
    "two things": (["tokens", "short.fa", *REGION], r"needs either a file .* give one"),
    "no genome": (["tokens", "--region", "chr1:1-20"], r"--region is a place on a genome; give it with --genome"),
    "an unknown label": (["tokens", *REGION, "--label", "x"], r"no label 'x' among its 2; nearest are site"),
    "a place elsewhere": (["tokens", *REGION, "--at", "2000"], r"must be summit, middle or a position from 1 to 510"),
    "an unknown method": (
        ["tokens", *REGION, "--attribution", "x"],
        r"'x' is not one of 'integrated-gradients', 'gradient'",
    ),
    "too long a window": (["tokens", *REGION, "--window", "511"], r"a window of 511 bases .* this model reads 510"),
    "too short a window": (["tokens", "short.fa", "--window", "20"], r"a: a window of 20 bases .* must hold 30"),
    "too long a sequence": (["tokens", "genome.fa"], r"chr1: a window of 1,000 bases .* this model reads 510"),
    "nothing but N": (["tokens", "--genome", "genome.fa", "--region", "gap:1-9"], r"gap:1-9 holds nothing but N"),
    "a model without labels": (
        ["guesses", *REGION],
        r"needs a model with labels; the task of this one, MaskedLM, has none",
    ),
    "places without a genome": (["tokens", "places.bed"], r"give the genome they lie on with --genome FASTA"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told_in_one_line(bigbird, files, mistake):  # noqa: ARG001
    arguments, message = MISTAKES[mistake]
    code, _, said = bigbird("explain", *arguments)
    lines = [line for line in said.splitlines() if line.startswith("bigbird: ")]
    assert (code, len(lines)) == (2, 1), said
    assert re.search(message, lines[0])


def test_a_label_is_checked_before_anything_is_read(bigbird, files):  # noqa: ARG001
    code, _, said = bigbird("explain", "tokens", "nowhere.fa", "--label", "x")
    assert (code, "no label 'x'" in said) == (2, True), said
