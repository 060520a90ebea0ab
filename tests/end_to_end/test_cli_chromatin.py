"""Chromatin profiles on the command line: train, evaluate on peaks, predict bins, scan."""

import dataclasses
import json
import re

import numpy as np
import pytest
import typer

from bigbird import cli
from bigbird.checkpoint import save_model
from bigbird.tasks import BinClassification, Classification
from bigbird.tokenizers import KmerTokenizer
from deepsea_folders import TRUTH, write_csv
from helpers import YES_NO, dna, loaded_model

TASK = BinClassification(
    labels=("TF:a", "TF:b"), bin_bp=100, context_bp=100, max_length=256, overlap=64, strands="both"
)
NOTES = {"scan": {"window_bp": 600, "overlap_bp": 200, "bin_bp": 100, "merge_bp": 0}}


@pytest.fixture
def files(tmp_path):
    """A genome, peaks and a small model of bins."""
    (tmp_path / "genome.fa").write_text(f">chrI\n{dna(4_050, 1)}\n>chrII\n{dna(3_000, 2)}\n>chrN\n{'N' * 500}\n")
    peaks = [
        f"{contig}\t{place}\t{place + 1}\t{label}\n"
        for contig in ("chrI", "chrII")
        for label, step in (("TF:a", 210), ("TF:b", 330), ("rare", 1_900))
        for place in range(40, 2_900, step)
    ]
    (tmp_path / "peaks.bed").write_text("".join(peaks))
    (tmp_path / "sites.bed").write_text("chrI\t1000\t1100\tone\nchrII\t0\t250\ttwo\t0\t-\n")
    loaded = loaded_model(TASK, tokenizer=KmerTokenizer(8), bases_per_token=8)
    save_model(tmp_path / "model", dataclasses.replace(loaded, notes=NOTES))
    return tmp_path


def rows(text):
    return [line.split("\t") for line in text.splitlines()]


def test_from_peaks_to_a_model_to_figures(bigbird, files, caplog):
    settings = {
        "data.genomes": '["genome.fa"]', "data.peaks": '["peaks.bed"]', "data.train_regions": '["chrI"]',
        "data.validation_regions": '["chrII"]', "data.window_bp": 600, "data.step_bp": 400, "data.bin_bp": 100,
        "data.min_peaks": 3, "task.bin_bp": 100, "task.context_bp": 100, "start.bases_per_token": 8,
        "start.encoder.hidden_size": 16, "start.encoder.inner_size": 32, "start.encoder.num_heads": 2,
        "start.encoder.num_layers": 1, "training.num_steps": 2, "training.batch_size": 4, "training.warmup_steps": 0,
        "training.micro_batch_size": 4, "training.precision": "float32",
    }  # fmt: skip
    flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    code, _, said = bigbird("train", "genomics.chromatin", "--out", "run", *flags)
    assert code == 0, said
    assert "1 of 3 labels are left out" in caplog.text
    config = json.loads((files / "run" / "model" / "config.json").read_text())
    assert config["notes"]["scan"] == NOTES["scan"]
    command = ["evaluate", "run/model", "peaks.bed", "--genome", "genome.fa", "--region", "chrII"]
    code, out, said = bigbird(*command, "--out", "table.tsv")
    assert code == 0, said
    assert "1 labels of the peaks are unknown to the model and left out: rare" in re.sub(r"\s+", " ", said)
    assert re.search(r"^mean_auroc\t0\.\d{3} \[", out, re.MULTILINE)
    table = rows((files / "table.tsv").read_text())
    assert table[0][:3] == ["label", "prevalence", "auroc"]
    assert [row[0] for row in table[1:]] == ["TF:a", "TF:b"]
    assert table[1][1] == f"{14 / 30:.5f}"
    assert bigbird(*command, "--out", "figures.json")[0] == 0
    figures = json.loads((files / "figures.json").read_text())["scores"]
    assert figures["auroc/TF:a"]["value"] == pytest.approx(float(table[1][2]), abs=1e-5)
    assert figures["mean_auroc/TF"]["value"] == figures["mean_auroc"]["value"]


