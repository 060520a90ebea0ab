import math

import numpy as np
import pytest
import torch

from bigbird.data.records import Record
from bigbird.errors import ConfigError
from bigbird.predictor import Predictor
from bigbird.tasks import MaskedLM
from bigbird.tokenizers import DnaTokenizer
from helpers import SINGLE_BASE, dna, loaded_model

TASK = MaskedLM(max_length=256)
BPE = DnaTokenizer.train([dna(300, seed) for seed in range(100)], vocab_size=100)


def examples_of(record, task=TASK, tokenizer=SINGLE_BASE):
    return task.encode(record, tokenizer, purpose="train")


def test_15_percent_are_chosen_and_80_10_10_of_them_masked_replaced_kept():
    chosen, masked, kept = [], [], []
    for draw in range(200):
        (example,) = examples_of(Record(sequence=dna(254, draw), draw=draw))
        is_chosen = example.weights > 0
        chosen.append(is_chosen[1:-1].mean())
        shown, truth = example.token_ids[is_chosen], example.targets[is_chosen]
        masked.append((shown == SINGLE_BASE.special_id("[MASK]")).mean())
        kept.append((shown == truth).mean())
        truth_of_all = SINGLE_BASE.encode_batch([dna(254, draw)])[0].ids
        assert (example.token_ids[1:-1] == truth_of_all)[~is_chosen[1:-1]].all()
        assert (example.targets[~is_chosen] == -1).all()
        assert not is_chosen[[0, -1]].any()
    assert np.mean(chosen) == pytest.approx(0.15, abs=0.005)
    assert np.mean(masked) == pytest.approx(0.80, abs=0.01)
    num_ordinary = len(SINGLE_BASE.ordinary_ids)
    assert np.mean(kept) == pytest.approx(0.10 + 0.10 / num_ordinary, abs=0.01)  # a random token may be the true one


def test_which_tokens_are_hidden_depends_on_the_draw_and_the_place_alone():
    record = Record(sequence=dna(200, 1), draw=5)
    (one,), (again,) = examples_of(record), examples_of(record)
    (other,) = examples_of(Record(sequence=record.sequence, draw=6))
    assert (one.token_ids == again.token_ids).all()
    assert (one.weights != other.weights).any()


def test_windows_of_one_record_hide_different_places():
    first, second = examples_of(Record(sequence="A" * 508, draw=5))
    assert (first.weights != second.weights).any()


@pytest.mark.parametrize("tokenizer", [SINGLE_BASE, BPE], ids=["single-base", "bpe"])
def test_loss_and_score_are_the_log_likelihood_of_the_hidden_tokens(tokenizer):
    loaded = loaded_model(TASK, tokenizer=tokenizer)
    record = Record(sequence=dna(200, 2), draw=3)
    (example,) = examples_of(record, tokenizer=tokenizer)
    batch = TASK.collate([example], block_size=16)
    with torch.no_grad():
        logits = batch.layout.unpack(loaded.model(batch.token_ids, batch.layout)).double().log_softmax(1)
        loss = TASK.loss(loaded.model, batch)
    hidden = np.flatnonzero(example.weights)
    expected = -sum(float(logits[place, int(example.targets[place])]) for place in hidden)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert int(loss.num_targets) == len(hidden)
    (prediction,) = Predictor(loaded).predict([record])
    assert prediction.nats == pytest.approx(expected, rel=1e-5)
    assert prediction.num_letters == sum(example.ends[hidden] - example.starts[hidden])
    bits = TASK.score([prediction], [record])["bits_per_letter"].value
    assert bits == pytest.approx(expected / prediction.num_letters / math.log(2), rel=1e-5)


@pytest.mark.parametrize("length", [10, 20, 30, 200])
def test_a_record_gets_the_same_bits_alone_and_in_a_batch(length):
    predictor = Predictor(loaded_model(TASK))
    record, *others = (Record(sequence=dna(n, seed), draw=seed) for seed, n in enumerate((length, 400, 55)))
    (alone,) = predictor.predict([record])
    assert next(iter(predictor.predict([record, *others]))) == alone


def test_the_windows_of_a_record_add_up():
    loaded = loaded_model(TASK)
    record = Record(sequence=dna(700, 4), draw=9)
    (prediction,) = Predictor(loaded).predict([record])
    assert prediction.num_letters == sum(int(example.weights.sum()) for example in examples_of(record))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"share": 0.0}, "share must lie between 0 and 1, got 0.0"),
        ({"labels": ("a",)}, "masked language modelling has no labels"),
        ({"max_length": 2}, "max_length must be at least 3"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        MaskedLM(**arguments)
