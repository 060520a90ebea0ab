import copy

import numpy as np
import pytest
import torch

from bigbird.checkpoint import save_model
from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.predictor import Predictor
from helpers import MOTIF_TASK, YES_NO, dna, loaded_model

RECORDS = [Record(sequence=dna(length, length)) for length in (1, 3, 16, 40, 250, 251, 700, 20, 5, 300)]


def answers(predictor, records):
    return [prediction.probabilities for prediction in predictor.predict(records)]


@pytest.mark.parametrize("task", [YES_NO, MOTIF_TASK], ids=["classification", "token-classification"])
def test_a_record_gets_the_same_bits_alone_and_among_others(task):
    predictor = Predictor(loaded_model(task))
    together = answers(predictor, RECORDS * 3)
    for record, answer in zip(RECORDS * 3, together, strict=True):
        assert np.array_equal(answers(predictor, [record])[0], answer)


def test_predictions_come_in_order_and_as_they_are_ready():
    taken = []

    def watched():
        for index, record in enumerate(RECORDS * 5):
            taken.append(index)
            yield record

    stream = Predictor(loaded_model(YES_NO)).predict(watched())
    next(stream)
    assert len(taken) == 16
    assert len(list(stream)) == len(RECORDS) * 5 - 1


def test_the_model_is_left_as_it_was():
    loaded = loaded_model(YES_NO, dropout=0.5)
    loaded.model.train()
    weights = copy.deepcopy(loaded.model.state_dict())
    state = torch.get_rng_state()
    first, second = (answers(Predictor(loaded), RECORDS[:3]) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True)), "dropout was on"
    assert loaded.model.training
    assert all(torch.equal(weights[name], tensor) for name, tensor in loaded.model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in loaded.model.parameters())


def test_no_records_give_no_predictions():
    assert list(Predictor(loaded_model(YES_NO)).predict([])) == []


@pytest.mark.parametrize("device", ["foo", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(tmp_path, device):
    save_model(tmp_path / "model", loaded_model(YES_NO))
    with pytest.raises(ConfigError, match=f"device '{device}' cannot be used here; this machine has cpu"):
        Predictor.load(tmp_path / "model", device=device)
    assert Predictor.load(tmp_path / "model", device="cpu").loaded.task == YES_NO
