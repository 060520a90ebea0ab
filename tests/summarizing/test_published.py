"""Summarizers of the Hub's layout write, and what they lean on is told, as of a model of ours."""

import json

import pytest
import torch

import sentencepiece_models as made
from bigbird.data.summaries import SummarizedDocument
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