def test_bins_of_a_place_have_its_surroundings_and_those_of_a_sequence_have_none(bigbird, files):
    code, out, said = bigbird("predict", "model", "sites.bed", "--genome", "genome.fa")
    assert code == 0, said
    table = rows(out)
    assert table[0] == ["name", "contig", "start", "end", "TF:a", "TF:b"]
    assert [row[:4] for row in table[1:]] == [
        ["one", "chrI", "1000", "1100"],
        ["two", "chrII", "0", "100"],
        ["two", "chrII", "100", "200"],
        ["two", "chrII", "200", "250"],
    ]
    contig = dna(4_050, 1)
    (files / "alone.fa").write_text(f">alone\n{contig[1000:1100]}\n>around\n{contig[700:1300]}\n")
    code, out, _ = bigbird("predict", "model", "alone.fa", "--out", "bins.tsv")
    assert code == 0
    alone, *around = rows((files / "bins.tsv").read_text())[1:]
    assert len(around) == 6
    assert alone[:4] == ["alone", "alone", "0", "100"]
    assert alone[4:] != table[1][4:]


def test_a_place_s_bins_are_those_of_a_scan(bigbird, files):
    code, _, said = bigbird("scan", "model", "--genome", "genome.fa", "--region", "chrI", "--region", "chrN",
                            "--label", "TF:b", "--out", "scan", "--threshold", "0.01")  # fmt: skip
    assert code == 0, said
    (files / "all.bed").write_text("chrI\t0\t4050\n")
    _, out, _ = bigbird("predict", "model", "all.bed", "--genome", "genome.fa")
    expected = [float(row[5]) for row in rows(out)[1:]]
    track = [
        (int(start), int(end), float(score))
        for _, start, end, score in (
            line for line in rows((files / "scan" / "scores.TF%3Ab.bedgraph").read_text()) if len(line) == 4
        )
    ]
    scanned = np.concatenate([np.full(-(-(end - start) // 100), score) for start, end, score in track])
    assert track[-1][1] == 4_050
    np.testing.assert_allclose(scanned, expected, atol=0.00051)
    called = rows((files / "scan" / "calls.bed").read_text())
    assert {row[3] for row in called} == {"TF:b"}
    assert called[0][:3] == ["chrI", "0", "4050"]


MISTAKES = {
    "peaks without a genome": (["evaluate", "model", "peaks.bed"], r"give the genome they lie on with --genome FASTA"),
    "a region without peaks": (["evaluate", "model", "x.csv", "--region", "chrI"], r"--region is for a model of"),
    "peaks of other targets": (["evaluate", "model", "sites.bed", "--genome", "genome.fa"],
                               r"none of the peaks' labels is one of the model's: the peaks have one, two"),
    "no peak in the region": (["evaluate", "model", "peaks.bed", "--genome", "genome.fa", "--region", "chrI:3001-4000"],
                              r"no bin of the \d+ records has a label"),
    "a label the model lacks": (["scan", "model", "--genome", "genome.fa", "--label", "TF:c"],
                                r"this model has no label 'TF:c' among its 2; nearest are TF:"),
    "bins of another size": (["scan", "model", "--genome", "genome.fa", "--set", "bin_bp=10"],
                             r"this model answers in bins of 100 bases.*bin_bp must be 100"),
    "too little overlap": (["scan", "model", "--genome", "genome.fa", "--set", "overlap_bp=0"],
                           r"overlap_bp a multiple of 200 from 200 on; got bin_bp 100 and overlap_bp 0"),
}  # fmt: skip


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_one_line(bigbird, name):
    arguments, message = MISTAKES[name]
    code, _, said = bigbird(*arguments)
    assert code == 2
    assert re.search(message, re.sub(r"\s+", " ", said)), said
    assert "Traceback" not in said


def test_a_table_of_labels_is_refused_where_there_is_none(bigbird, files):
    save_model(files / "windows", loaded_model(YES_NO))
    (files / "x.csv").write_text("sequence,label\nACGT,yes\n")
    code, _, said = bigbird("evaluate", "windows", "x.csv", "--out", "x.tsv")
    assert code == 2
    assert "asks for a table with a line per label" in re.sub(r"\s+", " ", said)


def test_notes_that_the_model_cannot_follow_are_told(bigbird, files):
    path = files / "model" / "config.json"
    path.write_text(path.read_text().replace('"window_bp": 600', '"window_bp": 650'))
    code, _, said = bigbird("predict", "model", "sites.bed", "--genome", "genome.fa")
    assert code == 2
    assert "it can read a multiple of 100 up to 2032 and needs 200 of overlap" in re.sub(r"\s+", " ", said)


@pytest.mark.usefixtures("files")
def test_a_calibrated_model_says_what_holds_and_ranks_as_before(bigbird):
    code, out, said = bigbird("calibrate", "model", "peaks.bed", "--genome", "genome.fa", "--region", "chrI",
                              "--out", "calibrated")  # fmt: skip
    assert code == 0, said
    before, after = map(float, re.search(r"^ece\t(\S+) -> (\S+)$", out, re.MULTILINE).groups())
    assert after < before
    code, out, said = bigbird("calibrate", "calibrated", "peaks.bed", "--genome", "genome.fa", "--region", "chrI",
                              "--out", "again")  # fmt: skip
    assert code == 0, said
    as_given, again = map(float, re.search(r"^ece\t(\S+) -> (\S+)$", out, re.MULTILINE).groups())
    assert as_given < 0.7 * before
    assert again == pytest.approx(after, abs=2e-5)
    command = ["peaks.bed", "--genome", "genome.fa", "--region", "chrII"]
    (_, one, _), (_, other, _) = bigbird("evaluate", "model", *command), bigbird("evaluate", "calibrated", *command)
    assert one == other
    rates = []
    for model in ("model", "calibrated"):
        _, out, _ = bigbird("predict", model, "sites.bed", "--genome", "genome.fa")
        rates.append(np.mean([float(row[4]) for row in rows(out)[1:]]))
    assert rates[0] < 0.1
    assert rates[1] > 0.3


def test_a_model_of_one_label_each_cannot_be_calibrated(bigbird, files):
    save_model(files / "windows", loaded_model(YES_NO))
    code, _, said = bigbird("calibrate", "windows", "x.csv", "--out", "new")
    assert code == 2
    assert "windows cannot be calibrated: that is for models of any number of labels" in re.sub(r"\s+", " ", said)


def test_a_file_in_deepsea_s_layout_is_scored(bigbird, files):
    many = Classification(labels=tuple(f"TF:{number}" for number in range(5)), answer="many", max_length=512)
    save_model(files / "whole", loaded_model(many, tokenizer=KmerTokenizer(8), bases_per_token=8))
    bins = dataclasses.replace(TASK, labels=many.labels, bin_bp=200, context_bp=200)
    save_model(files / "bins", loaded_model(bins, tokenizer=KmerTokenizer(8), bases_per_token=8))
    write_csv(files / "rows.csv")
    for model in ("whole", "bins"):
        code, out, said = bigbird("evaluate", model, "rows.csv", "--out", "table.tsv")
        assert code == 0, said
        assert "mean_auroc/TF" in out
        table = rows((files / "table.tsv").read_text())
        assert [row[0] for row in table[1:]] == list(many.labels)
        assert [float(row[1]) for row in table[1:]] == pytest.approx(TRUTH.mean(0), abs=1e-5)


def test_from_peaks_to_a_window_set_to_figures_beside_the_baseline(bigbird, files):
    code, out, said = bigbird("windows", "chromatin", "--genome", "genome.fa", "--peaks", "peaks.bed",
                              "--train", "chrI", "--validation", "chrII", "--window-bp", "500", "--bin-bp", "100",
                              "--min-peaks", "5", "--out", "set")  # fmt: skip
    assert code == 0, said
    assert "validation with train" in out
    code, out, said = bigbird("evaluate", "model", "set", "--genome", "genome.fa", "--out", "table.tsv")
    assert code == 0, said
    assert re.search(r"^5-mers of both strands \(ridge regression\)\t0\.\d{3} \[", out, re.MULTILINE)
    assert re.search(r"^model\t0\.\d{3} \[", out, re.MULTILINE)
    assert len(rows((files / "table.tsv").read_text())) == 3
    for options, message in (
        (["--region", "chrI"], "--region is for a file of peaks"),
        (["--row-length", "64"], "--row-length is for a corpus"),
        (["--part", "foo"], "set has no part 'foo'; it has train, validation"),
    ):
        code, _, said = bigbird("evaluate", "model", "set", "--genome", "genome.fa", *options)
        assert code == 2
        assert message in re.sub(r"\s+", " ", said)
    code, _, said = bigbird("windows", "chromatin", "--peaks", "peaks.bed", "--out", "other")
    assert code == 2
    assert "give it with --genome FASTA" in re.sub(r"\s+", " ", said)


def test_the_options_of_the_set_are_frozen():
    command = typer.main.get_command(cli.app).commands["windows"].commands["chromatin"]
    assert sorted(option for parameter in command.params for option in parameter.opts) == [
        *("--bin-bp", "--build", "--genome", "--min-peaks", "--out", "--peaks", "--seed", "--test", "--train"),
        *("--unlabelled", "--validation", "--window-bp"),
    ]
