"""Summarizer: what is chosen or written, and for every sentence the places of the document that it leans on."""

from dataclasses import replace

import pytest
import torch

import reader_models as readers
from bigbird.checkpoint import save_model
from bigbird.documents.document_text import DocumentText
from bigbird.errors import CheckpointError, ConfigError, DataError
from bigbird.summarizing.lengths import search_for
from bigbird.summarizing.summarizer import Summarizer
from bigbird.summarizing.summary import as_json, remarks
from bigbird.tasks.extractive import lead, lex_rank
from helpers import YES_NO, loaded_model
from small_summarizers import TASK, one_word_summarizer, summarizer

SENTENCES = [
    f"The {a} {b} sees a {c}." for a in ("old", "new") for b in ("cat", "dog", "bird") for c in ("tree", "mat")
]
DOCUMENT = " ".join(SENTENCES) + "\n\nAnd then it ends."
PAGED = DocumentText(source="x.pdf", text=DOCUMENT, page_starts=(0, 50))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return readers.text_tokenizers(tmp_path_factory.mktemp("vocabularies"))["bert"]


def method(name):
    if name == "lexrank":
        pytest.importorskip("sklearn")
        pytest.importorskip("sklearn")
    return Summarizer.load(name)


@pytest.mark.parametrize(("name", "choose"), [("lexrank", lex_rank), ("lead", lead)])
@pytest.mark.parametrize(("length", "count"), [("short", 3), ("medium", 6), ("long", 12)])
def test_a_method_s_sentences_are_the_document_s_and_their_own_sources(name, choose, length, count):
    summary = method(name).summarize(PAGED, length)
    spans = choose(DOCUMENT, count)
    assert len(summary.sentences) == len(spans) == count
    assert [sentence.sources for sentence in summary.sentences] == [
        ((start, end, 1.0, 1 if start < 50 else 2),) for start, end in spans
    ]
    assert summary.text.splitlines() == [" ".join(DOCUMENT[start:end].split()) for start, end in spans]
    assert summary.support == "copied"
    assert remarks(summary, PAGED) == []


def test_places_in_the_summary_are_its_sentences():
    summary = method("lead").summarize("One\nline. Two  blanks. Three.", "short")
    assert summary.text == "One line.\nTwo blanks.\nThree."
    for sentence in summary.sentences:
        assert summary.text[sentence.start : sentence.end] == sentence.text


def test_a_short_document_is_its_own_summary():
    assert method("lexrank").summarize("One. Two.", "long").text == "One.\nTwo."


def test_a_plain_text_has_no_pages():
    assert method("lead").summarize(DOCUMENT).sentences[0].sources[0].page is None


@pytest.mark.parametrize(("length", "least", "most"), [("short", 2, 4), ("medium", 4, 8), ("long", 8, 16)])
def test_a_length_is_a_share_of_what_the_model_learned_to_write(tokenizer, length, least, most):
    task = summarizer(tokenizer).task
    search = search_for(task, length)
    assert (search.min_new_tokens, search.max_new_tokens) == (least, most)
    assert replace(search, min_new_tokens=0, max_new_tokens=16) == task.generation  # all else is the model's own
    tiny = search_for(replace(task, generation=replace(task.generation, max_new_tokens=2, forced_end=True)), length)
    assert tiny.max_new_tokens == 2
    assert tiny.min_new_tokens <= 1


def test_what_is_written_has_the_length_asked_for_and_is_told_when_cut(tokenizer):
    endless = Summarizer(one_word_summarizer(tokenizer, "red"))
    brief = Summarizer(one_word_summarizer(tokenizer, "[SEP]"))
    for length, least, most in (("short", 2, 4), ("medium", 4, 8), ("long", 8, 16)):
        text, again = (one.summarize("red one so blue.", length) for one in (endless, brief))
        assert (text.text.split(), text.is_cut) == (["red"] * most, True)
        assert (len(again.text.split()), again.is_cut) == (least, False)
    assert remarks(text, DocumentText(source="x", text="y")) == [
        "x: its summary has all the tokens that its length allows; its end may be missing"
    ]


def test_a_written_sentence_has_the_sources_that_share_its_words_and_else_none(tokenizer):
    model = Summarizer(one_word_summarizer(tokenizer, "red"))
    document = DocumentText(source="x", text="So and so. Red red red. Red red! But yet.", page_starts=(0, 24))
    (said,) = model.summarize(document, "short").sentences  # red red red red
    assert said.sources == (
        (11, 23, pytest.approx((3 / 4 + 2 / 3) / 2), 1),
        (24, 32, pytest.approx((2 / 4 + 1 / 3) / 2), 2),
    )
    (unsaid,) = model.summarize("Blue two. Green so.").sentences
    assert unsaid.sources == ()


