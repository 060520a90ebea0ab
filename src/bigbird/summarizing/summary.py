"""What a summary is: its sentences, and the places of the document that each leans on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from bigbird.documents.document_text import DocumentText

Support = Literal["copied", "overlap", "attention"]

MAX_SOURCES = 3  # of a sentence; more than that nobody looks up


class Source(NamedTuple):
    """A sentence of the document: characters [start, end) of its text.

    weight  how much the summary's sentence leans on it, 0 to 1; see `Summary.support`
    page    counted from 1; None where the format knows no pages
    """

    start: int
    end: int
    weight: float
    page: int | None


class SummarySentence(NamedTuple):
    """A sentence of the summary: characters [start, end) of its text.

    sources  the document's sentences it leans on most, at most 3; () where nothing in the document says so
    """

    text: str
    start: int
    end: int
    sources: tuple[Source, ...]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A summary that can be checked.

    sentences     all of the text's, in order
    support       how the sources were found. "copied": the sentence is the document's own. "overlap": by shared words,
                  see `summarizing.overlap`. "attention": by where the model looked while it wrote, see
                  `summarizing.attention`
    num_read      tokens that the model read, its special ones included; 0 where none was asked
    num_left_out  tokens of the document's end that it had no room for
    is_cut        whether the text has all the tokens that the length asked for allows, so that its end may be missing
    """

    text: str
    sentences: tuple[SummarySentence, ...]
    support: Support
    num_read: int = 0
    num_left_out: int = 0
    is_cut: bool = False


def located(start: int, end: int, weight: float, document: DocumentText) -> Source:
    """A source with its page."""
    return Source(start, end, weight, document.page(start))


def remarks(summary: Summary, document: DocumentText) -> list[str]:
    """What a reader of the summary has to know, in words: what was guessed, left out or cut."""
    found = list(document.remarks)
    if summary.num_left_out:
        found.append(
            f"{document.source}: {summary.num_left_out:,} tokens at its end were left out, the model read "
            f"{summary.num_read:,}"
        )
    if summary.is_cut:
        found.append(
            f"{document.source}: its summary has all the tokens that its length allows; its end may be missing"
        )
    return found


def as_json(summary: Summary, document: DocumentText) -> dict[str, Any]:
    """A summary as plain JSON values, the words of its sources with it."""
    return {
        "summary": summary.text,
        "support": summary.support,
        "num_left_out": summary.num_left_out,
        "is_cut": summary.is_cut,
        "remarks": remarks(summary, document),
        "sentences": [_sentence_json(sentence, document.text) for sentence in summary.sentences],
    }


def _sentence_json(sentence: SummarySentence, text: str) -> dict[str, Any]:
    sources = [source._asdict() | {"text": text[source.start : source.end]} for source in sentence.sources]
    return sentence._asdict() | {"sources": sources}
