"""`bigbird windows promoters` and `bigbird evaluate` on what it makes."""

import json
import re
from pathlib import Path

import pytest

from bigbird.checkpoint import save_model
from bigbird.tasks import Classification, TokenClassification
from helpers import STRANDED, YES_NO, dna, loaded_model

pytest.importorskip("sklearn")

CONTIG_BP = 60_000
KMER_LINE = r"^1- to 5-mers \(logistic regression\)\t\d\.\d{3} "


@pytest.fixture
def files(tmp_path):
    """A genome with a motif at every start site, the sites, and models."""
    rows, genome = [], ""
    for number in (1, 2):
        letters = list(dna(CONTIG_BP, number))
        for index, place in enumerate(range(20_000, 32_000, 240)):
            letters[place - 30 : place - 24] = "TATAAA"
            rows.append(f"chr{number}\t{place}\t{place + 1}\tgene{number}.{index}\t0\t{'+-'[index % 2]}")
        genome += f">chr{number}\n{''.join(letters)}\n"
    (tmp_path / "genome.fa").write_text(genome)
    (tmp_path / "sites.bed").write_text("\n".join(rows) + "\n")
    whole = Classification(labels=("background", "promoter"), max_length=256, overlap=16)
    along = TokenClassification(labels=("promoter+", "promoter-"), max_length=512, overlap=64, strands="both")
    for name, task in (("whole", whole), ("along", along), ("other", YES_NO), ("sites", STRANDED)):
        save_model(tmp_path / name, loaded_model(task))
    return tmp_path


GIVEN = ["--genome", "genome.fa", "--sites", "sites.bed", "--train", "chr1", "--validation", "chr2", "--out", "set"]
SMALL_RUN = {
    "data.genomes": '["genome.fa"]',
    "data.sites": "sites.bed",
    "data.train_regions": '["chr1"]',
    "data.validation_regions": '["chr2"]',
    "data.negatives": '["genomic"]',
    "start.bases_per_token": 8,
    "start.encoder.hidden_size": 16,
    "start.encoder.inner_size": 32,
    "start.encoder.num_heads": 2,
    "start.encoder.num_layers": 1,
    "training.num_steps": 3,
    "training.batch_size": 4,
    "training.micro_batch_size": 4,
    "training.warmup_steps": 0,
    "training.precision": "float32",
}


def test_a_set_of_synthetic_negatives_says_so_wherever_a_figure_is_told(bigbird, files):
    code, out, said = bigbird("windows", "promoters", *GIVEN, "--span", "200", "--negatives", "substitution")
    assert code == 0, said
    assert "negatives substitution: synthetic: 12 of 20 parts" in out
    assert re.search(r"^train chr1: 50 promoter, 50 substitution; \d+ loci$", out, re.MULTILINE)
    assert re.search(r"^validation with train: .* of substitution windows share a 32-mer", out, re.MULTILINE)
    assert re.search(r"^validation, 1- to 5-mers \(logistic regression\): auroc \d\.\d{3} \[", out, re.MULTILINE)
    assert "warning: the negatives of this set are synthetic" in out
    assert "the set is in set; score a model on it with: bigbird evaluate MODEL set" in said

    for model in ("whole", "along"):  # no genome is needed: the letters stand in the table
        code, out, said = bigbird("evaluate", model, "set", "--out", "figures.json")
        assert code == 0, said
        assert re.search(KMER_LINE, out, re.MULTILINE)
        assert re.search(rf"^{model}\t\d\.\d{{3}} ", out, re.MULTILINE)
        for fact in (
            "negatives\tsubstitution: synthetic",
            "split\ttrain chr1; validation chr2",
            "build\tunknown (genome.fa)",
        ):
            assert fact in out
        assert "seeds\tset 0, model not noted" in out
        assert "warning\tthe negatives of this set are synthetic" in out
        figures = json.loads((files / "figures.json").read_text())
        assert list(figures["scores"])[:1] == ["1- to 5-mers (logistic regression)"]
        assert figures["facts"]["negatives"].startswith("substitution: synthetic")


