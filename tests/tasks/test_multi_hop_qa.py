"""Questions with supporting sentences to windows and back: no label lost, the loss as it is said to be."""

import json
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import multi_hop_cases as cases
import reader_models as readers
from bigbird import config as configs
from bigbird.checkpoint import load_model, save_model
from bigbird.data.hotpotqa_files import read_hotpotqa
from bigbird.data.questions import Question
from bigbird.data.records import Record
from bigbird.errors import ConfigError, DataError
from bigbird.tasks import MultiHopQA
from bigbird.tasks.multi_hop_decoding import SentenceScore, WindowLogits, chosen, reading
from bigbird.tasks.multi_hop_scores import MultiHopAnswer
from bigbird.tasks.multi_hop_windows import KIND, SUPPORT, sentences_of
from bigbird.tasks.span_windows import document_tokens
from bigbird.tokenizers import DnaTokenizer
from bigbird.training.context import check_task

SURE = 40.0
SMALL = MultiHopQA(max_length=64, max_question_tokens=16, overlap=16, max_answer_tokens=8, least_support=0)
WIDE = replace(SMALL, max_evidence_windows=1000, max_empty_windows=1000)


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory):
    return readers.text_tokenizers(tmp_path_factory.mktemp("vocabularies"))


def read_from_labels(task, question, tokenizer):
    """What is read off logits that say what the labels say."""
    labels = {example.first_token: example for example in task.encode(question, tokenizer, purpose="train")}
    windows = []
    for example in task.encode(question, tokenizer, purpose="predict"):
        label = labels[example.first_token]
        assert (example.weights[example.bins >= 0] > 0).all()  # blanks say nothing of a sentence
        ends = np.where(label.targets[:, :2] > 0, SURE, 0.0)
        ends[0, ~(label.targets[:, :2] > 0).any(0)] = SURE
        kinds = np.where(np.arange(3) == label.targets[0, KIND], SURE, 0.0)
        is_supporting = [label.targets[example.bins == number, SUPPORT].all() for number in sentences_of(example)]
        windows.append((example, WindowLogits(ends, kinds, np.where(is_supporting, SURE, -SURE))))
    return reading(
        windows,
        max_answer_tokens=task.max_answer_tokens,
        support_threshold=task.support_threshold,
        least_support=task.least_support,
    )


WORDS = st.sampled_from(
    [
        "a",
        "the",
        "red",
        "fifth",
        "x" * 20,
        "é",
        "👩🏽\u200d💻",
        "日本",
        "العربية",
        "ﬁ",
        "\u200b",
        "  ",
        "\n",
        ".",
        "[SEP]",
    ]
)
SENTENCES = st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=1, max_size=12)


@pytest.mark.parametrize("family", readers.FAMILIES)
@settings(max_examples=80, deadline=None, derandomize=True)
@given(texts=SENTENCES, data=st.data())
def test_labels_come_back_as_exactly_the_answer_and_the_facts(vocabularies, family, texts, data):
    tokenizer, document, places = vocabularies[family], "", []
    for text in texts:
        places.append((len(document), len(document) + len(text)))
        document += text + data.draw(st.sampled_from([" ", "\n\nA title\n"]))
    tokens = document_tokens(document, tokenizer)
    seen = tokens.starts[tokens.may_answer]
    if not len(seen):
        return  # no text
    # A sentence in which no token begins cannot be judged; the test below shows that this is told.
    judged = [number for number, (start, end) in enumerate(places) if ((start <= seen) & (seen < end)).any()]
    supporting = data.draw(st.sets(st.sampled_from(judged))) if judged else set()
    yes_no = data.draw(st.sampled_from(["", "yes", "no"]))
    first = data.draw(st.sampled_from(np.flatnonzero(tokens.may_answer).tolist()))
    last = data.draw(st.integers(first, min(first + SMALL.max_answer_tokens, len(tokens.starts)) - 1))
    last = last if tokens.may_answer[last] else first
    span = (int(tokens.starts[first]), int(tokens.ends[last]))
    if tokens.tokens_of(*span) != (first, last) and not yes_no:
        return  # a character in several tokens
    asked = cases.question(document, places, [] if yes_no else [span], yes_no=yes_no, supporting=sorted(supporting))
    asked = replace(asked, facts=asked.facts or (cases.Fact("elsewhere", 0),))  # known to be none of these
    said = read_from_labels(WIDE, asked, tokenizer)
    assert said.answer_to(asked) == MultiHopAnswer(
        yes_no or document[slice(*span)], tuple(asked.facts[: len(supporting)])
    )
    assert said.yes_no == yes_no
    assert (said.span and said.span[:2]) == (None if yes_no else span)
    assert [one.number for one in said.sentences] == judged
    assert said.score > 0.999


