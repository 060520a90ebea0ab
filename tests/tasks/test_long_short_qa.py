"""Pages to windows and back: exact long and short answers, none lost however far down, the loss as it is said to be."""

import logging
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reader_models as readers
from bigbird import config as configs
from bigbird.checkpoint import load_model, save_model
from bigbird.data.long_short_questions import Annotation, TokenSpan
from bigbird.data.questions import Question
from bigbird.errors import ConfigError, DataError
from bigbird.predictor import Predictor
from bigbird.tasks import LongShortQA, LongShortReading
from bigbird.tasks.long_short_decoding import WindowLogits, reading_of_page
from bigbird.tasks.long_short_windows import KIND, KINDS, LONG, SHORT, best_window
from bigbird.tasks.prediction import RECORDS_AT_ONCE
from bigbird.tasks.span_windows import document_tokens
from bigbird.training.context import check_task
from bigbird.training.evaluation import evaluate
from long_short_cases import SMALL, answered, needle, page

SURE = 40.0
WIDE = replace(SMALL, max_answer_windows=1000, null_share=1.0)
EVERY_FAMILY = pytest.mark.parametrize("family", readers.FAMILIES)


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory):
    return readers.text_tokenizers(tmp_path_factory.mktemp("vocabularies"))


def perfect(example, labels):
    """Logits of a window that say what its labels say; of one that training leaves out, that nothing is there."""
    ends, kinds = np.zeros((len(example.token_ids), 4)), np.zeros(len(KINDS))
    kinds[0 if labels is None else int(labels.targets[0, KIND])] = SURE
    for columns, weights in ((SHORT, 0), (LONG, 1)):
        for column in range(columns.start, columns.stop):
            if labels is None or not labels.targets[:, column].any():
                is_learned = labels is None or labels.weights[1:, weights].any()
                ends[0, column] = SURE * is_learned
            else:
                ends[labels.targets[:, column] > 0, column] = SURE
    return WindowLogits(ends, kinds)


def read_from_labels(task, question, tokenizer):
    """What is read off logits that say what the labels say, at the threshold 0."""
    labels = {example.first_token: example for example in task.encode(question, tokenizer, purpose="train")}
    windows = task.encode(question, tokenizer, purpose="predict")
    assert set(labels) <= {example.first_token for example in windows}
    pairs = [(example, perfect(example, labels.get(example.first_token))) for example in windows]
    said = reading_of_page(pairs, max_answer_tokens=task.max_answer_tokens).answer_to(question)
    is_short = said.short_score > 0
    long = said.long if said.long_score > 0 else None
    return Annotation(long, said.short if is_short else (), said.yes_no if is_short else "")


WORDS = st.sampled_from([*readers.KEYS, *readers.NOISE, "fifth", "é", "日本", "שלום", "[SEP]", "x" * 30])
LINES = st.lists(st.lists(WORDS, min_size=1, max_size=12), min_size=1, max_size=8)


@EVERY_FAMILY
@settings(max_examples=60, deadline=None, derandomize=True)
@given(lines=LINES, times=st.integers(1, 12), data=st.data())
def test_labels_come_back_as_exactly_their_tokens(vocabularies, family, lines, times, data):
    tokenizer = vocabularies[family]
    place = data.draw(st.integers(0, len(lines) - 1))
    lines[place] = lines[place] * times  # up to longer than a window
    question = page(lines)
    first = data.draw(st.integers(0, len(lines[place]) - 1))
    last = min(len(lines[place]) - 1, first + data.draw(st.integers(0, 2)))
    kind = data.draw(st.sampled_from(KINDS))
    truth = {
        "null": Annotation(),
        "long": answered(question, place),
        "short": answered(question, place, first, last),
        "yes": answered(question, place, yes_no="yes"),
        "no": answered(question, place, yes_no="no"),
    }[kind]
    question = replace(question, annotations=(truth,))
    if kind == "short":
        tokens = document_tokens(question.document, tokenizer).tokens_of(*question.characters(truth.short[0]))
        if tokens[1] - tokens[0] >= SMALL.max_answer_tokens:
            return  # longer than any answer that is given
    assert read_from_labels(WIDE, question, tokenizer) == truth


