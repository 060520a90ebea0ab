"""What trivial models make of a window set. Their figures stand in every set and beside every model's.

A bag of 5-mers knows no order and no distance, composition along the window no motif. What they reach says how much of
a figure comes from the way negatives were made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bigbird.data.records import Record
from bigbird.errors import ConfigError, require
from bigbird.genomics.kmer_words import CODES
from bigbird.genomics.promoter_labels import PROMOTER
from bigbird.genomics.window_scores import Floats, Judged, as_json, best_threshold, figures
from bigbird.genomics.window_sets import Part, SetWindow

KMERS = "1- to 5-mers (logistic regression)"
COMPOSITION = "composition of 40 bins (gradient boosting)"
LONGEST_KMER = 5
NUM_BINS = 40

Codes = NDArray[np.uint8]


def codes_of(sequences: Sequence[str]) -> Codes:
    """Base codes 0 to 3 for A, C, G, T and 4 for N, [windows, bases]; all sequences must be of one length."""
    return np.stack([CODES[np.frombuffer(sequence.encode(), np.uint8)] for sequence in sequences])


def kmer_frequencies(codes: Codes) -> NDArray[np.float32]:
    """Shares of all 1- to 5-mers among a window's places, [windows, 4 + 16 + … + 1024]; those with N do not count."""
    return np.stack([np.concatenate([_shares(row, k) for k in range(1, LONGEST_KMER + 1)]) for row in codes])


def _shares(codes: Codes, k: int) -> NDArray[np.float32]:
    places = len(codes) - k + 1
    index = sum(codes[shift : shift + places].astype(np.int64) * 4 ** (k - 1 - shift) for shift in range(k))
    is_known = np.all([codes[shift : shift + places] < 4 for shift in range(k)], axis=0)
    counts: NDArray[np.int64] = np.bincount(index[is_known], minlength=4**k)
    return (counts / places).astype(np.float32)


def composition(codes: Codes) -> NDArray[np.float32]:
    """Shares of A, C, G, T, CpG and TpA in 40 bins along the window, [windows, 240]."""
    following = np.pad(codes[:, 1:], ((0, 0), (0, 1)), constant_values=4)
    flags = [codes == base for base in range(4)]
    flags += [(codes == 1) & (following == 2), (codes == 3) & (following == 0)]
    edges = np.round(np.linspace(0, codes.shape[1], NUM_BINS + 1)).astype(np.int64)
    sums = [np.pad(flag.cumsum(1), ((0, 0), (1, 0)))[:, edges] for flag in flags]
    return np.concatenate([np.diff(one, axis=1) / np.diff(edges) for one in sums], axis=1).astype(np.float32)


class Baseline(NamedTuple):
    """Features of windows, and what makes a classifier of them."""

    features: Callable[[Codes], NDArray[np.float32]]
    make: Callable[[], Any]


def _logistic_regression() -> Any:
    preprocessing = _sklearn("sklearn.preprocessing")
    pipeline, linear = _sklearn("sklearn.pipeline"), _sklearn("sklearn.linear_model")
    return pipeline.make_pipeline(preprocessing.StandardScaler(), linear.LogisticRegression(C=0.01, max_iter=1000))


def _gradient_boosting() -> Any:
    ensemble = _sklearn("sklearn.ensemble")
    return ensemble.HistGradientBoostingClassifier(max_iter=300, learning_rate=0.06, random_state=0)


def _sklearn(module: str) -> Any:
    return require(module, extra="dna", purpose="the baselines of a window set, without which no figure is told,")


BASELINES: Mapping[str, Baseline] = {
    KMERS: Baseline(kmer_frequencies, _logistic_regression),
    COMPOSITION: Baseline(composition, _gradient_boosting),
}


def check_baselines() -> None:
    """Raise, before any work is done, when what baselines need is not installed."""
    _sklearn("sklearn")


def baseline_scores(
    train: Sequence[SetWindow], parts: Mapping[Part, Sequence[SetWindow]]
) -> dict[str, dict[Part, Floats]]:
    """Each baseline's probabilities of a promoter for the windows of each part, learned from the training windows."""
    truth = truth_of(train)
    letters = {part: codes_of([window.record.sequence for window in windows]) for part, windows in parts.items()}
    learned_from = codes_of([window.record.sequence for window in train])
    scores: dict[str, dict[Part, Floats]] = {}
    for name, (features, make) in BASELINES.items():
        classifier = make().fit(features(learned_from), truth)
        scores[name] = {part: classifier.predict_proba(features(codes))[:, 1] for part, codes in letters.items()}
    return scores


def kmer_scores(train: Sequence[Record], others: Sequence[Record]) -> Floats:
    """The k-mer baseline's probabilities of a promoter for `others`, learned from the training records."""
    features, make = BASELINES[KMERS]
    truth = np.array([PROMOTER in record.labels for record in train])
    letters, unseen = (codes_of([record.sequence for record in records]) for records in (train, others))
    scores: Floats = make().fit(features(letters), truth).predict_proba(features(unseen))[:, 1]
    return scores


def truth_of(windows: Sequence[SetWindow]) -> NDArray[np.bool_]:
    """Which windows are promoters."""
    return np.array([PROMOTER in window.record.labels for window in windows])


def loci_of_rows(windows: Sequence[SetWindow]) -> NDArray[np.int64]:
    """The windows' loci."""
    return np.array([window.locus for window in windows])


def baseline_figures(parts: Mapping[Part, Sequence[SetWindow]], *, prevalence: float) -> dict[str, Any]:
    """What baselines that learn from the train part reach on the others, ready for JSON.

    Thresholds are chosen on validation; without that part they are a probability of 0.5.
    """
    held_out: dict[Part, Sequence[SetWindow]] = {part: some for part, some in parts.items() if part != "train"}
    if "train" not in parts or not held_out:
        raise ConfigError(
            "a set needs a train part, from which its baselines learn, and another on which they are scored; give "
            "--train and --validation or --test"
        )
    results: dict[str, Any] = {}
    for name, scores in baseline_scores(parts["train"], held_out).items():
        threshold = (
            best_threshold(truth_of(held_out["validation"]), scores["validation"]) if "validation" in held_out else 0.5
        )
        results[name] = {"threshold": threshold} | {
            part: as_json(
                figures(
                    Judged(truth_of(windows), scores[part], loci_of_rows(windows)),
                    threshold=threshold,
                    prevalence=prevalence,
                )
            )
            for part, windows in held_out.items()
        }
    return {"prevalence": prevalence, "scores": results}
