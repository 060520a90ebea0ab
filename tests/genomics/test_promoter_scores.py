import numpy as np
import pytest

from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.genomics.promoter_scores import check_scores, log_odds_near, promoter_scores
from bigbird.predictor import Predictor
from bigbird.tasks import Classification, MaskedLM, TokenClassification
from helpers import YES_NO, dna, loaded_model

WHOLE = Classification(labels=("background", "promoter"), max_length=512, overlap=16)
ALONG = TokenClassification(labels=("promoter-", "promoter+"), max_length=512, overlap=16, strands="both")


def test_only_the_bases_around_the_site_count():
    probabilities = np.full(600, 0.001, np.float32)
    probabilities[300:500] = 0.9  # exactly the 100 bases on either side of 400
    assert log_odds_near(probabilities, 400) == pytest.approx(np.log(9), rel=1e-5)
    assert log_odds_near(probabilities, 401) < log_odds_near(probabilities, 400)
    assert log_odds_near(probabilities, 550) == pytest.approx(-6.9068, rel=0.7)  # the window's end is no fault
    assert np.isfinite(log_odds_near(np.array([0.0, 1.0], np.float32), 1))


@pytest.mark.parametrize("task", [WHOLE, ALONG])
def test_a_score_is_the_log_odds_of_the_model_s_promoter(task):
    predictor = Predictor(loaded_model(task))
    records = [Record(sequence=dna(300, number)) for number in range(3)]
    scores = list(promoter_scores(predictor, records, site=200))
    for score, answer in zip(scores, predictor.predict(records), strict=True):
        column = answer.probabilities[..., 1].astype(np.float64)
        near = column[100:300] if task is ALONG else column
        assert score == pytest.approx(np.log(near / (1 - near)).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            YES_NO,
            r"m is no model of promoters: it answers no, yes; it must have the label 'promoter' for whole windows",
        ),
        (MaskedLM(), r"m is no model of promoters: it answers hidden tokens"),
    ],
)
def test_a_model_of_something_else_is_refused(task, message):
    with pytest.raises(ConfigError, match=message):
        check_scores(Predictor(loaded_model(task)), model="m")
