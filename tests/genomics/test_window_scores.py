import numpy as np
import pytest

from bigbird.genomics.window_scores import (
    Judged,
    as_json,
    average_precision_at,
    best_threshold,
    figures,
    from_json,
)
from bigbird.tasks import metrics

TRUTH = np.array([True, False, True, False, False, True])
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])


def test_average_precision_at_the_set_s_own_prevalence_is_the_usual_one():
    usual = metrics.average_precision(TRUTH, SCORES)
    assert average_precision_at(0.5, TRUTH, SCORES) == pytest.approx(usual)
    tied = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    assert average_precision_at(0.5, TRUTH, tied) == pytest.approx(metrics.average_precision(TRUTH, tied))


def test_rarer_promoters_count_every_negative_more_often():
    # one promoter in ten: each negative stands for nine; precision 1, 2/(2+9), 3/(3+27)
    assert average_precision_at(0.1, TRUTH, SCORES) == pytest.approx((1 + 2 / 11 + 3 / 30) / 3)
    assert average_precision_at(0.001, TRUTH, np.linspace(1, 0, 6)) < 0.34
    repeated = np.concatenate([TRUTH, np.zeros(8 * 3, bool)]), np.concatenate([SCORES, np.tile([0.8, 0.6, 0.5], 8)])
    assert average_precision_at(0.1, TRUTH, SCORES) == pytest.approx(metrics.average_precision(*repeated))
    assert np.isnan(average_precision_at(0.1, np.ones(3, bool), SCORES[:3]))


def test_the_best_threshold_is_half_way_to_the_next_score():
    truth = np.array([True, True, False, False])
    assert best_threshold(truth, np.array([4.0, 2.0, 1.0, 0.0])) == 1.5
    assert best_threshold(truth, np.array([1.0, 1.0, 1.0, 1.0])) == 1.0
    grid = [metrics.matthews(TRUTH.astype(int), (t <= SCORES).astype(int)) for t in np.linspace(0, 1, 201)]
    at_best = metrics.matthews(TRUTH.astype(int), (best_threshold(TRUTH, SCORES) <= SCORES).astype(int))
    assert at_best == pytest.approx(max(grid))


def test_figures_are_drawn_by_locus():
    generator = np.random.default_rng(0)
    scores, truth = np.repeat(generator.normal(size=50), 20), np.repeat(generator.random(50) < 0.5, 20)
    rows = Judged(truth, scores + truth, np.arange(1_000))
    loci = rows._replace(loci=np.repeat(np.arange(50), 20))
    by_row, by_locus = (figures(judged, threshold=0.5, prevalence=0.01) for judged in (rows, loci))
    for name, figure in by_row.items():
        assert by_locus[name].value == figure.value
        assert by_locus[name].high - by_locus[name].low > 2 * (figure.high - figure.low)


def test_figures_come_back_from_a_file():
    found = figures(Judged(TRUTH, SCORES, np.zeros(6, int)), threshold=0.65, prevalence=0.01)
    assert np.isnan(found["auroc"].low)  # one locus alone says nothing of how far it varies
    assert found["f1"].value == pytest.approx(2 / 3)
    written = as_json(found)
    written["auroc"]["low"] = None
    back = from_json(written)
    assert back["auroc"].value == pytest.approx(found["auroc"].value, abs=1e-4)
    assert np.isnan(back["auroc"].low)