def test_no_answer_is_lost_however_far_down_the_page(vocabularies):
    tokenizer = vocabularies["bert"]
    lines = [["red", "and", "blue", "so"] for _ in range(60)]
    question = page(lines)
    assert len(WIDE.encode(question, tokenizer, purpose="predict")) > 7
    for line in range(60):
        asked = replace(question, annotations=(answered(question, line, 1, 2),))
        shown = SMALL.encode(asked, tokenizer, purpose="train")
        having = [example for example in shown if example.targets[:, :KIND].any()]
        assert having
        for example in having:
            for columns, span in ((SHORT, asked.annotations[0].short[0]), (LONG, asked.annotations[0].long)):
                found = [example.targets[:, column] > 0 for column in range(columns.start, columns.stop)]
                if any(one.any() for one in found):
                    assert (example.starts[found[0]], example.ends[found[1]]) == asked.characters(span)
        assert any(example.targets[:, SHORT].any() and example.targets[:, LONG].any() for example in having)


def test_a_window_that_cuts_an_answer_learns_nothing_of_it(vocabularies):
    tokenizer = vocabularies["bert"]
    question = page([["red"] * 40, ["blue", "one", *["so"] * 38], ["red"] * 120])
    question = replace(question, annotations=(answered(question, 1, 1, 1),))
    examples = WIDE.encode(question, tokenizer, purpose="train")
    kinds = [KINDS[int(example.targets[0, KIND])] for example in examples]
    assert kinds[0] == "short"
    cut = [e for e in examples if e.targets[:, SHORT].any() and not e.targets[:, LONG].any()]
    assert cut
    for example in cut:
        assert (
            example.weights[0].tolist() == [1, 1] and not example.weights[1:, 1].any() and example.weights[1:, 0].any()
        )
    null = [e for e in examples if KINDS[int(e.targets[0, KIND])] == "null"]
    start, end = question.characters(question.candidates[1])
    assert null and all((e.ends[e.starts >= 0] <= start).all() or (e.starts[e.starts >= 0] >= end).all() for e in null)


def test_of_two_annotators_or_more_two_must_have_answered(vocabularies):
    tokenizer = vocabularies["bert"]
    question = page([["red"] * 6, ["blue"] * 6])
    one, other = answered(question, 0, 1, 1), answered(question, 1)
    for annotations, kind, places in (
        ((one,), "short", 1),
        ((one, Annotation(), Annotation()), "null", 0),
        ((one, other, Annotation()), "long", 2),  # one of three has a short answer
        ((one, one._replace(short=(), yes_no="no")), "short", 1),
        ((other._replace(yes_no="no"), other._replace(yes_no="no"), one), "short", 2),
        ((other._replace(yes_no="no"), other._replace(yes_no="no")), "no", 1),
    ):
        asked = replace(question, annotations=annotations)
        (example,) = WIDE.encode(asked, tokenizer, purpose="train")
        assert KINDS[int(example.targets[0, KIND])] == kind
        assert example.targets[:, LONG].sum(0).tolist() == [places, places]


def test_parts_of_a_short_answer_are_learned_as_one_from_first_to_last(vocabularies):
    question = page([["red", "one", "and", "two", "so"]])
    long = question.candidates[0]
    parts = (TokenSpan(2, 3), TokenSpan(4, 5))
    question = replace(question, annotations=(Annotation(long, parts),))
    (example,) = WIDE.encode(question, vocabularies["bert"], purpose="train")
    first, last = (int(np.flatnonzero(example.targets[:, column])[0]) for column in range(2))
    assert question.document[example.starts[first] : example.ends[last]] == "one and two"