def long_question(num_sentences=40, words=7, supporting=(3, 21), **fields):
    document, places = "", []
    for _ in range(num_sentences):
        start = len(document)
        document += " ".join(["red"] * words)
        places.append((start, len(document)))
        document += " "
    return cases.question(document, places, supporting=supporting, **fields)


@pytest.mark.parametrize("words", [1, 7, 16, 30, 70])
def test_every_sentence_counts_somewhere_and_where_most_of_it_is(vocabularies, words):
    asked = long_question(12, words, range(12), yes_no="yes")
    counted = set()
    examples = WIDE.encode(asked, vocabularies["bert"], purpose="train")
    for example in examples:
        for number in sentences_of(example).tolist():
            counted.add(number)
            held = [
                (one.starts >= asked.sentences[number].start) & (one.ends <= asked.sentences[number].end)
                for one in examples
            ]
            sizes = [int((inside & (one.starts >= 0)).sum()) for inside, one in zip(held, examples, strict=True)]
            assert int((example.bins == number).sum()) == max(sizes)
            if words <= WIDE.overlap:
                assert max(sizes) == words  # all of it
            assert (example.targets[example.bins == number, SUPPORT] == 1).all()
    assert counted == set(range(12))


def test_an_answer_that_a_window_cuts_is_no_reason_to_lose_its_sentences(vocabularies):
    asked = long_question(answers=[(100, 100 + 4 * 30 - 1)])  # of 30 tokens
    examples = WIDE.encode(asked, vocabularies["bert"], purpose="train")
    having = [example for example in examples if example.targets[:, 0].any()]
    cut = [e for e in examples if not e.targets[:, 0].any() and (e.weights > 0).sum() == 1]
    assert having
    assert cut
    assert {int(e.starts[e.targets[:, 0] > 0].item()) for e in having} == {100}
    assert {number for example in examples for number in sentences_of(example)} == set(range(40))


def test_what_nobody_knows_is_not_learned(vocabularies):
    nowhere = cases.question("red one", [(0, 3)], supporting=[0])
    nowhere = replace(nowhere, asked=replace(nowhere.asked, accepted=("two",)))
    (example,) = WIDE.encode(nowhere, vocabularies["bert"], purpose="train")
    assert (np.flatnonzero(example.weights).tolist(), example.targets[0, KIND]) == ([0], 0)
    assert sentences_of(example).tolist() == [0]
    no_facts = cases.question("red one", [(0, 3)], [(4, 7)])
    (example,) = WIDE.encode(no_facts, vocabularies["bert"], purpose="train")
    assert not len(sentences_of(example))
    assert (example.weights > 0).sum() == 3
    (example,) = WIDE.encode(no_facts, vocabularies["bert"], purpose="predict")
    assert sentences_of(example).tolist() == [0]


def test_a_supporting_sentence_without_tokens_is_told_by_name(vocabularies, caplog):
    asked = cases.question("red \u200b one", [(0, 3), (4, 5), (6, 9)], yes_no="no", supporting=[1, 2])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            WIDE.encode(asked, vocabularies["bert"], purpose="train")
    (told,) = caplog.messages
    assert told == "question 'q': the vocabulary has no tokens for supporting sentence 1, which is not learned"


