"""One score per window out of any model that knows promoters: higher is more like a start site at the window's site."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.genomics.promoter_labels import PROMOTER
from bigbird.predictor import Predictor
from bigbird.tasks import Classification, TokenClassification

CENTRE_BP = 100  # on chr16:78-90 Mb the mean over so many bases ranked better than the highest score
OWN_STRAND = "promoter+"  # windows are read on their promoter's strand; better there than both strands together

_LEAST = 1e-12  # of a probability, so that its odds are finite


def check_scores(predictor: Predictor, *, model: str) -> None:
    """Raise for a model that says nothing of promoters."""
    task = predictor.loaded.task
    label = PROMOTER if isinstance(task, Classification) else OWN_STRAND
    if not isinstance(task, Classification | TokenClassification) or label not in task.labels:
        raise ConfigError(
            f"{model} is no model of promoters: it answers {', '.join(task.labels) or 'hidden tokens'}; it must have "
            f"the label {PROMOTER!r} for whole windows, or {OWN_STRAND!r} along them"
        )


def promoter_scores(predictor: Predictor, records: Iterable[Record], *, site: int) -> Iterator[float]:
    """The log-odds of a promoter for each record, whose start site would be its base `site`.

    A model of whole windows is asked for the window; one along the sequence for the 100 bases on either side of the
    site, whose mean is taken.
    """
    task = predictor.loaded.task
    if isinstance(task, Classification):
        column = task.labels.index(PROMOTER)
        for prediction in predictor.predict(records):
            yield float(_log_odds(prediction.probabilities[column]))
    else:
        column = task.labels.index(OWN_STRAND)
        for prediction in predictor.predict(records):
            yield log_odds_near(prediction.probabilities[:, column], site)


def log_odds_near(probabilities: NDArray[np.float32], site: int) -> float:
    """Mean log-odds of the probabilities [bases] within 100 bases of a site."""
    near = probabilities[max(site - CENTRE_BP, 0) : site + CENTRE_BP].astype(np.float64)
    return float(_log_odds(near).mean())


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probability, _LEAST, 1 - _LEAST)
    odds: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return odds