def test_an_answer_without_tokens_is_told_and_the_page_is_read_all_the_same(vocabularies, caplog):
    question = page([["red", "\u200b", "one"]])
    nothing = Annotation(question.candidates[0], (TokenSpan(2, 3),))
    elsewhere = Annotation(TokenSpan(-1, -1, 10, 20))
    with caplog.at_level(logging.WARNING):
        for annotation in (nothing, elsewhere):
            assert WIDE.encode(replace(question, annotations=(annotation,)), vocabularies["bert"], purpose="train")
    assert "the vocabulary has no tokens for it" in caplog.text
    assert "its place is not told in tokens" in caplog.text


def test_the_window_that_shows_the_most_of_a_candidate_counts():
    assert best_window((4, 6), [0, 4, 8], 10) == 0  # whole in two, with 3 on the nearer side against 0
    assert best_window((6, 8), [0, 4, 8], 10) == 1  # whole in two, with 2 on the nearer side against 1
    assert best_window((6, 40), [0, 4, 8], 10) == 1  # eight of its tokens against four


def test_null_windows_are_drawn_by_their_share(vocabularies):
    tokenizer = vocabularies["bert"]
    question = page([["red"] * 10 for _ in range(100)])
    none, some = (
        replace(question, annotations=(Annotation(),)),
        replace(question, annotations=(answered(question, 50),)),
    )
    total = len(WIDE.encode(none, tokenizer, purpose="train"))
    assert total > 30
    counts, drawn = [], set()
    for draw in range(60):
        task = replace(SMALL, null_share=0.1)
        shown = task.encode(replace(none, draw=draw), tokenizer, purpose="train")
        again = task.encode(replace(none, draw=draw), tokenizer, purpose="train")
        assert [e.first_token for e in shown] == [e.first_token for e in again]
        counts.append(len(shown))
        drawn.add(tuple(e.first_token for e in shown))
    assert len(drawn) > 40
    assert 0.06 < np.mean(counts) / total < 0.15
    nothing = replace(SMALL, null_share=0.0)
    assert len(nothing.encode(none, tokenizer, purpose="train")) == 1
    assert all(e.targets[:, LONG].any() for e in nothing.encode(some, tokenizer, purpose="train"))


def loss_by_hand(logits, example):
    def of(columns, weights):
        total = 0.0
        for column in range(columns.start, columns.stop):
            values, targets = np.exp(logits.ends[:, column]), example.targets[:, column] > 0
            right = values[targets].sum() if targets.any() else values[0]
            total += np.log(values[example.weights[:, weights] > 0].sum() / right)
        return total

    shares = np.exp(logits.kinds) / np.exp(logits.kinds).sum()
    return (of(SHORT, 0) + of(LONG, 1) - np.log(shares[int(example.targets[0, KIND])])) / 5


