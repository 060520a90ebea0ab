"""Questions to windows and back: exact places, no answer lost, the loss as it is said to be."""

import logging
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reader_models as readers
from bigbird import config as configs
from bigbird.attention import PatternSpec
from bigbird.data.questions import AnswerSpan, Question
from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.tasks import SpanQA
from bigbird.tasks.characters import trimmed
from bigbird.tasks.span_decoding import decoded
from bigbird.tasks.span_windows import document_tokens
from bigbird.tokenizers import DnaTokenizer
from bigbird.training.context import check_task
from reader_models import SMALL

SURE = 40.0
WIDE = replace(SMALL, max_answer_windows=1000, max_empty_windows=1000)
EVERY_FAMILY = pytest.mark.parametrize("family", readers.FAMILIES)


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory):
    return readers.text_tokenizers(tmp_path_factory.mktemp("vocabularies"))


def asked(document, *answers, **fields):
    return Question(question="what is it?", name="q", document=document, answers=answers, **fields)


def smallest(document, tokenizer, start, end):
    """The characters of the smallest run of tokens over [start, end), whole and without blanks; by hand."""
    _, starts, ends = tokenizer.encode_batch([document], read_symbols=False)[0]
    of_tokens = [trimmed(document, np.array([s]), np.array([e])) for s, e in zip(starts, ends, strict=True)]
    seen = [(int(s[0]), int(e[0])) for s, e in of_tokens if s[0] < e[0]]
    inside = [place for place in seen if place[0] < end and start < place[1]]
    return (min(s for s, _ in inside), max(e for _, e in inside), len(inside)) if inside else None


def decoded_from_labels(task, question, tokenizer):
    """What is read off logits that say what the labels say."""
    task = replace(task, top_k=1)
    labels = {e.first_token: e.targets for e in task.encode(question, tokenizer, purpose="train")}
    windows = []
    for example in task.encode(question, tokenizer, purpose="predict"):
        logits = np.zeros((len(example.token_ids), 2))
        targets = labels[example.first_token]
        logits[targets > 0] = SURE
        for column in range(2):
            if not targets[:, column].any():
                logits[0, column] = SURE
        windows.append((example, logits))
    return decoded(windows, task.decoding)


PARTS = st.sampled_from([
    "a", "the", "red", "fifth", "x" * 130, "é", "e\u0301", "👩🏽\u200d💻", "🇫🇷", "日本", "한국어",
    "שָׁלוֹם", "العربية", "ﬁ", "\u200b", " ", "  ", "\n", "\r\n", "\t", ".", ",", "123", "[SEP]", "</s>", "\u3000",
    "\ud800", "\x07", "ß",
])  # fmt: skip
DOCUMENTS = st.lists(PARTS, min_size=1, max_size=60).map("".join)


@EVERY_FAMILY
@settings(max_examples=100, deadline=None, derandomize=True)
@given(document=DOCUMENTS, data=st.data())
def test_labels_come_back_as_exactly_their_characters(vocabularies, family, document, data):
    tokenizer = vocabularies[family]
    start = data.draw(st.integers(0, len(document) - 1))
    end = data.draw(st.integers(start + 1, len(document)))
    covering = smallest(document, tokenizer, start, end)
    if covering is None or covering[2] > SMALL.max_answer_tokens:
        return  # no text, or longer than any answer that is given
    (answer,) = decoded_from_labels(WIDE, asked(document, AnswerSpan(start, end)), tokenizer).answers
    assert answer[:2] == covering[:2]
    assert answer.score > 0.999
    text = document[answer.start : answer.end]
    assert text == text.strip()
    if (start, end) == covering[:2]:  # what stands between the ends of tokens comes back exactly
        assert (answer.start, answer.end) == (start, end)