def test_a_set_of_real_windows_with_a_test_part(bigbird, files):
    given = [*GIVEN[:-4], "--validation", "chr2:1-26000", "--test", "chr2:26001-60000", "--out", "set"]
    code, out, said = bigbird("windows", "promoters", *given, "--before", 249, "--after", 51, "--negatives", "shifted")
    assert code == 0, said
    assert "249 bases before each site of sites.bed, 51 from it on" in out
    assert "warning" not in out
    assert json.loads((files / "set/set.json").read_text())["settings"]["negatives"] == "shifted"
    code, out, said = bigbird("evaluate", "along", "set", "--part", "test", "--genome", "genome.fa")
    assert code == 0, said
    assert re.search(KMER_LINE, out, re.MULTILINE)
    assert "f1, matthews\tthreshold chosen on validation\n" in out
    assert "warning" not in out
    code, _, said = bigbird("evaluate", "along", "set")
    assert (code, said.count("\n")) == (2, 1)
    assert "give the genome it lies on with --genome FASTA" in said


def test_a_figure_without_its_kmer_line_is_not_told(bigbird, files):
    assert bigbird("windows", "promoters", *GIVEN, "--span", "200", "--negatives", "permutation")[0] == 0
    code, out, said = bigbird("evaluate", "whole", "set/validation.tsv")  # a table that any model could be scored on
    assert (code, out) == (2, "")
    assert (
        "no figure is told without its baselines; give the folder: bigbird evaluate whole set --part validation" in said
    )
    code, out, said = bigbird("evaluate", "whole", "set", "--part", "train")
    assert (code, out) == (2, "")
    assert "a figure is told beside its baselines, and for part 'train' there are none: they learn from it" in said
    about = json.loads((files / "set/set.json").read_text())
    for name in list(about["baselines"]["scores"]):
        kept = {key: value for key, value in about["baselines"]["scores"].items() if key != name}
        (files / "set/set.json").write_text(json.dumps(about | {"baselines": about["baselines"] | {"scores": kept}}))
        code, out, said = bigbird("evaluate", "whole", "set")
        assert (code, out) == (2, "")
        assert f"there are none: set has none of {name}" in said
    del about["baselines"]
    (files / "set/set.json").write_text(json.dumps(about))
    assert bigbird("evaluate", "whole", "set")[:2] == (2, "")


@pytest.mark.usefixtures("files")
def test_a_model_of_something_else_is_refused(bigbird):
    assert bigbird("windows", "promoters", *GIVEN, "--span", "200", "--negatives", "permutation")[0] == 0
    for model in ("other", "sites"):
        code, _, said = bigbird("evaluate", model, "set")
        assert code == 2
        assert f"{model} is no model of promoters: it answers" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (GIVEN[2:], "windows are cut from a genome; give it with --genome FASTA"),
        (GIVEN, "give either --span, or both --before and --after"),
        ([*GIVEN, "--span", "200", "--after", "3"], "give either --span, or both --before and --after"),
        ([*GIVEN, "--span", "200", "--negatives", "fake"], "negatives must be one of substitution, permutation,"),
        ([*GIVEN[:6], "--span", "200", "--out", "set"], "a set needs a train part, from which its baselines learn"),
        ([*GIVEN, "--span", "200", "--prevalence", "0"], "prevalence must be above 0 and below 1, got 0.0"),
        ([*GIVEN[:-1], "whole", "--span", "200"], "whole exists already; give a new folder"),
        ([*GIVEN, "--span", "200", "--test", "chr2"], "share bases; give each base once"),
        ([*GIVEN, "--span", "200", "--test", "chrX"], "the genome has no contig chrX"),
        ([*GIVEN, "--span", "0"], "--span"),
    ],
)
def test_mistakes_are_told_in_one_line(bigbird, files, arguments, message):
    code, out, said = bigbird("windows", "promoters", *arguments)
    assert (code, out) == (2, "")
    assert said.startswith("bigbird: ")
    assert said.count("\n") == 1
    assert message in said
    assert not (files / "set").exists()