def test_no_more_sources_than_anyone_looks_up(tokenizer):
    (sentence,) = Summarizer(one_word_summarizer(tokenizer, "red")).summarize("Red red red. " * 8, "short").sentences
    assert [source.start for source in sentence.sources] == [0, 13, 26]


def test_by_attention_the_sources_are_where_the_model_looked(tokenizer):
    loaded = one_word_summarizer(tokenizer, "red")
    for cross in loaded.model.decoder.cross:  # it looks at everything alike
        torch.nn.init.zeros_(cross.attention.query.weight)
        torch.nn.init.zeros_(cross.attention.query.bias)
    text = "So and so but yet. Or if while then. Red."
    (sentence,) = Summarizer(loaded, support="attention").summarize(text).sentences
    # 6, 5 and 2 tokens with their stops, and [CLS] and [SEP]
    assert [(source.start, source.weight) for source in sentence.sources] == [
        (0, pytest.approx(6 / 15)),
        (19, pytest.approx(5 / 15)),
        (37, pytest.approx(2 / 15)),
    ]


def test_what_does_not_fit_is_left_out_and_told(tokenizer):
    text = "Red one so blue two. " * 30
    document = DocumentText(source="long.txt", text=text)
    summary = Summarizer(summarizer(tokenizer)).summarize(document)
    room = TASK.max_length - 2  # [CLS] and [SEP]
    assert summary.num_left_out == 30 * 6 - room
    assert remarks(summary, document)[0] == (
        f"long.txt: {summary.num_left_out:,} tokens at its end were left out, the model read {summary.num_read:,}"
    )
    assert as_json(summary, document)["remarks"] == remarks(summary, document)
    by_attention = Summarizer(summarizer(tokenizer), support="attention").summarize(document)
    assert all(source.end <= 11 * 21 for one in by_attention.sentences for source in one.sources)


@pytest.mark.parametrize("support", ["overlap", "attention"])
def test_a_saved_summarizer_sums_up_alike_and_again_alike(tokenizer, tmp_path, support):
    loaded = summarizer(tokenizer)
    save_model(tmp_path / "mine", loaded)
    one = Summarizer(loaded, support=support)
    again = Summarizer.load(tmp_path / "mine", support=support, device="cpu")
    texts = [DOCUMENT, "red one so blue.", "two"]
    found = [one.summarize(text) for text in texts]
    assert [again.summarize(text) for text in reversed(texts)][::-1] == found


def test_a_query_is_read_by_models_that_write(tokenizer):
    model = Summarizer(summarizer(tokenizer))
    plain, asked = model.summarize("red one so."), model.summarize("red one so.", query="what is red?")
    assert asked.num_read > plain.num_read


def test_json_has_the_words_of_every_source():
    found = as_json(method("lead").summarize(PAGED, "short"), PAGED)
    assert found["sentences"][0] == {
        "text": "The old cat sees a tree.",
        "start": 0,
        "end": 24,
        "sources": [{"start": 0, "end": 24, "weight": 1.0, "page": 1, "text": "The old cat sees a tree."}],
    }
    assert {key: found[key] for key in ("support", "num_left_out", "is_cut", "remarks")} == {
        "support": "copied",
        "num_left_out": 0,
        "is_cut": False,
        "remarks": [],
    }


def test_what_cannot_be_summed_up_is_told(tmp_path):
    lead_alone = method("lead")
    with pytest.raises(DataError, match=r"the text holds no text, only blanks"):
        lead_alone.summarize(" \n")
    with pytest.raises(
        ConfigError, match=r"length must be one of short, medium, long, got 'shrt'; did you mean 'short'"
    ):
        lead_alone.summarize("One.", "shrt")
    with pytest.raises(ConfigError, match=r"lead answers no query; leave it out, or give a model that writes"):
        lead_alone.summarize("One.", query="who?")
    with pytest.raises(ConfigError, match=r"there is no method 'first' to choose sentences; there are lexrank, lead"):
        Summarizer("first")
    with pytest.raises(ConfigError, match=r"support must be one of overlap, attention, got 'magic'"):
        Summarizer.load("lead", support="magic")
    with pytest.raises(
        ConfigError, match=r"lead copies sentences, so that each is its own source; leave out support 'ove"
    ):
        Summarizer.load("lead", support="overlap")
    with pytest.raises(ConfigError, match=r"a summarizer needs a model that writes .* got one for Classification"):
        Summarizer(loaded_model(YES_NO))
    save_model(tmp_path / "other", loaded_model(YES_NO))
    with pytest.raises(CheckpointError, match=r"other writes no summaries: its task is Classification"):
        Summarizer.load(tmp_path / "other", device="cpu")
    with pytest.raises(CheckpointError, match=r"there is no model nobody\. Give a model folder, .*: lexrank or lead"):
        Summarizer.load("nobody")
