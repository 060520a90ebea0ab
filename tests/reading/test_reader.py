"""Reader: answers out of a text, the same whatever else is asked."""

from itertools import pairwise

import pytest

import reader_models as readers
from bigbird.checkpoint import save_model
from bigbird.errors import CheckpointError, ConfigError, DataError
from bigbird.reading.reader import Reader
from bigbird.tasks import span_windows
from helpers import YES_NO, loaded_model

QUESTIONS = [f"what is {key}?" for key in readers.KEYS]


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    tokenizer = readers.text_tokenizers(tmp_path_factory.mktemp("vocabularies"))["bert"]
    return Reader(readers.reader(readers.SMALL, tokenizer))


def document(num_words):
    return readers.needle(1, num_words=num_words).document


@pytest.mark.parametrize("num_words", [10, 300])
def test_answers_are_places_of_the_text_best_first_and_apart(reader, num_words):
    text = document(num_words)
    found = reader.ask(text, QUESTIONS[0], top_k=5)
    assert len(found.answers) == 5
    assert all(text[answer.start : answer.end] == answer.text for answer in found.answers)
    scores = [answer.score for answer in found.answers]
    assert scores == sorted(scores, reverse=True)
    assert 0 < sum(scores) + found.no_answer <= 1 + 1e-9
    places = sorted((answer.start, answer.end) for answer in found.answers)
    assert all(end <= start for (_, end), (start, _) in pairwise(places))


def test_an_answer_is_the_same_alone_among_others_and_again(reader):
    text = document(200)
    alone = [reader.ask(text, question) for question in QUESTIONS]
    assert list(reader.ask_all(text, QUESTIONS)) == alone
    assert list(reader.ask_all(text, QUESTIONS[::-1]))[::-1] == alone


def test_more_answers_asked_for_change_none(reader):
    text = document(200)
    assert reader.ask(text, QUESTIONS[0], top_k=6).answers[:2] == reader.ask(text, QUESTIONS[0], top_k=2).answers


def test_a_text_is_turned_into_tokens_once(reader):
    span_windows.document_tokens.cache_clear()
    list(reader.ask_all(document(100), QUESTIONS))
    assert span_windows.document_tokens.cache_info().misses == 1


def test_a_saved_reader_answers_alike(reader, tmp_path):
    save_model(tmp_path / "reader", reader.loaded)
    again = Reader.load(tmp_path / "reader", device="cpu")
    assert again.ask(document(60), QUESTIONS[0]) == reader.ask(document(60), QUESTIONS[0])


def test_what_cannot_be_asked_is_told(reader, tmp_path):
    for text in ("", " \n "):
        with pytest.raises(DataError, match=r"the text is empty; give one that holds something to read"):
            reader.ask(text, "what?")
    with pytest.raises(DataError, match=r"is empty; it needs a text"):
        reader.ask("red one", " ")
    with pytest.raises(DataError, match=r"has 40 tokens; at most 16 are read"):
        reader.ask("red one", "red " * 40)
    with pytest.raises(ConfigError, match=r"task.top_k must be at least 1, got 0"):
        reader.ask("red one", "what?", top_k=0)
    with pytest.raises(DataError, match=r"ask_all takes a list of questions, got one text; use ask"):
        next(reader.ask_all("red one", "what?"))
    with pytest.raises(ConfigError, match=r"a reader needs a model that answers questions .* got one for Classific"):
        Reader(loaded_model(YES_NO))
    save_model(tmp_path / "other", loaded_model(YES_NO))
    with pytest.raises(CheckpointError, match=r"other is no reader: a reader needs .*bigbird train question_answering"):
        Reader.load(tmp_path / "other", device="cpu")