def loss_by_hand(logits, example):
    """The mean of the three losses of a window, in float64, place by place."""
    ends, kinds, support = (x.detach().double().numpy() for x in logits)
    spans = 0.0
    for column in range(2):
        allowed = [math.exp(ends[i, column]) for i in range(len(ends)) if example.weights[i] > 0]
        right = [math.exp(ends[i, column]) for i in range(len(ends)) if example.targets[i, column] > 0]
        spans -= math.log(sum(right or [math.exp(ends[0, column])]) / sum(allowed)) / 2
    kind = -math.log(math.exp(kinds[int(example.targets[0, KIND])]) / sum(map(math.exp, kinds)))
    of_sentences = []
    for number, value in zip(sentences_of(example), support, strict=True):
        probability = 1 / (1 + math.exp(-value))
        is_supporting = example.targets[example.bins == number, SUPPORT].all()
        of_sentences.append(-math.log(probability if is_supporting else 1 - probability))
    return (spans + kind + (sum(of_sentences) / len(of_sentences) if of_sentences else 0.0)) / 3


def test_the_loss_is_the_mean_of_span_kind_and_sentences(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = readers.reader(WIDE, tokenizer)
    nowhere = cases.question("red one", [(0, 3)], supporting=[0])
    questions = [
        long_question(answers=[(100, 107)]),
        long_question(yes_no="no"),
        long_question(answers=[(100, 219)]),
        cases.question("red one so two", [(0, 6)], [(4, 7)]),  # facts unknown
        replace(nowhere, asked=replace(nowhere.asked, accepted=("two",))),
    ]
    examples = [e for question in questions for e in WIDE.encode(question, tokenizer, purpose="train")]
    loss = WIDE.loss(loaded.model, WIDE.collate(examples, block_size=16))
    assert int(loss.num_targets) == len(examples)
    by_hand = 0.0
    for example in examples:
        batch = WIDE.collate([example], block_size=16)
        logits = loaded.model(batch.token_ids, batch.layout, batch.bins, token_types=batch.token_types)
        logits = batch.layout.unpack(logits.ends), logits.kinds[0], logits.support
        by_hand += loss_by_hand(logits, example)
    assert float(loss.total.detach()) == pytest.approx(by_hand, rel=1e-5)
    loss.total.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in loaded.model.parameters())


def test_a_window_without_sentences_leaves_every_weight_a_gradient(vocabularies):
    loaded = readers.reader(WIDE, vocabularies["bert"])
    examples = WIDE.encode(cases.question("red one", [], [(4, 7)]), vocabularies["bert"], purpose="train")
    WIDE.loss(loaded.model, WIDE.collate(examples, block_size=16)).total.backward()
    assert all(parameter.grad is not None for parameter in loaded.model.parameters())  # several processes need it
    assert float(loaded.model.support.weight.grad.abs().max()) == 0


