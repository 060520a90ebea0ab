import hashlib
import math

import numpy as np
import pytest
import torch

from bigbird.data.packing import TokenPiece, TokenRow
from bigbird.data.records import Record
from bigbird.data.segment_pairs import PairRow, SegmentPair
from bigbird.errors import ConfigError, DataError
from bigbird.predictor import Predictor
from bigbird.tasks import MaskedLM, masked_lm
from bigbird.tasks.masked_scores import DocumentScores, by_document, difference
from bigbird.tokenizers import DnaTokenizer
from bigbird.tokenizers.train_text import train_text_tokenizer
from bigbird.training import evaluation
from helpers import SINGLE_BASE, dna, loaded_model

TASK = MaskedLM(max_length=256)
PAIRS = MaskedLM(max_length=256, next_segment=True)
BPE = DnaTokenizer.train([dna(300, seed) for seed in range(100)], vocab_size=100)

TEXT = train_text_tokenizer(["the elephant sat", "an elephant ran home"] * 9, vocab_size=300)


def piece(tokenizer, text, *, start=0, end=None, document=0, draw=5):
    ids = tokenizer.encode_batch([text])[0].ids[start:end].astype(np.int32)
    return TokenPiece(ids, document, start, draw, f"document {document}")


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


def test_the_tokens_hidden_by_default_are_those_of_the_first_release():
    digest = hashlib.sha256()
    for example in examples_of(Record(sequence=dna(400, 7), draw=11), MaskedLM(max_length=128, overlap=8)):
        digest.update(example.token_ids.tobytes() + example.weights.tobytes())
    assert digest.hexdigest()[:16] == "974d3c32d0acd3d2"


def test_each_piece_of_a_row_becomes_an_example_of_its_own():
    row = TokenRow((piece(SINGLE_BASE, dna(60, 1)), piece(SINGLE_BASE, dna(90, 2), start=30, document=1)))
    for example, one in zip(examples_of(row), row.pieces, strict=True):
        assert example.token_ids[[0, -1]].tolist() == [SINGLE_BASE.special_id("[CLS]"), SINGLE_BASE.special_id("[SEP]")]
        is_hidden = example.targets >= 0
        assert (example.token_ids[1:-1] == one.token_ids)[~is_hidden[1:-1]].all()
        assert (example.targets[1:-1] == one.token_ids)[is_hidden[1:-1]].all()
        assert (example.weights == is_hidden).all()  # a base is one letter
        assert example.starts[1:-1].tolist() == list(range(one.start, one.start + len(one.token_ids)))
        assert not (example.ends - example.starts)[[0, -1]].any()
        assert (example.ends - example.starts)[1:-1].all()


@pytest.mark.parametrize("unit", ["token", "span"])
def test_a_document_cut_anywhere_hides_the_same_tokens(unit):
    task, text = MaskedLM(unit=unit, max_length=256), dna(200, 3)
    (whole,) = task.encode(TokenRow((piece(SINGLE_BASE, text),)), SINGLE_BASE, purpose="train")
    parts = TokenRow((piece(SINGLE_BASE, text, end=77), piece(SINGLE_BASE, text, start=77)))
    first, second = task.encode(parts, SINGLE_BASE, purpose="train")
    for column in ("token_ids", "targets", "weights"):
        joined = np.concatenate((getattr(first, column)[1:-1], getattr(second, column)[1:-1]))
        assert (joined == getattr(whole, column)[1:-1]).all()


def test_a_row_without_neighbours_is_as_one_with_them():
    one, other = (piece(SINGLE_BASE, dna(60, seed), document=seed, draw=seed) for seed in (1, 2))
    together = examples_of(TokenRow((other, one)))[1]
    (alone,) = examples_of(TokenRow((one,)))
    assert (together.token_ids == alone.token_ids).all()


def test_whole_words_of_text_are_hidden():
    task = MaskedLM(unit="word", share=0.5)
    text = " the elephant ran home" * 20
    (example,) = task.encode(TokenRow((piece(TEXT, text),)), TEXT, purpose="train")
    ids, is_hidden = TEXT.encode_batch([text])[0].ids, example.targets[1:-1] >= 0
    words = np.split(is_hidden, np.flatnonzero(TEXT.word_starts[ids])[1:])
    assert {word.all() for word in words} == {True, False}
    assert all(word.all() or not word.any() for word in words)
    assert max(map(len, words)) > 1
    assert (example.weights[1:-1] == TEXT.letters[ids] * is_hidden).all()


