import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bigbird.data.genome import Genome
from bigbird.data.intervals import Interval
from bigbird.errors import ConfigError, DataError
from bigbird.genomics.chromatin_set_scores import _bin_in, chromatin_figures, runs_of
from bigbird.genomics.chromatin_sets import ChromatinSetConfig, make_chromatin_set, set_lines
from bigbird.genomics.window_sets import open_window_set
from bigbird.predictor import Predictor
from bigbird.tasks import BinClassification, Classification
from bigbird.tokenizers import KmerTokenizer
from helpers import dna, loaded_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sets")
    (path / "genome.fa").write_text(f">chrI\n{dna(9_000, 1)}\n>chrII\n{dna(6_000, 2)}{'N' * 600}{dna(400, 3)}\n")
    rows = [f"{contig}\t{place}\t{place + 1}\ta\n" for contig in ("chrI", "chrII") for place in range(30, 6_000, 300)]
    rows += [f"chrI\t{place}\t{place + 150}\tb\n" for place in range(500, 8_800, 700)]
    (path / "peaks.bed").write_text("".join([*rows, "chrI\t10\t11\trare\n"]))
    make_chromatin_set(config_of(path), path / "set")
    return path


def config_of(path, **changes):
    values = {
        "genomes": (path / "genome.fa",),
        "peaks": (path / "peaks.bed",),
        "regions": {"train": ["chrI"], "validation": ["chrII"], "test": []},
        "window_bp": 500,
        "bin_bp": 100,
        "min_peaks": 5,
    }
    return ChromatinSetConfig(**values | changes)


def test_every_bin_with_room_around_it_is_there_with_its_labels(folder):
    stored = open_window_set(folder / "set")
    genome = Genome.open(folder / "genome.fa")
    train = stored.part("train", genome)
    assert [window.record.interval.start for window in train] == list(range(0, 8_501, 100))
    for window in train:
        start = window.record.interval.start + 200
        assert window.record.interval.length == 500
        has_a = any(start <= place < start + 100 for place in range(30, 6_000, 300))
        assert ("a" in window.record.labels) == has_a, start
        assert window.kind == ("labelled" if window.record.labels else "unlabelled")
    assert stored.about["settings"]["left_out"] == {"train": 4, "validation": 4}
    starts = {window.record.interval.start + 200 for window in stored.part("validation", genome)}
    assert not starts & set(range(6_000, 6_600, 100))  # nothing but N
    assert set(range(200, 6_000, 100)) <= starts


def test_a_set_tells_what_leaks_and_what_k_mers_reach(folder):
    about = json.loads((folder / "set" / "set.json").read_text())
    assert about["what"] == "chromatin"
    assert about["settings"]["labels"] == ["a", "b"]
    text = "\n".join(set_lines(about))
    assert "2 labels of peaks.bed; bins of 100 bases" in text
    assert "validation with train" in text
    assert "validation, 5-mers of both strands (ridge regression): mean_auroc 0." in text


def test_too_few_peaks_are_told_with_the_option(folder, tmp_path, caplog):
    with pytest.raises(
        DataError, match=r"has 500 peaks in the training regions, the most is \d+; set --min-peaks lower"
    ):
        make_chromatin_set(config_of(folder, min_peaks=500), tmp_path / "set")
    make_chromatin_set(config_of(folder), tmp_path / "set")
    assert "fewer than 5 peaks in the training regions (--min-peaks)" in caplog.text


def test_unlabelled_bins_may_be_drawn(folder, tmp_path):
    about = make_chromatin_set(config_of(folder, unlabelled=0.5), tmp_path / "set")
    counts = about["parts"]["train"]["kinds"]
    assert counts["unlabelled"] == round(counts["labelled"] / 2)
    task = Classification(labels=("a",), answer="many", max_length=128, overlap=16)
    predictor = Predictor(loaded_model(task, tokenizer=KmerTokenizer(8), bases_per_token=8))
    for path, line in (
        (tmp_path, "unlabelled\t0.5 bins for each that has a label, drawn with seed 0"),
        (folder, "unlabelled\tall bins without a label"),
    ):
        stored, genome = open_window_set(path / "set"), Genome.open(folder / "genome.fa")
        assert line in chromatin_figures(predictor, stored, "validation", genome, model="mine").lines


@pytest.mark.parametrize("kind", ["bins", "whole"])
def test_a_model_stands_beside_the_baseline(folder, kind):
    labels = ("b", "a", "other")
    task = BinClassification(labels=labels, bin_bp=100, context_bp=200, max_length=128, overlap=16)
    if kind == "whole":
        task = Classification(labels=labels, answer="many", max_length=128, overlap=16)
    loaded = loaded_model(task, tokenizer=KmerTokenizer(8), bases_per_token=8)
    predictor = Predictor(dataclasses.replace(loaded, notes={"scan": {"window_bp": 900, "overlap_bp": 400}}))
    genome = Genome.open(folder / "genome.fa")
    found = chromatin_figures(predictor, open_window_set(folder / "set"), "validation", genome, model="mine")
    header, baseline, mine = (line.split("\t") for line in found.lines[-3:])
    assert header[:3] == ["", "mean_auroc", "mean_average_precision"]
    assert (baseline[0], mine[0]) == ("5-mers of both strands (ridge regression)", "mine")
    assert len(mine) == len(baseline) == len(header)
    assert "prevalence/a" in found.scores
    assert "2 of 2 labels are the model's" in found.lines[0]


