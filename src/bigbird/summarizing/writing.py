"""Summaries that a model writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from bigbird.checkpoint import LoadedModel
from bigbird.data.sentences import Span, sentence_spans
from bigbird.data.summaries import SummarizedDocument
from bigbird.documents.document_text import DocumentText
from bigbird.predictor import Predictor
from bigbird.summarizing import attention, overlap
from bigbird.summarizing.lengths import Length, search_for
from bigbird.summarizing.summary import MAX_SOURCES, Source, Summary, SummarySentence, located
from bigbird.tasks import Summarization, WrittenSummary

SupportBy = Literal["overlap", "attention"]


def written(loaded: LoadedModel, document: DocumentText, length: Length, *, query: str, support: SupportBy) -> Summary:
    """What the model writes about the document; raises DataError where there is nothing that it can read."""
    task = loaded.task
    assert isinstance(task, Summarization)
    search = search_for(task, length)
    record = SummarizedDocument(document=document.text, summaries=(), query=query, name=document.source)
    (found,) = Predictor(replace(loaded, task=replace(task, generation=search))).predict([record])
    spans = sentence_spans(found.text)
    texts = [found.text[start:end] for start, end in spans]
    sources = _sources(loaded, record, found, spans, support=support)
    return Summary(
        text=found.text,
        sentences=tuple(
            SummarySentence(text, *span, _best(weights, document, THRESHOLDS[support]))
            for text, span, weights in zip(texts, spans, sources, strict=True)
        ),
        support=support,
        num_read=found.num_read,
        num_left_out=found.num_left_out,
        is_cut=len(found.token_ids) >= search.max_new_tokens - search.forced_end,
    )


THRESHOLDS: dict[SupportBy, float] = {"overlap": overlap.THRESHOLD, "attention": attention.THRESHOLD}


def _sources(
    loaded: LoadedModel, record: SummarizedDocument, found: WrittenSummary, spans: Sequence[Span], *, support: SupportBy
) -> Iterable[Sequence[tuple[Span, float]]]:
    if support == "attention":
        return attention.attention_weights(loaded, record, found, spans)
    own = overlap.Overlaps(record.document)
    return [own.weights(found.text[start:end]) for start, end in spans]


def _best(weights: Sequence[tuple[Span, float]], document: DocumentText, threshold: float) -> tuple[Source, ...]:
    """Those that reach the threshold, the heaviest first; of equals the one that stands first."""
    enough = sorted((pair for pair in weights if pair[1] >= threshold), key=lambda pair: -pair[1])
    return tuple(located(span.start, span.end, weight, document) for span, weight in enough[:MAX_SOURCES])