def test_a_space_alone_is_guessed_too_though_it_is_no_letter():
    task = MaskedLM(share=0.9)
    (example,) = task.encode(TokenRow((piece(TEXT, " " * 99),)), TEXT, purpose="train")
    assert (example.targets >= 0).sum() > 1
    assert not example.weights.any()


def test_pieces_of_one_document_are_scored_together():
    tokenizer = SINGLE_BASE
    texts = [dna(120, seed) for seed in range(3)]
    rows = [
        TokenRow((piece(tokenizer, texts[0], end=50), piece(tokenizer, texts[1], document=1))),
        TokenRow((piece(tokenizer, texts[2], document=2), piece(tokenizer, texts[0], start=50))),
    ]
    predictions = list(Predictor(loaded_model(TASK)).predict(rows))
    assert [len(prediction.windows) for prediction in predictions] == [2, 2]
    scores = by_document(predictions, rows)
    assert scores.names == ("document 0", "document 1", "document 2")
    assert scores.numbers.tolist() == [0, 1, 2]
    assert scores.nats[0] == pytest.approx(predictions[0].windows[0].nats + predictions[1].windows[1].nats)
    assert scores.letters.sum() == sum(prediction.num_letters for prediction in predictions)
    estimate = TASK.score(predictions, rows)["bits_per_letter"]
    assert estimate.value == pytest.approx(scores.nats.sum() / scores.letters.sum() / math.log(2))
    assert estimate.low < estimate.value < estimate.high


def test_a_difference_is_taken_document_by_document():
    rows = [TokenRow((piece(SINGLE_BASE, dna(60, seed), document=seed, draw=seed),)) for seed in range(4)]
    one, other = (
        by_document(list(Predictor(loaded_model(TASK, seed=seed)).predict(some)), some)
        for seed, some in ((0, rows), (1, rows[::-1]))
    )
    assert difference(one, one) == (0, 0, 0)
    turned_around = DocumentScores(*(column[::-1] for column in one))
    assert difference(one, turned_around) == (0, 0, 0)  # paired by document, in whatever order
    apart, turned = difference(one, other), difference(other, one)
    assert apart.value == pytest.approx(-turned.value)
    assert apart.low <= apart.value <= apart.high
    with pytest.raises(DataError, match="needs scores of the same documents, got 4 and 3 that differ"):
        difference(one, DocumentScores(*(column[:3] for column in one)))


def test_one_pass_gives_the_score_and_the_loss_of_training(monkeypatch):
    loaded = loaded_model(TASK)
    records = [Record(sequence=dna(90, seed), draw=seed) for seed in range(3)]
    expected = evaluation.mean_loss(loaded, records)
    calls = []
    forward = type(loaded.model).forward
    monkeypatch.setattr(type(loaded.model), "forward", lambda *a, **k: calls.append(1) or forward(*a, **k))
    assert evaluation.evaluate(loaded, records)["loss"].value == pytest.approx(expected, rel=1e-6)
    assert len(calls) == 1


def pair(*, follows=True, texts=(1, 2), lengths=(60, 90)):
    first, second = (
        piece(SINGLE_BASE, dna(length, seed), document=seed, draw=seed)
        for seed, length in zip(texts, lengths, strict=True)
    )
    return SegmentPair(first, second, follows)


def test_a_pair_has_two_texts_their_types_and_their_order():
    (example,) = examples_of(PairRow((pair(),)), PAIRS)
    cls, sep = (SINGLE_BASE.special_id(name) for name in ("[CLS]", "[SEP]"))
    assert example.token_ids[[0, 61, -1]].tolist() == [cls, sep, sep]
    assert example.token_types.tolist() == [0] * 62 + [1] * 91
    assert len(example.token_ids) == len(example.targets) == len(example.weights) == len(example.starts) == 153
    alone = examples_of(TokenRow((pair().second,)), PAIRS)[0]
    assert (example.token_ids[62:] == alone.token_ids[1:]).all()  # hidden as it is anywhere
    assert [examples_of(PairRow((pair(follows=follows),)), PAIRS)[0].order for follows in (True, False)] == [0, 1]


