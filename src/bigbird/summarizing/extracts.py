"""Summaries of a document's own sentences, which need no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bigbird.data.sentences import Span, on_lines
from bigbird.documents.document_text import DocumentText
from bigbird.summarizing.summary import Summary, SummarySentence, located
from bigbird.tasks.extractive import lead, lex_rank

Choose = Callable[[str, int], tuple[Span, ...]]

EXTRACTS: Mapping[str, Choose] = {"lexrank": lex_rank, "lead": lead}


def extracted(document: DocumentText, method: str, num_sentences: int) -> Summary:
    """The sentences that the method chooses, in the document's order, each on a line of its own."""
    sentences = []
    lines: list[str] = []
    place = 0
    for start, end in EXTRACTS[method](document.text, num_sentences):
        line = on_lines(document.text, [Span(start, end)])
        sentences.append(SummarySentence(line, place, place + len(line), (located(start, end, 1.0, document),)))
        lines.append(line)
        place += len(line) + 1
    return Summary(text="\n".join(lines), sentences=tuple(sentences), support="copied")
