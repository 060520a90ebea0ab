import json
import re
import sys

import numpy as np
import pytest

from bigbird.data.intervals import Interval
from bigbird.data.records import Record
from bigbird.genomics import explanation
from bigbird.genomics.explain_report import in_words, write_page
from bigbird.genomics.explain_target import Target, target_of_record
from bigbird.genomics.explanation import ExplainConfig, explain, write_explanation
from bigbird.predictor import Predictor
from helpers import STRANDED, dna, loaded_model

NAME = "<b>odd</b>"


@pytest.fixture(scope="module")
def found():
    sequence = dna(60, 1) + "NN" + dna(58, 2)
    window = Interval("chr1", 5_000, 5_120, "-")
    target = Target(name=NAME, sequence=sequence, first=40, last=72, window=window, remarks=("a remark",))
    config = ExplainConfig(label="site+", deletions=True, num_steps=4)
    return explain(Predictor(loaded_model(STRANDED)), target, config)


def test_tables_count_from_one_on_the_genome_and_hold_every_base(tmp_path, found):
    write_explanation(tmp_path, "", found)
    rows = [line.split("\t") for line in (tmp_path / "mutations.tsv").read_text().splitlines()]
    assert rows[0] == ["contig", "position", "base", "A", "C", "G", "T", "deleted", "importance"]
    assert [int(row[1]) for row in rows[1:]] == list(range(5_080, 5_048, -1))  # strand -, as it is read
    assert "".join(row[2] for row in rows[1:]) == found.target.region
    assert rows[21][2:] == ["N", "", "", "", "", "", "0"]
    effects = np.load(tmp_path / "mutations.npy")
    assert effects.shape == (32, 5, 2)
    assert float(rows[1][7]) == pytest.approx(effects[0, 4, 0], rel=1e-4)
    values = np.load(tmp_path / "attributions.npy")
    rows = [line.split("\t") for line in (tmp_path / "attributions.tsv").read_text().splitlines()[1:]]
    np.testing.assert_allclose([float(row[3]) for row in rows], values[40:72], rtol=1e-4)


def test_the_page_needs_nothing_else_and_says_what_was_read(tmp_path, found):
    pytest.importorskip("matplotlib")
    pictures = write_explanation(tmp_path, "", found)
    names = ["attention_pattern.png", "attention_weights.png", "bases.png"]
    assert sorted(path.name for path in pictures) == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    write_page(tmp_path, [found], [pictures], ExplainConfig(), "<script>alert(1)</script>")
    page = (tmp_path / "explain.html").read_text()
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert page.count("data:image/png;base64,") == 3
    assert "&lt;b&gt;odd&lt;/b&gt;: site+ has a probability of 0." in page
    assert "A token&#x27;s attribution" in page or "A token's attribution is shared out evenly" in page
    assert "<li>a remark</li>" in page
    summary = json.loads((tmp_path / "summary.json").read_text())["regions"][0]
    assert (summary["window"], summary["strand"], summary["num_bases"]) == ("chr1:5001-5120", "-", 32)
    assert summary["attribution"]["per_base"] is False
    assert in_words(found).startswith(f"{NAME}: site+ has a probability of 0.")


def test_without_matplotlib_the_tables_are_there_and_that_is_said(tmp_path, found, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert write_explanation(tmp_path, "1.", found) == []
    assert any("pip install 'bigbird[plot]'" in note for note in found.notes)
    assert (tmp_path / "1.mutations.tsv").exists()
    write_page(tmp_path, [found], [[]], ExplainConfig(), "m")
    assert "No pictures were drawn." in (tmp_path / "explain.html").read_text()


def test_what_is_not_asked_is_left_out(tmp_path, monkeypatch):
    target = target_of_record(Record(sequence=dna(50, 1), name="r"))
    config = ExplainConfig(mutate=False, method=None)
    monkeypatch.setattr(explanation, "MAX_TOKENS", 10)
    only = explain(Predictor(loaded_model(STRANDED)), target, config)
    write_explanation(tmp_path, "", only)
    assert sorted(path.name for path in tmp_path.glob("*.tsv")) == ["attention.tsv"]
    assert only.notes == ["attention weights are left out: they are computed for at most 10 tokens, here 52"]


def test_pictures_are_drawn_when_the_last_block_is_sep_alone(tmp_path):
    pytest.importorskip("matplotlib")
    loaded = loaded_model(STRANDED)
    size = loaded.encoder.pattern.block_size
    target = Target(name="r", sequence=dna(3 * size - 1, 1), first=0, last=5)
    found = explain(Predictor(loaded), target, ExplainConfig(mutate=False, method=None))
    assert found.attention.ends[-1] == found.attention.starts[-1] == 3 * size - 1
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in write_explanation(tmp_path, "", found))
