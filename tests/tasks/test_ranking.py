import math
import time

import numpy as np
import pytest

from bigbird.tasks import metrics
from bigbird.tasks.ranking import _draws, estimates, ranking


def example(num_places=700, num_labels=5, seed=0):
    generator = np.random.default_rng(seed)
    truth = generator.random((num_places, num_labels)) < 0.1
    scores = np.round(generator.normal(size=truth.shape) + truth, 1).astype(np.float32)  # with ties
    return truth, scores


def test_figures_are_those_of_one_label_at_a_time():
    truth, scores = example()
    ranked = ranking(truth, scores)
    for label in range(truth.shape[1]):
        assert ranked.auroc[label, 0] == pytest.approx(metrics.auroc(truth[:, label], scores[:, label]), abs=1e-12)
        expected = metrics.average_precision(truth[:, label], scores[:, label])
        assert ranked.average_precision[label, 0] == pytest.approx(expected, abs=1e-12)
    assert (ranked.num_positives == truth.sum(0)).all()


def test_a_draw_is_what_copying_its_chunks_gives(monkeypatch):
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 3)
    truth, scores = example()
    ranked = ranking(truth, scores)
    chunks = np.arange(len(truth)) * 32 // len(truth)
    for draw, times in enumerate(_draws(32).T[1:].astype(int), start=1):
        rows = np.repeat(np.arange(len(truth)), times[chunks])
        for label in range(truth.shape[1]):
            drawn = truth[rows, label], scores[rows, label]
            assert ranked.auroc[label, draw] == pytest.approx(metrics.auroc(*drawn), abs=1e-12)
            assert ranked.average_precision[label, draw] == pytest.approx(metrics.average_precision(*drawn), abs=1e-12)


def test_labels_are_means_and_groups():
    truth, scores = example()
    truth[:, 4] = False
    truth[:5, 4] = True  # too few to count
    labels = ["first:v", "first:w", "x", ":y", "rare:z:0"]
    shown = estimates(labels, ranking(truth, scores))
    value = {name: score.value for name, score in shown.items()}
    assert [name for name in value if name.startswith("mean_auroc")] == [
        "mean_auroc",
        "mean_auroc/first",
        "mean_auroc/rare",
    ]
    assert value["mean_auroc"] == pytest.approx(np.mean([value[f"auroc/{label}"] for label in labels[:4]]))
    expected = (value["average_precision/first:v"] + value["average_precision/first:w"]) / 2
    assert value["mean_average_precision/first"] == pytest.approx(expected)
    assert math.isnan(value["mean_auroc/rare"])
    assert shown["mean_auroc"].low < value["mean_auroc"] < shown["mean_auroc"].high
    assert value["prevalence/rare:z:0"] == 5 / 700


def test_a_label_nothing_has_is_not_defined():
    truth, scores = example()
    truth[:, 0] = False
    truth[:, 1] = True
    shown = estimates(list("vwxyz"), ranking(truth, scores))
    assert math.isnan(shown["auroc/v"].value)
    assert math.isnan(shown["average_precision/v"].value)
    assert math.isnan(shown["auroc/w"].value)
    assert shown["average_precision/w"].value == 1
    assert all(math.isnan(x) for x in ranking(truth[:1], scores[:1]).auroc[2])


def test_many_labels_take_seconds():
    truth, scores = example(5000, 100)
    started = time.process_time()
    ranking(truth, scores)
    assert time.process_time() - started < 10  # a bootstrap by definition takes minutes