def test_a_piece_too_short_for_two_has_no_order():
    (example,) = examples_of(PairRow((pair()._replace(second=None),)), PAIRS)
    assert (example.token_types, example.order) == (None, -1)
    batch = PAIRS.collate([example, *examples_of(PairRow((pair(),)), PAIRS)], block_size=16)
    assert batch.order.tolist() == [-1, 0]
    assert batch.token_types.sum() == 91
    assert PAIRS.collate([example], block_size=16).order is None


def test_the_loss_of_pairs_adds_that_of_their_order():
    loaded = loaded_model(PAIRS, num_token_types=2)
    rows = [PairRow((pair(), pair(follows=False, texts=(3, 4)))), PairRow((pair()._replace(second=None),))]
    examples = [example for row in rows for example in examples_of(row, PAIRS)]
    batch = PAIRS.collate(examples, block_size=16)
    with torch.no_grad():
        logits = loaded.model(batch.token_ids, batch.layout, token_types=batch.token_types)
        loss = PAIRS.loss(loaded.model, batch)
    tokens = batch.layout.unpack(logits.tokens).double().log_softmax(1)
    hidden = torch.nonzero(batch.targets >= 0)[:, 0]
    expected = -tokens[hidden, batch.targets[hidden].long()].sum()
    order = -logits.order.double().log_softmax(1)
    expected = expected + 0.15 * 153 * (order[0, 0] + order[1, 1])
    assert float(loss.total) == pytest.approx(float(expected), rel=1e-5)
    assert int(loss.num_targets) == len(hidden)
    predictions = list(Predictor(loaded).predict(rows))
    assert PAIRS.mean_loss(predictions) == pytest.approx(float(expected) / len(hidden), rel=1e-5)
    scores = PAIRS.score(predictions, rows)
    guessed = [int(row.argmax()) == truth for row, truth in zip(logits.order[:2], (0, 1), strict=True)]
    assert scores["order_accuracy"].value == np.mean(guessed)
    assert by_document(predictions, rows).numbers.tolist() == [1, 3]


def test_a_model_of_pairs_scores_single_texts_too():
    loaded = loaded_model(PAIRS, num_token_types=2)
    rows = [TokenRow((piece(SINGLE_BASE, dna(60, 1)),))]
    assert set(PAIRS.score(list(Predictor(loaded).predict(rows)), rows)) == {"bits_per_letter"}


def test_pairs_need_two_token_types():
    with pytest.raises(ConfigError, match=r"num_token_types must be at least 2, got 0; set start.encoder"):
        loaded_model(PAIRS)


def test_the_loss_of_nothing_hidden_is_unknown():
    assert math.isnan(TASK.mean_loss([]))


def test_a_piece_longer_than_the_model_reads_is_refused():
    with pytest.raises(ConfigError, match=r"document 0' has 257 tokens .* task.max_length 256. Give data.row_leng"):
        examples_of(TokenRow((piece(SINGLE_BASE, dna(255, 1)),)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"share": 0.0}, "share must lie between 0 and 1, got 0.0"),
        ({"labels": ("a",)}, "masked language modelling has no labels"),
        ({"unit": "line"}, "unit must be one of token, word, span, got 'line'"),
        ({"mean_span": 0}, "mean_span must be from 1 to 100 tokens, got 0"),
        ({"max_length": 2}, "max_length must be at least 3"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        MaskedLM(**arguments)


@pytest.mark.parametrize("num_hidden", [0, 1, 63, 64, 65])
def test_the_number_of_guesses_is_made_up_to_whole_shapes_without_changing_any(num_hidden):
    targets = torch.full((200,), -1.0)
    targets[torch.arange(num_hidden) * 3] = torch.arange(num_hidden).float()
    chosen = torch.nonzero(targets >= 0)[:, 0]
    filled, known = masked_lm._filled(chosen, targets)
    assert len(filled) == len(known) == -(-num_hidden // 64) * 64
    assert torch.equal(filled[:num_hidden], chosen)
    assert known[:num_hidden].tolist() == list(range(num_hidden))
    assert (known[num_hidden:] == -100).all()