def test_the_loss_is_the_mean_of_four_places_and_the_kind(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = readers.reader(WIDE, tokenizer)
    examples = [e for index in range(6) for e in WIDE.encode(needle(index, num_lines=12), tokenizer, purpose="train")]
    batch = WIDE.collate(examples, block_size=16)
    assert batch.layout.global_blocks == (1,) * len(examples)
    loss = WIDE.loss(loaded.model, batch)
    assert int(loss.num_targets) == len(examples) > 6
    with torch.inference_mode():
        pairs = [pair for example in examples for pair in WIDE._logits(loaded.model, [example], 16)]
    assert float(loss.total.detach()) == pytest.approx(sum(loss_by_hand(x, e) for e, x in pairs), rel=1e-5)
    loss.total.backward()
    assert all(bool(p.grad.isfinite().all()) for p in loaded.model.parameters() if p.grad is not None)


def test_an_answer_is_the_same_alone_and_in_any_batch(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = readers.reader(SMALL, tokenizer)
    questions = [needle(index, num_lines=2 + 8 * index) for index in range(4)]
    with torch.inference_mode():
        alone = [
            SMALL.predict(loaded.model, SMALL.encode(question, tokenizer, purpose="predict"), block_size=16)[0]
            for question in questions
        ]
        examples = [e for i, q in enumerate(questions) for e in SMALL.encode(q, tokenizer, index=i, purpose="predict")]
        assert SMALL.predict(loaded.model, examples, block_size=16) == alone


def test_a_page_without_candidates_has_no_answer(vocabularies):
    question = replace(page([["red", "one"]]), candidates=(), top_level=())
    (said,) = Predictor(readers.reader(SMALL, vocabularies["bert"])).predict([question])
    assert said == LongShortReading()
    nested = replace(page([["red", "one"], ["two"]]), top_level=(False, True))
    (said,) = Predictor(readers.reader(SMALL, vocabularies["bert"])).predict([nested])
    assert said.long == 1


def test_it_learns_where_answers_stand(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = readers.reader(SMALL, tokenizer)
    model = loaded.model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(60):
        examples = [e for i in range(16) for e in SMALL.encode(needle(16 * step + i), tokenizer, purpose="train")]
        loss = SMALL.loss(model, SMALL.collate(examples, block_size=16))
        optimizer.zero_grad()
        (loss.total / loss.num_targets).backward()
        optimizer.step()
    scores = Predictor(replace(loaded, model=model.eval())).score([needle(10**6 + i) for i in range(40)])
    assert scores["short_f1"].value > 0.6 and scores["long_f1"].value > 0.6, scores  # chance: below 0.3


class Pages:
    """So many pages, each made when it is asked for; `most` were in memory at a time."""

    def __init__(self, count):
        self._count, self._alive, self.most = count, weakref.WeakSet(), 0

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        if index >= self._count:
            raise IndexError
        made = needle(index)
        self._alive.add(made)
        self.most = max(self.most, len(self._alive))
        return made


def test_pages_are_scored_without_being_in_memory_all_at_once(vocabularies, monkeypatch):
    monkeypatch.setattr("bigbird.tasks.metrics.NUM_RESAMPLES", 10)
    pages, loaded = Pages(50), readers.reader(SMALL, vocabularies["bert"])
    scores = evaluate(loaded, pages)
    assert pages.most <= 2 * RECORDS_AT_ONCE + 1
    assert str(scores) == str(evaluate(loaded, [needle(index) for index in range(50)]))


def test_a_model_is_saved_and_read_back(vocabularies, tmp_path):
    loaded = readers.reader(SMALL, vocabularies["bert"])
    save_model(tmp_path / "model", loaded)
    again = load_model(tmp_path / "model")
    assert again.task == SMALL
    questions = [needle(index, num_lines=20) for index in range(3)]
    assert list(Predictor(again).predict(questions)) == list(Predictor(loaded).predict(questions))


def test_the_task_survives_json():
    assert configs.from_json(LongShortQA, configs.to_json(SMALL), source="f") == SMALL
    assert SMALL.labels == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"null_share": 1.5}, r"task.null_share must be from 0 to 1, got 1.5"),
        ({"max_answer_windows": 0}, r"task.max_answer_windows must be at least 1, got 0"),
        ({"overlap": 50}, r"task.overlap must be at least task.max_answer_tokens \(64\).*got 50"),
        ({"max_length": 2000}, r"task.max_length 2000 leaves no room"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        LongShortQA(**changes)


def test_what_cannot_be_read_is_refused(vocabularies):
    tokenizer = vocabularies["bert"]
    with pytest.raises(DataError, match=r"pages with candidates, got a Question; give a file of Natural Questions'"):
        SMALL.encode(Question(question="what?", document="red"), tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"question 'q' has no annotations, so nothing can be learned from it"):
        SMALL.encode(page([["red"]]), tokenizer, purpose="train")
    with pytest.raises(DataError, match=r"the document of question 'q' holds no text"):
        SMALL.encode(page([["\u200b"]]), tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"has 17 tokens; at most 16 are read"):
        SMALL.check([replace(needle(1), question="red " * 17)], tokenizer)


def test_windows_are_not_divided_over_processes():
    with pytest.raises(ConfigError, match=r"context parallelism"):
        check_task(SMALL, 2)
