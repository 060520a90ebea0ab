"""Cross-attention gathered by sentence: shares by hand, and each token with the sentence it stands in."""

import numpy as np
import pytest
import torch

import reader_models as readers
from bigbird.data.sentences import Span
from bigbird.data.summaries import SummarizedDocument
from bigbird.summarizing.attention import _steps, attention_weights
from bigbird.tasks import WrittenSummary
from bigbird.tasks.summary_tokens import text_of, text_tokens
from small_summarizers import summarizer

EVERY_FAMILY = pytest.mark.parametrize("family", readers.FAMILIES)
TEXT = "Red one so. Blue two but yet."


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory):
    return readers.text_tokenizers(tmp_path_factory.mktemp("vocabularies"))


def written(text, tokenizer):
    ids = tuple(text_tokens(text, tokenizer).ids.tolist())
    return WrittenSummary(text_of(ids, tokenizer), ids, 0.0, 0, 0)


@EVERY_FAMILY
def test_every_token_is_of_the_sentence_that_it_ends_in(vocabularies, family):
    tokenizer = vocabularies[family]
    summary = written("red one. blue two so", tokenizer)
    cut = summary.text.index("blue")
    steps = _steps(summary, [Span(0, cut - 1), Span(cut, len(summary.text))], tokenizer)
    both = [text_of(np.array(summary.token_ids)[steps == number].tolist(), tokenizer) for number in (0, 1)]
    assert both == [summary.text[:cut].strip(), summary.text[cut:]]
    assert (np.diff(steps) >= 0).all()


@EVERY_FAMILY
@pytest.mark.parametrize("query", ["", "red two"])
def test_all_that_was_looked_at_comes_to_one_and_none_of_it_is_of_the_query(vocabularies, family, query):
    tokenizer = vocabularies[family]
    loaded = summarizer(tokenizer)
    for cross in loaded.model.decoder.cross:
        torch.nn.init.zeros_(cross.attention.query.weight)
        torch.nn.init.zeros_(cross.attention.query.bias)
    record = SummarizedDocument(document=TEXT, query=query)
    summary = written("red one. blue", tokenizer)
    (example,) = loaded.task.encode(record, tokenizer, purpose="predict")
    found = attention_weights(loaded, record, summary, [Span(0, len(summary.text))])
    lasts = example.ends[example.ends > 0]  # a blank behind a sentence is its own
    shares = [(lasts <= 12).sum() / len(example.token_ids), (lasts > 12).sum() / len(example.token_ids)]
    assert found == [[(Span(0, 11), pytest.approx(shares[0])), (Span(12, 29), pytest.approx(shares[1]))]]


def test_each_sentence_has_the_mean_of_its_own_steps(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = summarizer(tokenizer)
    record = SummarizedDocument(document=TEXT)
    summary = written("red one . blue two so", tokenizer)
    cut = summary.text.index("blue")
    parts = [Span(0, cut - 1), Span(cut, len(summary.text))]
    whole = attention_weights(loaded, record, summary, [Span(0, len(summary.text))])[0]
    by_part = attention_weights(loaded, record, summary, parts)
    for place in range(2):
        mean = sum(by_part[part][place][1] for part in range(2)) / 2  # three tokens each
        assert whole[place][1] == pytest.approx(mean, abs=1e-6)
    assert by_part[0] != by_part[1]


def test_nothing_written_leans_on_nothing(vocabularies):
    summary = WrittenSummary("", (), 0.0, 0, 0)
    assert attention_weights(summarizer(vocabularies["bert"]), SummarizedDocument(document=TEXT), summary, []) == []


def test_a_model_in_training_is_looked_at_as_in_use_and_left_in_training(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = summarizer(tokenizer, dropout=0.5)
    record, summary = SummarizedDocument(document=TEXT), written("red one", tokenizer)
    sentences = [Span(0, len(summary.text))]
    used = attention_weights(loaded, record, summary, sentences)
    loaded.model.train()
    assert attention_weights(loaded, record, summary, sentences) == used
    assert loaded.model.training


def test_a_token_leans_on_what_was_looked_at_before_it_was_written(vocabularies):
    tokenizer = vocabularies["bert"]
    loaded = summarizer(tokenizer)
    record = SummarizedDocument(document=TEXT)
    red, two, red_two = (written(text, tokenizer) for text in ("red", "two", "red two"))
    first = attention_weights(loaded, record, red, [Span(0, 3)])
    assert attention_weights(loaded, record, two, [Span(0, 3)]) == first  # both follow the start token alone
    assert attention_weights(loaded, record, red_two, [Span(0, 7)]) != first