def test_a_part_is_for_window_sets(bigbird, files):
    (files / "table.csv").write_text("sequence,label\nACGT,promoter\n")
    code, _, said = bigbird("evaluate", "whole", "table.csv", "--part", "test")
    assert code == 2
    assert "--part is for a window set made by bigbird windows, and table.csv is none" in said


@pytest.mark.usefixtures("files")
def test_options_that_say_nothing_about_a_set_are_refused(bigbird):
    assert bigbird("windows", "promoters", *GIVEN, "--span", "200", "--negatives", "permutation")[0] == 0
    for options, message in (
        (
            ["--region", "chr2"],
            "--region is for a file of peaks (.bed, .narrowPeak), and set is a window set: its parts",
        ),
        (["--row-length", "64"], "--row-length is for a corpus made by bigbird prepare, and set is a window set"),
        (
            ["--out", "x.tsv"],
            "table with a line per label, and there is none for a set of promoters; name a .json file",
        ),
        (["--part", "foo"], "set has no part 'foo'; it has train, validation"),
    ):
        code, out, said = bigbird("evaluate", "whole", "set", *options)
        assert (code, out, said.count("\n")) == (2, "", 1)
        assert message in said
    assert not Path("x.tsv").exists()


def test_windows_alone_shows_its_kinds(bigbird):
    code, out, said = bigbird("windows")
    assert "promoters" in out + said
    assert code in (0, 2)


def set_to(values):
    return [part for name, value in values.items() for part in ("--set", f"{name}={value}")]


@pytest.mark.usefixtures("files")
def test_a_model_is_trained_on_windows_drawn_anew_and_scored_on_a_set(bigbird):
    assert bigbird("windows", "promoters", *GIVEN, "--span", "200", "--negatives", "genomic")[0] == 0
    values = SMALL_RUN | {"data.before_bp": 100, "data.after_bp": 100}
    code, _, said = bigbird("train", "genomics.promoter_windows", "--out", "run", *set_to(values))
    assert code == 0, said
    code, out, said = bigbird("evaluate", "run/model", "set", "--genome", "genome.fa")
    assert code == 0, said
    assert "seeds\tset 0, model 0" in out
    assert re.search(KMER_LINE, out, re.MULTILINE)
    assert re.search(r"^run/model\t\d\.\d{3} ", out, re.MULTILINE)
    kept = {name: value for name, value in values.items() if not name.startswith("start.")}
    kept |= {"start": "other", "task.max_length": 256}
    code, _, said = bigbird("train", "genomics.promoter_windows", "--out", "begun", *set_to(kept))
    assert code == 0, said
    assert json.loads(Path("begun/model/config.json").read_text())["notes"]["start"] == "other"


@pytest.mark.usefixtures("files")
def test_a_model_along_the_sequence_learns_from_windows_of_several_lengths(bigbird):
    values = SMALL_RUN | {"data.spans_bp": "[200,1000]"}
    code, _, said = bigbird("train", "genomics.promoter_contrasts", "--out", "run", *set_to(values))
    assert code == 0, said
    assert bigbird("windows", "promoters", *GIVEN, "--span", "200", "--negatives", "genomic")[0] == 0
    code, out, said = bigbird("evaluate", "run/model", "set", "--genome", "genome.fa")
    assert code == 0, said
    assert re.search(r"^run/model\t\d\.\d{3} ", out, re.MULTILINE)


@pytest.mark.usefixtures("files")
def test_without_a_validation_part_the_threshold_is_even_odds(bigbird):
    given = [*GIVEN[:-4], "--test", "chr2", "--out", "set"]
    code, _, said = bigbird("windows", "promoters", *given, "--span", "200", "--negatives", "permutation")
    assert code == 0, said
    code, out, said = bigbird("evaluate", "whole", "set")
    assert code == 0, said
    assert "part test: 100 windows of 200 bases" in out
    assert "f1, matthews\tthreshold at even odds\n" in out
