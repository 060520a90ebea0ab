"""Candidates to tokens and back, one answer of several windows, the loss as it is said to be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reader_models as readers
from bigbird import config as configs
from bigbird.checkpoint import load_model, save_model
from bigbird.data.choice_questions import ChoiceQuestion
from bigbird.data.questions import Question
from bigbird.errors import ConfigError, DataError
from bigbird.predictor import Predictor
from bigbird.tasks import ChoiceAnswer, ChoiceQA
from bigbird.tasks.choice_qa import decoded
from bigbird.tasks.span_windows import document_tokens
from bigbird.tokenizers import DnaTokenizer
from bigbird.training.context import check_task
from choice_cases import SMALL, named_value

EVERY_FAMILY = pytest.mark.parametrize("family", readers.FAMILIES)


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory):
    return readers.text_tokenizers(tmp_path_factory.mktemp("vocabularies"))


def asked(*candidates, document="red one", **fields):
    return ChoiceQuestion(question="what is it?", name="q", document=document, candidates=candidates, **fields)


WORDS = st.sampled_from(
    ["a", "the", "red", "fifth", "é", "👩🏽\u200d💻", "日本", "שלום", "[SEP]", "</s>", "\u200b", " ", "'"]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
DOCUMENTS = st.lists(WORDS, max_size=150).map(lambda words: " ".join(["x", *words]))


@EVERY_FAMILY
@settings(max_examples=40, deadline=None, derandomize=True)
@given(document=DOCUMENTS, candidates=st.lists(TEXTS, min_size=1, max_size=6), data=st.data())
def test_every_window_has_all_candidates_and_perfect_logits_choose_the_right_one(
    vocabularies, family, document, candidates, data
):
    tokenizer = vocabularies[family]
    answer = data.draw(st.sampled_from(candidates))
    question = asked(*candidates, document=document, answer=answer)
    task = ChoiceQA(max_length=192, overlap=8, max_windows=100)
    examples = task.encode(question, tokenizer, purpose="train")
    separator = tokenizer.special_id("[SEP]")
    space = " " if family == "roberta" else ""
    for example in examples:
        for number, candidate in enumerate(candidates):
            mark, *ids = example.token_ids[example.bins == number].tolist()
            assert mark == separator
            assert ids == tokenizer.encode_batch([space + candidate], read_symbols=False)[0].ids.tolist()
        special = 1 + len(tokenizer.family.after_first) + 1  # [CLS], those between, the last
        assert (example.token_ids == separator).sum() == len(candidates) + special - 1
    read = set().union(*(set(zip(e.starts.tolist(), e.ends.tolist(), strict=True)) for e in examples)) - {(-1, -1)}
    tokens = document_tokens(document, tokenizer)
    assert read == set(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True))
    perfect = [np.where(example.targets > 0, 30.0, 0.0) for example in examples]
    assert candidates[decoded(perfect).best] == answer


def test_right_is_right_in_one_window_of_many(vocabularies):
    question = named_value(0, num_words=300, num_candidates=3)
    examples = SMALL.encode(question, vocabularies["bert"], purpose="predict")
    assert len(examples) > 4
    silent = [np.zeros(3) for _ in examples]
    silent[3] = np.array([0.0, 20.0, 0.0])
    assert decoded(silent).best == 1
    assert decoded([np.array([1.0, 3.0]), np.array([3.0, -1.0])]).probabilities == pytest.approx(
        (1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)))
    )  # means 2 and 1
    assert ChoiceAnswer((0.4, 0.4, 0.2)).best == 0


def test_question_and_candidates_are_global_and_no_more(vocabularies):
    tokenizer = vocabularies["bert"]
    for num_candidates in (1, 8):
        question = named_value(0, num_candidates=num_candidates)
        (example, *_) = SMALL.encode(question, tokenizer, purpose="predict")
        assert example.global_tokens == 1 + 3 + 2 * num_candidates + 1  # [CLS] what is ? ([SEP] value) … [SEP]
        assert (example.starts >= 0).argmax() == example.global_tokens
        assert example.token_types[: example.global_tokens].max() == 0
        batch = SMALL.collate([example], block_size=4)
        assert batch.layout.global_blocks == (-(-example.global_tokens // 4),)


def test_training_shows_so_many_windows_drawn_anew(vocabularies):
    question = named_value(0, num_words=400)
    drawn = set()
    for draw in range(20):
        shown = SMALL.encode(replace(question, draw=draw), vocabularies["bert"], purpose="train")
        again = SMALL.encode(replace(question, draw=draw), vocabularies["bert"], purpose="train")
        assert [e.first_token for e in shown] == [e.first_token for e in again]
        assert len(shown) == SMALL.max_windows
        drawn.add(tuple(e.first_token for e in shown))
    assert len(drawn) > 10


def test_the_loss_is_the_cross_entropy_of_each_window(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = readers.reader(SMALL, tokenizer)
    questions = [
        named_value(0),
        named_value(1, num_words=100, num_candidates=5),
        asked("red", "one", "red", answer="red"),
    ]
    examples = [e for question in questions for e in SMALL.encode(question, tokenizer, purpose="train")]
    loss = SMALL.loss(loaded.model, SMALL.collate(examples, block_size=16))
    assert int(loss.num_targets) == len(examples) == 4
    byhand = 0.0
    for example in examples:
        batch = SMALL.collate([example], block_size=16)
        logits = loaded.model(batch.token_ids, batch.layout, batch.bins, token_types=batch.token_types)
        shares = torch.softmax(logits.detach().double(), 0).numpy()
        byhand -= np.log(shares[example.targets > 0].sum())
    assert float(loss.total.detach()) == pytest.approx(byhand, rel=1e-5)
    loss.total.backward()
    assert all(bool(p.grad.isfinite().all()) for p in loaded.model.parameters() if p.grad is not None)


def test_an_answer_is_the_same_alone_and_in_any_batch(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = readers.reader(SMALL, tokenizer)
    questions = [named_value(i, num_words=20 + 40 * i, num_candidates=2 + i) for i in range(5)]
    with torch.inference_mode():
        alone = [
            SMALL.predict(loaded.model, SMALL.encode(question, tokenizer, purpose="predict"), block_size=16)[0]
            for question in questions
        ]
        examples = [e for i, q in enumerate(questions) for e in SMALL.encode(q, tokenizer, index=i, purpose="predict")]
        assert SMALL.predict(loaded.model, examples, block_size=16) == alone
    assert [len(one.probabilities) for one in alone] == [2, 3, 4, 5, 6]
    assert all(sum(one.probabilities) == pytest.approx(1) for one in alone)


def test_it_learns_which_candidate_the_document_names(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = readers.reader(SMALL, tokenizer)
    model = loaded.model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for step in range(100):
        questions = [named_value(16 * step + i, num_words=12) for i in range(16)]
        examples = [e for question in questions for e in SMALL.encode(question, tokenizer, purpose="train")]
        loss = SMALL.loss(model, SMALL.collate(examples, block_size=16))
        optimizer.zero_grad()
        (loss.total / loss.num_targets).backward()
        optimizer.step()
    unseen = [named_value(10**6 + i, num_words=12) for i in range(40)]
    assert Predictor(replace(loaded, model=model.eval())).score(unseen)["accuracy"].value > 0.8  # chance: 1 / 2


def test_a_model_is_saved_and_read_back(vocabularies, tmp_path):
    loaded = readers.reader(SMALL, vocabularies["bert"])
    save_model(tmp_path / "model", loaded)
    again = load_model(tmp_path / "model")
    assert again.task == SMALL
    questions = [named_value(i, num_words=90) for i in range(3)]
    assert list(Predictor(again).predict(questions)) == list(Predictor(loaded).predict(questions))


@pytest.mark.parametrize("num_token_types", [0, 1, 2])
def test_encoders_with_any_number_of_token_types_read(vocabularies, num_token_types):
    loaded = readers.reader(SMALL, vocabularies["bert"], num_token_types=num_token_types)
    assert loaded.model.encoder.config.pattern.global_at == "start"
    assert list(Predictor(loaded).predict([named_value(0)]))


def test_the_task_survives_json():
    assert configs.from_json(ChoiceQA, configs.to_json(SMALL), source="f") == SMALL
    assert SMALL.labels == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_windows": 0}, r"task.max_windows must be at least 1, got 0"),
        ({"overlap": -1}, r"task.overlap must be from 0 to less than half of task.max_length \(4096\), got -1"),
        ({"overlap": 2048}, r"task.overlap must be from 0 to less than half of task.max_length \(4096\), got 2048"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        ChoiceQA(**changes)


def test_what_cannot_be_read_is_refused(vocabularies):
    tokenizer = vocabularies["bert"]
    with pytest.raises(DataError, match=r"the document of question 'q' holds no text"):
        SMALL.encode(asked("red", document=" \n"), tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"questions that have some, got a Question; give a file of WikiHop's form"):
        SMALL.encode(Question(question="what?", document="red"), tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"question 'q' is empty; it needs a text"):
        SMALL.encode(replace(asked("red"), question=" "), tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"'q' does not tell which candidate is right, so nothing can be learned"):
        SMALL.encode(asked("red"), tokenizer, purpose="train")
    with pytest.raises(ConfigError, match=r"answers need a vocabulary of text .* got DnaTokenizer"):
        SMALL.encode(asked("red"), DnaTokenizer.single_base(), purpose="predict")


def test_candidates_that_leave_no_room_are_refused_and_none_is_dropped(vocabularies):
    tokenizer = vocabularies["bert"]
    # [CLS] + what is it ? (5 pieces) + 2 a candidate + [SEP] … [SEP]; windows of 64 that share 8
    fits, too_many = (asked(*["red"] * count, answer="red") for count in (23, 24))
    for example in SMALL.encode(fits, tokenizer, purpose="predict"):
        assert len(example.targets) == 23 and example.bins.max() == 22
    message = r"question 'q' and its 24 candidates have 53 tokens, .*Candidates are never left out"
    with pytest.raises(DataError, match=message):
        SMALL.encode(too_many, tokenizer, purpose="predict")
    SMALL.check([fits], tokenizer)
    with pytest.raises(DataError, match=message):
        SMALL.check([fits, too_many], tokenizer)
    with pytest.raises(DataError, match=r"does not tell which candidate is right"):
        SMALL.check([asked("red")], tokenizer)


def test_windows_are_not_divided_over_processes():
    check_task(SMALL, 1)
    with pytest.raises(ConfigError, match=r"which candidate is right is told by all of them together"):
        check_task(SMALL, 2)