def test_means_of_the_baseline_are_over_the_model_s_labels(tmp_path):
    (tmp_path / "genome.fa").write_text(f">chrI\n{dna(9_000, 1)}\n>chrII\n{dna(6_000, 2)}\n")
    steps = {"TF:a": 300, "TF:b": 400, "c": 500, "TF:few": 1_600}
    rows = [f"{c}\t{at}\t{at + 1}\t{one}\n" for c in ("chrI", "chrII") for one, n in steps.items()
            for at in range(30, 6_000, n)]  # fmt: skip
    (tmp_path / "peaks.bed").write_text("".join(rows))
    make_chromatin_set(config_of(tmp_path, min_peaks=3), tmp_path / "set")
    stored, genome = open_window_set(tmp_path / "set"), Genome.open(tmp_path / "genome.fa")
    (kept,) = stored.about["baselines"]["scores"].values()
    assert kept["validation"]["auroc/TF:few"]["value"] > 0

    def beside(*labels):
        task = BinClassification(labels=labels, bin_bp=100, context_bp=200, max_length=128, overlap=16)
        loaded = loaded_model(task, tokenizer=KmerTokenizer(8), bases_per_token=8)
        predictor = Predictor(dataclasses.replace(loaded, notes={"scan": {"window_bp": 900, "overlap_bp": 400}}))
        found = chromatin_figures(predictor, stored, "validation", genome, model="mine")
        names, cells = (line.split("\t") for line in found.lines[-3:-1])
        return found, dict(zip(names, cells, strict=True))

    one = kept["validation"]["auroc/c"]
    found, cells = beside("c")
    assert cells["mean_auroc"] == f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
    assert any(line.startswith("baseline\tover the same 1 of 4 labels") for line in found.lines)
    assert found.as_json["labels"] == ["c"]
    (written,) = found.as_json["baselines"].values()
    assert written["validation"]["mean_auroc"]["value"] == one["value"]
    mean = np.mean([kept["validation"][f"average_precision/TF:{name}"]["value"] for name in "ab"])
    for labels in (("TF:a", "TF:b"), ("TF:a", "TF:b", "TF:few")):  # of "few" are too few for a mean
        found, cells = beside(*labels)
        assert cells["mean_average_precision"] == f"{mean:.3f}"
        assert re.fullmatch(rf"{mean:.3f} \[\d.\d+, \d.\d+\]", cells["mean_average_precision/TF"])  # all of the group
    assert beside("TF:a", "c")[1]["mean_auroc/TF"] == beside("TF:a")[1]["mean_auroc"]
    every = beside(*steps)[1]
    whole = kept["validation"]["mean_auroc"]
    assert every["mean_auroc"] == f"{whole['value']:.3f} [{whole['low']:.3f}, {whole['high']:.3f}]"
    del kept["validation"]["auroc/c"]  # as of a set of many labels made by an earlier version
    with pytest.raises(DataError, match=r"keeps no figures of label 'c' of its baseline, .*make the set anew"):
        beside("c")


def test_bins_are_scored_where_they_lie(folder):
    stored, genome = open_window_set(folder / "set"), Genome.open(folder / "genome.fa")
    windows = stored.part("validation", genome)
    runs = runs_of(_bin_in(window, 100) for window in windows)
    assert [(run.start, run.end) for run in runs] == [(200, 6_000), (6_600, 6_800)]
    assert runs_of([]) == []
    apart = [Interval("c", 0, 5), Interval("c", 6, 8), Interval("d", 8, 9)]
    assert runs_of(apart) == apart
    assert np.sum([run.length for run in runs]) == 100 * len(windows)


def test_what_cannot_be_scored_is_told(folder):
    stored, genome = open_window_set(folder / "set"), Genome.open(folder / "genome.fa")
    other = Predictor(loaded_model(BinClassification(labels=("x",), bin_bp=100, max_length=128, overlap=16)))
    wide = Predictor(loaded_model(BinClassification(labels=("a",), bin_bp=200, max_length=128, overlap=16)))
    with pytest.raises(DataError, match=r"mine has none of the set's labels: it has x"):
        chromatin_figures(other, stored, "validation", genome, model="mine")
    with pytest.raises(ConfigError, match=r"in bins of 100 bases needs a model of such bins, or one that gives whole"):
        chromatin_figures(wide, stored, "validation", genome, model="mine")
    with pytest.raises(ConfigError, match=r"for part 'train' there is none: it learns from part train"):
        chromatin_figures(wide, stored, "train", genome, model="mine")
    with pytest.raises(DataError, match=r"holds places, not sequences; give the genome they lie on"):
        chromatin_figures(wide, stored, "validation", None, model="mine")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_bp": 501}, r"longer by an even number of bases.*got windows of 501 and bins of 100"),
        ({"unlabelled": -1.0}, r"unlabelled must be at least 0, got -1.0"),
        ({"regions": {"train": ["chrI"]}}, r"a set needs a train part.*give --train and --validation or --test"),
    ],
)
def test_settings_that_make_no_set_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        config_of(Path("nowhere"), **changes)


def test_regions_too_small_or_shared_are_refused(folder, tmp_path):
    small = {"train": ["chrI"], "validation": ["chrII:1-300"]}
    with pytest.raises(DataError, match=r"the regions chrII:1-300 have room for no window of 500"):
        make_chromatin_set(config_of(folder, regions=small), tmp_path / "set")
    shared = {"train": ["chrI"], "test": ["chrI:100-2000"]}
    with pytest.raises(ConfigError, match=r"share chrI:100-2,000"):
        make_chromatin_set(config_of(folder, regions=shared), tmp_path / "set")
    for twice in (["chrI", "chrI:1-2000"], ["chrI", "chrI"]):
        for regions in ({"train": twice, "test": ["chrII"]}, {"train": ["chrII"], "validation": twice}):
            with pytest.raises(ConfigError, match=r"the regions chrI:.* and chrI:.* share bases; give each base once"):
                make_chromatin_set(config_of(folder, regions=regions), tmp_path / "set")
    assert not (tmp_path / "set").exists()
