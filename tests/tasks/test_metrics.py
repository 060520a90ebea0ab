import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigbird.tasks import metrics

sklearn = pytest.importorskip("sklearn.metrics")


@st.composite
def scored(draw):
    size = draw(st.integers(2, 60))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    truth = generator.random(size) < draw(st.floats(0.1, 0.9))
    truth[:2] = [True, False]
    scores = generator.integers(0, draw(st.sampled_from([2, 5, 1000])), size) / 10  # many ties, or few
    return truth, scores


@settings(max_examples=200, deadline=None, derandomize=True)
@given(scored())
def test_ranking_metrics_equal_scikit_learn(pair):
    truth, scores = pair
    assert metrics.auroc(truth, scores) == pytest.approx(sklearn.roc_auc_score(truth, scores), abs=1e-12)
    expected = sklearn.average_precision_score(truth, scores)
    assert metrics.average_precision(truth, scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_classification_metrics_equal_scikit_learn(pairs):
    truth, guess = np.array(pairs).T
    assert metrics.matthews(truth, guess) == pytest.approx(sklearn.matthews_corrcoef(truth, guess), abs=1e-12)
    assert metrics.accuracy(truth, guess) == sklearn.accuracy_score(truth, guess)
    if ((truth == 1) | (guess == 1)).any():
        assert metrics.f1(truth == 1, guess == 1) == pytest.approx(sklearn.f1_score(truth == 1, guess == 1), abs=1e-12)


def test_a_metric_that_is_not_defined_is_nan():
    nothing = np.zeros(4, bool)
    assert np.isnan(metrics.auroc(nothing, np.arange(4.0)))
    assert np.isnan(metrics.average_precision(nothing, np.arange(4.0)))
    assert np.isnan(metrics.f1(nothing, nothing))


def test_intervals_hold_the_value_repeat_and_narrow_with_more_records():
    generator = np.random.default_rng(0)
    truth = generator.random(4000) < 0.5
    scores = truth + generator.normal(size=4000)
    few, many = (metrics.bootstrap(metrics.auroc, truth[:n], scores[:n]) for n in (200, 4000))
    assert few.low < few.value < few.high
    assert many.high - many.low < 0.4 * (few.high - few.low)
    assert metrics.bootstrap(metrics.auroc, truth[:200], scores[:200]) == few


def test_a_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        truth = generator.random(300) < 0.5
        estimate = metrics.bootstrap(metrics.accuracy, truth, truth ^ (generator.random(300) < 0.2))
        covered += estimate.low <= 0.8 <= estimate.high
    assert 88 <= covered <= 100


def test_of_a_single_record_nothing_tells_how_far_a_figure_varies():
    found = metrics.bootstrap(lambda some: float(np.mean(some)), np.array([0.25]))
    assert found.value == 0.25
    assert np.isnan([found.low, found.high]).all()


def test_rows_of_a_group_are_drawn_together():
    groups = np.array([7, 3, 7, 3, 7])
    values = np.array([1, 10, 100, 1_000, 10_000])
    seen = set()

    def total(rows):
        seen.add(int(rows.sum()))
        return float(rows.mean())

    metrics.bootstrap(total, values, groups=groups)
    assert seen == {11_111, 2 * 10_101, 2 * 1_010}
    alone = metrics.bootstrap(total, values, groups=np.zeros(5, int))
    assert np.isnan([alone.low, alone.high]).all()


def test_groups_of_one_row_change_nothing():
    values = np.random.default_rng(0).normal(size=30)
    assert metrics.bootstrap(np.mean, values) == metrics.bootstrap(np.mean, values, groups=np.arange(30))


def test_of_many_figures_those_of_single_labels_are_left_for_later():
    few = ["loss", "auroc/a", "average_precision/a"]
    assert metrics.headline_names(few) == few
    many = ["loss", "mean_auroc", "mean_auroc/TF", *(f"auroc/{number}" for number in range(30))]
    assert metrics.headline_names(many) == many[:3]
