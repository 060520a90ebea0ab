import numpy as np
import pytest

from bigbird.genomics.kmer_ridge import best_penalty, fit_ridge, kmer_counts
from bigbird.tokenizers import reverse_complement
from helpers import dna


def test_both_strands_have_the_same_counts_and_n_counts_for_nothing():
    sequence = dna(300, 0)
    one, other, with_n = kmer_counts([sequence, reverse_complement(sequence), "NNNN" + sequence])
    assert one.shape == (512,)
    assert one.sum() == 296
    assert (one == other).all()
    assert (one == with_n).all()
    assert kmer_counts(["ACGTN" * 3]).sum() == 0


def test_labels_of_a_word_are_ranked_by_it():
    words = ("TGACT", "GGGCG")
    sequences = [dna(40, seed) + words[seed % 2] * 2 * (seed % 4 < 2) + dna(40, -seed) for seed in range(400)]
    truth = np.array([[seed % 4 == 0, seed % 4 == 1] for seed in range(400)])
    features = kmer_counts(sequences)
    penalty = best_penalty([features[:200], features[200:300]], [truth[:200], truth[200:300]])
    scores = fit_ridge(features[:300], truth[:300], penalty=penalty).scores(features[300:])
    for label in (0, 1):
        positives, negatives = (scores[truth[300:, label] == is_there, label] for is_there in (True, False))
        assert np.median(positives) > np.quantile(negatives, 0.95)


def test_weights_are_those_of_the_normal_equations():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(50, 4)).astype(np.float32), generator.random((50, 2)) < 0.4
    fitted = fit_ridge(x, y, penalty=3.0)
    z = (x - x.mean(0)) / (x.std(0) + 1e-6)
    expected = np.linalg.inv(z.T @ z + 3 * np.eye(4)) @ z.T @ (y - y.mean(0))
    assert fitted.weights == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert fitted.scores(x) == pytest.approx(z @ expected, rel=1e-3, abs=1e-3)
