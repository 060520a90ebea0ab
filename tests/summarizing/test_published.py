"""Summarizers of the Hub's layout write, and what they lean on is told, as of a model of ours."""

import json

import pytest
import torch

import sentencepiece_models as made
from bigbird.data.summaries import SummarizedDocument
from bigbird.errors import CheckpointError, ConfigError
from bigbird.summarizing.lengths import search_for
from bigbird.summarizing.summarizer import Summarizer
from bigbird.tasks.summary_tokens import text_of
from bigbird.tokenizers import TextTokenizer
from dense_folders import summarizer_folder

TEXT = "the cat is on the mat\nit is a cat. The mat is on it"
SEARCH = {"num_beams": 2, "max_length": 33, "forced_eos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 0}


@pytest.fixture(params=["BigBirdPegasusForConditionalGeneration", "PegasusForConditionalGeneration"])
def folder(request, tmp_path):
    """A folder with its vocabulary, and the model in it."""
    tokenizer = TextTokenizer(made.pegasus(published_by_bigbird=False), family="pegasus")
    path, model = summarizer_folder(
        tmp_path / "published",
        request.param,
        vocab_size=tokenizer.vocab_size,
        max_position_embeddings=256,
        pad_token_id=0,
    )
    (path / "generation_config.json").write_text(json.dumps(SEARCH))
    (path / "spiece.model").write_bytes(made.pegasus(published_by_bigbird=False))
    (path / "tokenizer_config.json").write_text('{"tokenizer_class": "PegasusTokenizer"}')
    return path, model


@pytest.mark.parametrize("support", ["overlap", "attention"])
def test_it_writes_what_transformers_writes(folder, support):
    path, model = folder
    summarizer = Summarizer.load(path, support=support, device="cpu")
    summary = summarizer.summarize(TEXT, "long")
    loaded = summarizer._source
    search = search_for(loaded.task, "long")
    (example,) = loaded.task.encode(SummarizedDocument(document=TEXT), loaded.tokenizer, purpose="predict")
    theirs = model.generate(
        torch.from_numpy(example.token_ids)[None],
        num_beams=2,
        max_new_tokens=search.max_new_tokens,
        min_new_tokens=search.min_new_tokens,
        forced_eos_token_id=1,
        decoder_start_token_id=0,
    )[0].tolist()
    ids = theirs[1:]
    assert summary.text == text_of(ids[: ids.index(1)] if 1 in ids else ids, loaded.tokenizer)
    assert (search.min_new_tokens, search.max_new_tokens) == (16, 32)
    assert (summary.num_read, summary.num_left_out, summary.is_cut) == (len(example.token_ids), 0, len(ids) == 32)
    assert all(0 <= source.start < source.end <= len(TEXT) for one in summary.sentences for source in one.sources)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": 2.5}, "how it writes is not to be understood"),
        ({"max_new_tokens": "many"}, "how it writes is not to be understood"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
        ({"eos_token_id": [1, 2]}, "end_token"),
        ({"decoder_start_token_id": 9999}, "generation.start_token must be one of the model's"),
    ],
)
def test_a_way_to_write_that_cannot_be_is_told(folder, settings, message):
    path, _ = folder
    (path / "generation_config.json").write_text(json.dumps(SEARCH | settings))
    with pytest.raises((CheckpointError, ConfigError), match=message):
        Summarizer.load(path, device="cpu")


def test_of_several_settings_those_that_are_served_count_and_the_others_are_told(folder, caplog):
    path, _ = folder
    told = SEARCH | {"eos_token_id": [1], "min_new_tokens": 3, "repetition_penalty": 1.2, "do_sample": False}
    (path / "generation_config.json").write_text(json.dumps(told))
    search = Summarizer.load(path, device="cpu")._source.task.generation
    assert (search.end_token, search.min_new_tokens, search.max_new_tokens, search.forced_end) == (1, 3, 32, True)
    assert "repetition_penalty of its search are not served; it writes without them" in caplog.text
    assert "do_sample" not in caplog.text
