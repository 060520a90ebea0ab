"""Tiny summarizers with random weights, and what they read."""

from dataclasses import replace

import torch

import reader_models as readers
from bigbird.checkpoint import LoadedModel
from bigbird.tasks import Summarization

TASK = Summarization(
    max_length=64,
    generation=replace(Summarization().generation, max_new_tokens=16, num_beams=2),
)


def summarizer(tokenizer, *, seed=0, task=TASK, **changes):
    """An untrained model that writes summaries."""
    config = replace(readers.reader(readers.SMALL, tokenizer).encoder, **changes)
    settled = task.settled(tokenizer, config)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = settled.build_model(config).eval()
    return LoadedModel(model, config, settled, tokenizer, {})


def one_word_summarizer(tokenizer, word):
    """One that always writes the same token, however long; of [SEP] it ends as soon as it may, with "red" before."""
    task = replace(TASK, generation=replace(TASK.generation, num_beams=1))
    loaded = summarizer(tokenizer, task=task)
    decoder = replace(loaded.task.decoder, has_logits_bias=True)
    loaded = summarizer(tokenizer, task=replace(loaded.task, decoder=decoder))
    bias = loaded.model.decoder.logits_bias.data
    bias[tokenizer.encode_batch(["red"])[0].ids[0]] = 1e3
    if word == "[SEP]":
        bias[tokenizer.special_id("[SEP]")] = 1e4
    return loaded