@pytest.mark.parametrize(("family", "megabytes"), [("bert", 0.3), ("roberta", 0.3), ("bigbird", 5)])
def test_places_are_exact_in_long_documents(vocabularies, family, megabytes):
    kinds = ["red", "café", "fifth", "日本", "👩🏽\u200d💻", "שלום", "the\r\n", "x" * 60]
    document = " ".join(random.Random(1).choices(kinds, k=int(80_000 * megabytes)))
    assert len(document.encode()) > 1_000_000 * megabytes
    task = SpanQA(none_allowed=False)
    for place in (0, len(document) // 2, len(document) - 100):
        start = document.index(" ", place) + 1
        end = document.index(" ", start + 20)
        span = AnswerSpan(start, start + len(document[start:end].rstrip()))
        question = asked(document, span)
        tokens = document_tokens(document, vocabularies[family])
        assert tokens.tokens_of(*span) is not None
        (example, *_) = task.encode(question, vocabularies[family], purpose="train")
        first, last = (int(np.flatnonzero(example.targets[:, column])[0]) for column in range(2))
        assert (example.starts[first], example.ends[last]) == span


@EVERY_FAMILY
def test_every_answer_stands_whole_in_a_window_wherever_it_is(vocabularies, family):
    tokenizer = vocabularies[family]
    document = " ".join(random.Random(0).choices(["red", "fifth", "x", "the"], k=150))
    tokens = document_tokens(document, tokenizer)
    longest = WIDE.overlap
    for first in range(len(tokens.encoding.ids) - longest + 1):
        if not (tokens.may_answer[first] and tokens.may_answer[first + longest - 1]):
            continue
        span = AnswerSpan(int(tokens.starts[first]), int(tokens.ends[first + longest - 1]))
        examples = WIDE.encode(asked(document, span), tokenizer, purpose="train")
        having = [example for example in examples if example.targets.any()]
        assert having
        assert all((e.starts[e.targets[:, 0] > 0], e.ends[e.targets[:, 1] > 0]) == span for e in having)
        assert len(examples) <= len(WIDE.encode(asked(document, span), tokenizer, purpose="predict"))  # none was added


def test_an_answer_longer_than_the_overlap_gets_a_window_around_it(vocabularies):
    document = " ".join(["red"] * 200)
    tokens = document_tokens(document, vocabularies["bert"])
    room = WIDE.max_length - 4 - 3  # [CLS] what is it ? [SEP] … [SEP], where "it" is two pieces
    for num_tokens in (WIDE.overlap + 1, 40, room - 1):
        for first in range(0, 200 - num_tokens, 7):
            span = AnswerSpan(int(tokens.starts[first]), int(tokens.ends[first + num_tokens - 1]))
            examples = WIDE.encode(asked(document, span), vocabularies["bert"], purpose="train")
            having = [e for e in examples if e.targets.any()]
            assert having
            assert all((e.starts[e.targets[:, 0] > 0], e.ends[e.targets[:, 1] > 0]) == span for e in having)


def test_an_answer_that_no_window_can_hold_is_told_by_name(vocabularies, caplog):
    document = " ".join(["red"] * 200)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert WIDE.encode(asked(document, AnswerSpan(0, 400)), vocabularies["bert"], purpose="train")
    (told,) = caplog.messages
    assert told.startswith(
        "question 'q': the answer at characters 0 to 400 is not learned: it has 100 tokens, a window"
    )


def test_an_answer_without_tokens_is_told_by_name(vocabularies, caplog):
    with caplog.at_level(logging.WARNING):
        SMALL.encode(asked("red \u200b\u200b one", AnswerSpan(4, 6)), vocabularies["bert"], purpose="train")
    assert "the answer at characters 4 to 6 is not learned: the vocabulary has no tokens for it" in caplog.text


def test_all_answers_are_right_and_windows_that_cut_one_are_not_shown_as_empty(vocabularies):
    document = " ".join(["red"] * 30 + ["one"] + ["red"] * 80)
    spans = [AnswerSpan(0, 3), AnswerSpan(120, 123)]
    examples = WIDE.encode(asked(document, *spans), vocabularies["bert"], purpose="train")
    starts = {int(start) for example in examples for start in example.starts[example.targets[:, 0] > 0]}
    ends = {int(end) for example in examples for end in example.ends[example.targets[:, 1] > 0]}
    assert (starts, ends) == ({0, 120}, {3, 123})
    for end in (40, 300):  # of 10 tokens; of 75, which no window holds
        examples = WIDE.encode(asked(document, AnswerSpan(0, end)), vocabularies["bert"], purpose="train")
        empty = [example for example in examples if not example.targets.any()]
        assert empty
        assert all(example.starts[example.starts >= 0].min() >= end for example in empty)


def test_one_window_where_the_document_fits_several_where_not(vocabularies):
    for num_words, num_windows in ((1, 1), (50, 1), (59, 2)):
        question = asked(" ".join(["red"] * num_words))
        examples = SMALL.encode(question, vocabularies["bert"], purpose="predict")
        assert len(examples) == num_windows, num_words
        assert all(len(example.token_ids) <= SMALL.max_length for example in examples)


@EVERY_FAMILY
def test_a_window_is_the_family_s_pair_of_texts(vocabularies, family):
    tokenizer = vocabularies[family]
    (example,) = SMALL.encode(asked("red one"), tokenizer, purpose="predict")
    question, document = tokenizer.encode_batch(["what is it?", "red one"])
    joined = tokenizer.join(question, document)
    assert example.token_ids.tolist() == joined.ids.tolist()
    assert example.token_types.tolist() == joined.token_types.tolist()
    assert (example.starts >= 0).tolist() == (joined.parts == 1).tolist()


def test_text_that_spells_a_special_token_stays_text(vocabularies):
    tokenizer = vocabularies["bert"]
    (example,) = SMALL.encode(asked("[SEP] [CLS]"), tokenizer, purpose="predict")
    assert (example.token_ids == tokenizer.special_id("[SEP]")).sum() == 2


def test_training_shows_so_many_windows_drawn_anew(vocabularies):
    document = " ".join(["red"] * 100 + ["one"] + ["red"] * 400)
    question = asked(document, AnswerSpan(400, 403))
    task = replace(SMALL, max_answer_windows=1, max_empty_windows=2)
    drawn = set()
    for draw in range(20):
        examples = task.encode(replace(question, draw=draw), vocabularies["bert"], purpose="train")
        again = task.encode(replace(question, draw=draw), vocabularies["bert"], purpose="train")
        assert [e.first_token for e in examples] == [e.first_token for e in again]
        assert [e.targets.any() for e in examples] == [True, False, False]
        drawn.add(tuple(e.first_token for e in examples))
    assert len(drawn) > 10
    none = replace(task, max_empty_windows=0)
    assert [e.targets.any() for e in none.encode(question, vocabularies["bert"], purpose="train")] == [True]
    assert len(none.encode(asked(document, is_impossible=True), vocabularies["bert"], purpose="train")) == 1


def loss_by_hand(logits, targets, weights):
    """Minus the logarithm of the probability of the right places together, in float64, place by place."""
    total = 0.0
    for column in range(2):
        allowed = [math.exp(logits[i, column]) for i in range(len(weights)) if weights[i] > 0]
        right = [math.exp(logits[i, column]) for i in range(len(weights)) if targets[i, column] > 0]
        total -= math.log(sum(right or [math.exp(logits[0, column])]) / sum(allowed))
    return total / 2


def test_the_loss_is_that_of_all_right_places_together(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = readers.reader(WIDE, tokenizer)
    questions = [
        asked("red one and red two so", AnswerSpan(4, 7), AnswerSpan(16, 19)),
        asked(" ".join(["red"] * 150), AnswerSpan(40, 47)),
        asked("blue three", is_impossible=True),
    ]
    examples = [e for question in questions for e in WIDE.encode(question, tokenizer, purpose="train")]
    loss = WIDE.loss(loaded.model, WIDE.collate(examples, block_size=16))
    assert int(loss.num_targets) == len(examples)
    byhand = 0.0
    for example in examples:
        batch = WIDE.collate([example], block_size=16)
        logits = batch.layout.unpack(loaded.model(batch.token_ids, batch.layout, token_types=batch.token_types))
        byhand += loss_by_hand(logits.detach().double().numpy(), example.targets, example.weights)
    assert float(loss.total.detach()) == pytest.approx(byhand, rel=1e-5)
    loss.total.backward()
    assert all(bool(p.grad.isfinite().all()) for p in loaded.model.parameters() if p.grad is not None)


def test_an_answer_is_the_same_alone_and_in_any_batch(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = readers.reader(SMALL, tokenizer)
    questions = [readers.needle(index, num_words=20 + 30 * index) for index in range(5)]
    alone = []
    for question in questions:
        with torch.inference_mode():
            alone += SMALL.predict(loaded.model, SMALL.encode(question, tokenizer, purpose="predict"), block_size=16)
    examples = [e for i, q in enumerate(questions) for e in SMALL.encode(q, tokenizer, index=i, purpose="predict")]
    with torch.inference_mode():
        assert SMALL.predict(loaded.model, examples, block_size=16) == alone


def test_the_question_s_blocks_are_global_unless_the_pattern_is_to_stay(vocabularies):
    for place in ("start", "ends"):
        loaded = readers.reader(replace(SMALL, global_at=place), vocabularies["bert"])
        assert loaded.model.encoder.config.pattern.global_at == place


WHOLE = replace(SMALL, global_tokens="question")


def test_all_of_a_question_is_global_and_no_more_however_long_it_is(vocabularies):
    tokenizer = vocabularies["bert"]
    for length, num_blocks in ((1, 1), (13, 1), (14, 1), (15, 2), (16, 2)):  # [CLS] and [SEP] beside it, blocks of 16
        question = replace(asked(" ".join(["red"] * 200)), question=" ".join(["red"] * length))
        examples = WHOLE.encode(question, tokenizer, purpose="predict")
        assert {example.global_tokens for example in examples} == {length + 2}
        batch = WHOLE.collate(examples, block_size=16)
        assert batch.layout.global_blocks == (num_blocks,) * len(examples)
        assert SMALL.collate(SMALL.encode(question, tokenizer, purpose="predict"), block_size=16).layout == replace(
            batch.layout, global_blocks=None
        )
    training = WHOLE.encode(readers.needle(0), tokenizer, purpose="train")
    assert all(example.global_tokens == 6 for example in training)  # what is … ?


@pytest.mark.parametrize("backend", ["gathered", "native"])
def test_a_reader_with_its_question_global_is_one_with_so_many_global_blocks(vocabularies, backend):
    tokenizer = vocabularies["bert"]
    task = replace(WHOLE, max_length=256, max_question_tokens=64)
    questions = [
        replace(readers.needle(index, num_words=200), question=" ".join(["red"] * length))
        for index, length in enumerate((5, 40, 20, 62))
    ]
    narrow = PatternSpec(block_size=8, random_blocks=1)
    loaded = readers.reader(task, tokenizer, pattern=narrow)
    loaded.model.encoder.backend = backend
    examples = [e for i, q in enumerate(questions) for e in task.encode(q, tokenizer, index=i, purpose="predict")]
    assert len(examples) > len(questions)
    with torch.inference_mode():
        together = task.logits(loaded.model, examples, block_size=8)
        for example, logits in zip(examples, together, strict=True):
            alone = task.logits(loaded.model, [example], block_size=8)[0]
            assert np.array_equal(logits, alone)  # whatever its neighbours' questions
            spec = replace(narrow, global_blocks=-(-example.global_tokens // 8))
            fixed = readers.reader(replace(task, global_tokens="pattern"), tokenizer, pattern=spec)
            fixed.model.load_state_dict(loaded.model.state_dict())
            fixed.model.encoder.backend = backend
            assert np.array_equal(
                task.logits(fixed.model, [example._replace(global_tokens=-1)], block_size=8)[0], alone
            )
            fixed.model.double().encoder.backend = "reference"
            exact = task.logits(fixed.model, [example._replace(global_tokens=-1)], block_size=8)[0]
            assert np.abs(exact - logits).max() < 1e-4
    lengths = {e.global_tokens for e in examples}
    assert len(lengths) == 4


@pytest.mark.parametrize("num_token_types", [0, 1, 2])
def test_encoders_with_any_number_of_token_types_read(vocabularies, num_token_types):
    loaded = readers.reader(SMALL, vocabularies["bert"], num_token_types=num_token_types)
    examples = SMALL.encode(readers.needle(0), vocabularies["bert"], purpose="predict")
    with torch.inference_mode():
        assert SMALL.predict(loaded.model, examples, block_size=16)


def test_the_task_survives_json():
    task = replace(SMALL, temperature=1.5, no_answer_offset=-0.5, none_allowed=False)
    assert configs.from_json(SpanQA, configs.to_json(task), source="f") == task
    assert task.labels == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overlap": 100}, r"task.overlap must be at least task.max_answer_tokens \(128\).*got 100"),
        ({"max_length": 300}, r"task.max_length 300 leaves no room .* beside a question of 128 tokens and an overlap"),
        ({"top_k": 0}, r"task.top_k must be at least 1, got 0"),
        ({"max_answer_tokens": 0}, r"task.max_answer_tokens must be at least 1, got 0"),
        ({"max_empty_windows": -1}, r"task.max_empty_windows must be at least 0, got -1"),
        ({"global_tokens": "all"}, r"task.global_tokens must be one of pattern, question, got 'all'"),
        ({"global_tokens": "question", "global_at": "ends"}, r"task.global_at is 'ends'; set task.global_at=start"),
        ({"temperature": 0.0}, r"task.temperature must be above 0 .* got 0.0 and 0.0"),
        ({"no_answer_offset": math.inf}, r"no_answer_offset a finite number, got 1.0 and inf"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        SpanQA(**changes)


def test_what_cannot_be_read_is_refused(vocabularies):
    tokenizer = vocabularies["bert"]
    for document in ("", " \n\t", "\u200b"):
        with pytest.raises(DataError, match=r"the document of question 'q' holds no text"):
            SMALL.encode(asked(document), tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"answers are asked of questions, got a Record; give a file of questions"):
        SMALL.encode(Record(sequence="ACGT"), tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"question 'q' is empty; it needs a text"):
        SMALL.encode(replace(asked("red"), question=" "), tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"has 17 tokens; at most 16 are read\. Shorten it, or give a greater task"):
        SMALL.encode(replace(asked("red"), question="red " * 17), tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"question 'q' has no place of an answer, and nothing says that there is none"):
        SMALL.encode(asked("red"), tokenizer, purpose="train")
    with pytest.raises(ConfigError, match=r"answers need a vocabulary of text .* got DnaTokenizer"):
        SMALL.encode(asked("red"), DnaTokenizer.single_base(), purpose="predict")


def test_questions_are_checked_before_a_run(vocabularies):
    SMALL.check([readers.needle(0), readers.needle(1, is_impossible=True)], vocabularies["bert"])
    with pytest.raises(DataError, match=r"has no place of an answer"):
        SMALL.check([readers.needle(0), asked("red")], vocabularies["bert"])
    with pytest.raises(DataError, match=r"has 17 tokens"):
        SMALL.check([replace(readers.needle(0), question="red " * 17)], vocabularies["bert"])


def test_windows_are_not_divided_over_processes():
    check_task(SMALL, 1)
    with pytest.raises(ConfigError, match=r"where an answer starts is told by all tokens of a window together"):
        check_task(SMALL, 2)
