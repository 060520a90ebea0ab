"""Which sentences of a document a model looked at while it wrote a sentence of its summary.

The weight of a document's sentence is the cross-attention that falls on its tokens, in the mean over heads, layers and
the steps that wrote the tokens of the summary's sentence: all weights of one sentence, and what falls on special tokens
and a query, come to 1. It tells where the model looked, not whether the document says so: for that there is overlap.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bigbird.attention import DocumentLayout
from bigbird.checkpoint import LoadedModel
from bigbird.data.sentences import Span, sentence_spans
from bigbird.data.summaries import SummarizedDocument
from bigbird.model.seq2seq import Seq2Seq
from bigbird.model.source_attention import source_attention
from bigbird.tasks import Summarization, WrittenSummary
from bigbird.tasks.base import Example, device_of
from bigbird.tasks.summary_tokens import text_of, writer_tokenizer
from bigbird.tokenizers import TextTokenizer

THRESHOLD = 0.1  # a tenth of all that the model looked at


def attention_weights(
    loaded: LoadedModel, record: SummarizedDocument, written: WrittenSummary, sentences: Sequence[Span]
) -> list[list[tuple[Span, float]]]:
    """For each sentence of what was written the document's sentences with their weights; what was not read has 0.

    sentences  of written.text, in order
    """
    spans = sentence_spans(record.document)
    weights = np.zeros((len(sentences), len(spans) + 1), np.float32)  # the last column: what is no sentence
    if written.token_ids:
        looked, sources = _looked(loaded, record, written.token_ids, spans)
        steps = _steps(written, sentences, writer_tokenizer(loaded.tokenizer))
        for number in range(len(sentences)):
            if (steps == number).any():
                np.add.at(weights[number], sources, looked[steps == number].mean(0))
    return [list(zip(spans, row[:-1].tolist(), strict=True)) for row in weights]


def _looked(
    loaded: LoadedModel, record: SummarizedDocument, token_ids: Sequence[int], spans: Sequence[Span]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What each step takes of each token that was read, [steps, tokens]; and the sentence of each of these tokens."""
    model, task = loaded.model, loaded.task
    assert isinstance(model, Seq2Seq)
    assert isinstance(task, Summarization)
    (example,) = task.encode(record, loaded.tokenizer, purpose="predict")
    batch = task.collate([example], block_size=loaded.encoder.pattern.block_size).to(device_of(model))
    assert isinstance(batch.layout, DocumentLayout)
    before = torch.tensor([task.generation.start_token, *token_ids[:-1]], device=batch.token_ids.device)
    target_layout = DocumentLayout((len(before),), batch.layout.block_size)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            encoded = model.encode(batch.token_ids, batch.layout, token_types=batch.token_types)
            looked = source_attention(
                model.decoder, target_layout.pack(before), encoded, layout=batch.layout, target_layout=target_layout
            )
    finally:
        model.train(was_training)
    return looked[: len(before), : len(example.token_ids)].cpu().numpy(), _sentence_of(example, spans)


def _sentence_of(example: Example, spans: Sequence[Span]) -> NDArray[np.int64]:
    """The number of the sentence that each token ends in; the number of all of them for what stands in none."""
    found = np.searchsorted([span.start for span in spans], example.ends - 1, side="right") - 1
    return np.where((example.ends > 0) & (found >= 0), found, len(spans))


def _steps(written: WrittenSummary, sentences: Sequence[Span], tokenizer: TextTokenizer) -> NDArray[np.int64]:
    """The number of the sentence that each token's last letter stands in."""
    ends = [len(text_of(written.token_ids[: step + 1], tokenizer)) for step in range(len(written.token_ids))]
    starts = [span.start for span in sentences]
    return np.array([max(0, bisect_right(starts, end - 1) - 1) for end in ends], np.int64)