def test_an_answer_is_the_same_alone_and_in_any_batch(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = readers.reader(SMALL, tokenizer)
    questions = [long_question(3 + 5 * index, yes_no="yes", supporting=[0]) for index in range(5)]
    with torch.inference_mode():
        alone = [
            SMALL.predict(loaded.model, SMALL.encode(question, tokenizer, purpose="predict"), block_size=16)[0]
            for question in questions
        ]
        examples = [e for i, q in enumerate(questions) for e in SMALL.encode(q, tokenizer, index=i, purpose="predict")]
        assert SMALL.predict(loaded.model, examples, block_size=16) == alone


def test_the_kind_is_told_by_windows_that_know_and_sentences_by_all_that_hold_them(vocabularies):
    asked = long_question(20, supporting=(), yes_no="yes")
    examples = SMALL.encode(asked, vocabularies["bert"], purpose="predict")
    said = [
        (e, WindowLogits(np.zeros((len(e.token_ids), 2)), np.zeros(3), np.full(len(sentences_of(e)), float(place))))
        for place, e in enumerate(examples)
    ]
    said[1][1].kinds[2] = 3.0
    found = reading(said, max_answer_tokens=8, support_threshold=0.5, least_support=2)
    thirds, sure = 1 / 3, math.exp(3) / (math.exp(3) + 2)
    assert found.yes_no == "no"
    assert found.score == pytest.approx((sure + thirds * (len(said) - 1)) / len(said))
    for number, score in found.sentences:
        places = [place for place, e in enumerate(examples) if number in sentences_of(e)]
        assert score == pytest.approx(1 / (1 + math.exp(-np.mean(places))))
    assert any(sum(n in sentences_of(e) for e in examples) == 2 for n, _ in found.sentences)


def test_sentences_may_be_listed_in_any_order(vocabularies):
    loaded, asked = readers.reader(SMALL, vocabularies["bert"]), long_question(12, yes_no="yes", supporting=())
    mirrored = replace(asked, sentences=asked.sentences[::-1])
    with torch.inference_mode():
        one, other = (
            SMALL.predict(loaded.model, SMALL.encode(q, vocabularies["bert"], purpose="predict"), block_size=16)[0]
            for q in (asked, mirrored)
        )
    assert [score for _, score in one.sentences] == [score for _, score in other.sentences][::-1]
    assert len({score for _, score in one.sentences}) > 6


def test_the_probability_of_a_span_is_that_of_its_kind_and_of_it_among_all_spans(vocabularies):
    (example,) = SMALL.encode(cases.question("red one so"), vocabularies["bert"], purpose="predict")
    kinds = np.log([0.5, 0.3, 0.2])
    said = WindowLogits(np.zeros((len(example.token_ids), 2)), kinds, np.zeros(0))
    found = reading([(example, said)], max_answer_tokens=8, support_threshold=0.5, least_support=0)
    assert found.span.score == pytest.approx(1 / 6)  # of three tokens there are six
    assert found.score == pytest.approx(0.5 / 6)


def test_sentences_are_chosen_by_the_threshold_but_so_many_at_least():
    scores = [SentenceScore(number, score) for number, score in enumerate([0.2, 0.6, 0.4, 0.1, 0.5])]
    numbers = lambda *arguments: [one.number for one in chosen(scores, *arguments)]  # noqa: E731
    assert numbers(0.5, 0) == numbers(0.5, 2) == [1, 4]
    assert numbers(0.55, 0) == [1]
    assert numbers(0.55, 2) == [1, 4]
    assert numbers(0.5, 3) == [1, 2, 4]
    assert numbers(0.9, 9) == [0, 1, 2, 3, 4]
    assert numbers(0.9, 0) == []


def test_training_shows_so_many_windows_drawn_anew(vocabularies):
    task = replace(SMALL, max_evidence_windows=1, max_empty_windows=2)
    asked = long_question(60, supporting=(3, 30), yes_no="no")
    drawn = set()
    for draw in range(20):
        question = replace(asked, asked=replace(asked.asked, draw=draw))
        examples = task.encode(question, vocabularies["bert"], purpose="train")
        assert sorted(bool(e.targets[:, : SUPPORT + 1].any()) for e in examples) == [False, False, True]
        drawn.add(tuple(e.first_token for e in examples))
    assert len(drawn) > 10
    assert len(replace(task, max_empty_windows=0).encode(asked, vocabularies["bert"], purpose="train")) == 1
    no_facts = long_question(60, supporting=(), yes_no="no")
    assert len(replace(task, max_empty_windows=0).encode(no_facts, vocabularies["bert"], purpose="train")) == 1


def test_a_tiny_reader_learns_answers_kinds_and_facts_and_keeps_them_in_a_folder(vocabularies, tmp_path):
    (tmp_path / "hops.jsonl").write_text("".join(f"{json.dumps(cases.entry(index))}\n" for index in range(12)))
    questions, tokenizer = list(read_hotpotqa(tmp_path / "hops.jsonl")), vocabularies["bert"]
    task = replace(SMALL, least_support=2)
    loaded = readers.reader(task, tokenizer)
    examples = [e for question in questions for e in task.encode(question, tokenizer, purpose="train")]
    batch = task.collate(examples, block_size=16)
    optimizer = torch.optim.Adam(loaded.model.parameters(), lr=3e-3)
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        loss = task.loss(loaded.model, batch)
        (loss.total / loss.num_targets).backward()
        optimizer.step()
        losses.append(float(loss.total.detach() / loss.num_targets))
    assert losses[-1] < 0.1 * losses[0]
    save_model(tmp_path / "model", loaded)
    again = load_model(tmp_path / "model")
    assert again.task == task
    examples = [e for i, q in enumerate(questions) for e in task.encode(q, tokenizer, index=i, purpose="predict")]
    with torch.inference_mode():
        said = task.predict(again.model.eval(), examples, block_size=16)
        assert said == task.predict(loaded.model.eval(), examples, block_size=16)
    scores = task.score(said, questions)
    assert list(scores) == [
        f"{what}_{figure}" for what in ("answer", "support", "joint") for figure in ("exact_match", "f1")
    ]
    assert scores["joint_exact_match"].value > 0.9
    assert {one.yes_no for one in said} == {"", "yes", "no"}


def test_the_task_survives_json():
    task = replace(SMALL, support_threshold=0.4, global_at="ends")
    assert configs.from_json(MultiHopQA, configs.to_json(task), source="f") == task
    assert task.labels == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overlap": 50}, r"task.overlap must be at least task.max_answer_tokens \(64\).*got 50"),
        ({"max_length": 500}, r"task.max_length 500 leaves no room .* beside a question of 256 tokens and an overlap"),
        ({"max_answer_tokens": 0}, r"task.max_answer_tokens must be at least 1, got 0"),
        ({"max_evidence_windows": 0}, r"task.max_evidence_windows must be at least 1, got 0"),
        ({"least_support": -1}, r"task.least_support must be at least 0, got -1"),
        ({"support_threshold": 0.0}, r"task.support_threshold must be above 0 and at most 1, got 0.0"),
        ({"support_threshold": math.nan}, r"task.support_threshold must be above 0 and at most 1, got nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        MultiHopQA(**changes)


def test_what_cannot_be_read_or_learned_is_refused(vocabularies):
    tokenizer = vocabularies["bert"]
    for record in (Record(sequence="ACGT"), Question(question="x", document="y")):
        with pytest.raises(DataError, match=rf"got a {type(record).__name__}; give a file in HotpotQA's format"):
            SMALL.encode(record, tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"the document of question 'q' holds no text"):
        SMALL.encode(cases.question(" \n", yes_no="no"), tokenizer, purpose="predict")
    unanswered = cases.question("red")
    with pytest.raises(DataError, match=r"no answer to question 'q' is known, so nothing can be learned from it"):
        SMALL.encode(unanswered, tokenizer, purpose="train")
    assert SMALL.encode(unanswered, tokenizer, purpose="predict")
    with pytest.raises(DataError, match=r"no answer to question 'q' is known"):
        SMALL.check([cases.question("red", yes_no="no"), unanswered], tokenizer)
    with pytest.raises(DataError, match=r"has 17 tokens; at most 16 are read\. Shorten it, or give a greater task"):
        SMALL.check([cases.question("red", yes_no="no", asked="red " * 17)], tokenizer)
    with pytest.raises(ConfigError, match=r"answers need a vocabulary of text .* got DnaTokenizer"):
        SMALL.encode(cases.question("red", yes_no="no"), DnaTokenizer.single_base(), purpose="predict")


def test_windows_are_not_divided_over_processes():
    check_task(SMALL, 1)
    with pytest.raises(ConfigError, match=r"where an answer starts is told by all tokens of a window together"):
        check_task(SMALL, 2)
