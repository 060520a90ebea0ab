import sys

import numpy as np
import pytest

from bigbird.data.records import Record
from bigbird.errors import ConfigError, MissingDependency
from bigbird.genomics.baselines import (
    COMPOSITION,
    KMERS,
    baseline_figures,
    check_baselines,
    codes_of,
    composition,
    kmer_frequencies,
)
from bigbird.genomics.window_sets import SetWindow
from helpers import dna


def test_kmer_shares_are_those_of_the_letters():
    (shares,) = kmer_frequencies(codes_of(["ACGTNACG"]))
    assert len(shares) == 4 + 16 + 64 + 256 + 1024
    np.testing.assert_allclose(shares[:4], np.array([2, 2, 2, 1]) / 8)
    pairs = dict(zip([a + b for a in "ACGT" for b in "ACGT"], shares[4:20], strict=True))
    assert {pair: share for pair, share in pairs.items() if share} == pytest.approx(
        {"AC": 2 / 7, "CG": 2 / 7, "GT": 1 / 7}
    )
    assert shares[20 : 20 + 64].sum() == pytest.approx(3 / 6)


@pytest.mark.parametrize("length", [300, 400])
def test_composition_counts_each_bin_alone(length):
    found = composition(codes_of(["C" * (length // 2) + "G" * (length // 2)])).reshape(6, 40)
    assert found[1, :20].tolist() == [1] * 20  # C
    assert found[2, 20:].tolist() == [1] * 20  # G
    assert np.flatnonzero(found[4]).tolist() == [19]  # CpG, where the halves meet
    assert found[[0, 3, 5]].sum() == 0


def windows(count, seed, *, rich):
    """Windows of which promoters are richer in CG than the others by `rich`."""
    made = []
    for index in range(count):
        is_promoter = index % 2 == 0
        letters = dna(200, f"{seed} {index}")
        letters = letters.replace("TA", "CG") if is_promoter and rich else letters
        label = "promoter" if is_promoter else "background"
        made.append(SetWindow(Record(sequence=letters, labels=(label,)), label, index))
    return made


def test_baselines_learn_from_train_and_are_scored_on_the_others(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 20)
    for rich, least, most in ((True, 0.8, 1.0), (False, 0.25, 0.75)):
        parts = {part: windows(60, part, rich=rich) for part in ("train", "validation", "test")}
        found = baseline_figures(parts, prevalence=0.01)
        assert list(found["scores"]) == [KMERS, COMPOSITION]
        for scores in found["scores"].values():
            assert set(scores) == {"threshold", "validation", "test"}
            assert least <= scores["test"]["auroc"]["value"] <= most


@pytest.mark.parametrize("parts", [["train"], ["validation"]])
def test_a_set_on_which_nothing_can_be_scored_is_refused(parts):
    with pytest.raises(ConfigError, match="a set needs a train part, from which its baselines learn"):
        baseline_figures({part: windows(4, 0, rich=True) for part in parts}, prevalence=0.01)


def test_without_scikit_learn_it_is_told_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingDependency, match=r"the baselines of a window set, .* pip install 'bigbird\[dna\]'"):
        check_baselines()
