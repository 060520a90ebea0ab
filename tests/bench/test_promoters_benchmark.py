"""The benchmark of promoters: cells are measured once, one by one, into one file."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from bigbird.genomics.promoter_window_data import PromoterWindowData
from helpers import dna

pytest.importorskip("sklearn")

SCRIPT = Path(__file__).parents[2] / "benchmarks/genomics/promoters.py"
TINY = [f"start.encoder.{name}" for name in ("hidden_size=16", "inner_size=32", "num_heads=2", "num_layers=1")]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 5)
    module = importlib.util.module_from_spec(spec := importlib.util.spec_from_file_location("promoters", SCRIPT))
    monkeypatch.setitem(sys.modules, "promoters", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def given(tmp_path):
    """A small genome and the options that every call shares."""
    (tmp_path / "genome.fa").write_text("".join(f">chr{number}\n{dna(60_000, number)}\n" for number in (1, 2)))
    places = [(number, place) for number in (1, 2) for place in range(20_000, 32_000, 400)]
    (tmp_path / "sites.bed").write_text("".join(f"chr{n}\t{p}\t{p + 1}\tg{p}\t0\t+\n" for n, p in places))
    files = ["--genome", tmp_path / "genome.fa", "--sites", tmp_path / "sites.bed", "--work", tmp_path / "work"]
    split = ["--train", "chr1", "--validation", "chr2", "--span", 200, "--negatives", "shifted"]
    short = ["--steps", 2, "--batch-size", 4, "--precision", "float32", *(f"--set={value}" for value in TINY)]
    return [str(part) for part in [*files, *split, *short, "--out", tmp_path / "results.json"]]


def test_cells_are_added_one_by_one_and_known_ones_stay(bench, given, tmp_path, monkeypatch):
    bench.main([*given, "--model", "baselines", "cnn", "--seed", "0", "1"])
    known = json.loads((tmp_path / "results.json").read_text())["cells"]
    assert list(known) == [
        "00200/shifted/baselines/0",
        "00200/shifted/cnn/0",
        "00200/shifted/cnn/1",
    ]
    assert list(known["00200/shifted/baselines/0"]["scores"]) == list(bench.BASELINES)
    assert known["00200/shifted/cnn/0"]["scores"] != known["00200/shifted/cnn/1"]["scores"]
    monkeypatch.delattr(bench, "cnn_figures")  # what is known is not measured again
    bench.main([*given, "--model", "cnn", "dense", "released", "--seed", "0"])
    more = json.loads((tmp_path / "results.json").read_text())["cells"]
    assert set(more) - set(known) == {"00200/shifted/dense/0", "00200/shifted/released/0"}
    assert all(more[key] == known[key] for key in known)
    for found in more.values():
        assert {"scores", "seconds", "about"} <= set(found)


def test_the_dense_model_sees_everything_and_is_of_equal_size(bench, given):
    options = bench.options_of(bench.parsed(given))
    sparse, dense = (bench.run_config(name, PromoterWindowData(), options, 0) for name in ("bigbird", "dense"))
    assert sparse.start.encoder.num_layers == dense.start.encoder.num_layers == 1
    assert dense.start.encoder.pattern.build(num_blocks=500, num_heads=1).num_key_blocks == 500
    assert int(dense.start.encoder.pattern.build(num_blocks=100, num_heads=1).row_starts[-1]) == 100 * 100
    assert int(sparse.start.encoder.pattern.build(num_blocks=100, num_heads=1).row_starts[-1]) < 2_000


def test_pretrained_is_measured_only_when_it_is_given(bench, given):
    cells = list(bench.cells(bench.parsed([*given, "--model", "pretrained", "bigbird", "--seed", "3"])))
    assert cells == [(200, "shifted", "bigbird", 3)]
    given = [*given, "--model", "pretrained", "--pretrained", "folder", "--seed", "3"]
    assert list(bench.cells(bench.parsed(given))) == [(200, "shifted", "pretrained", 3)]
    options = bench.options_of(bench.parsed(given))
    assert bench.run_config("pretrained", PromoterWindowData(), options, 0).start == "folder"


def test_the_cnn_reads_bases_and_ignores_n_alike(bench):
    torch.manual_seed(0)
    model = bench.Cnn(width=8)
    codes = torch.randint(0, 4, (3, 300))
    assert model(codes).shape == (3,)
    assert model(torch.full((2, 300), 4)).unique().numel() == 1
