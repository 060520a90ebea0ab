"""One document as a page: its text with the answers marked in place, and the questions that lead to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bigbird.data.sentences import Span
from bigbird.documents.document_text import DocumentText
from bigbird.reading.asking import Answered, LocatedAnswer
from bigbird.reading.highlights import Piece, pieces
from bigbird.reading.page_style import framed, percent, written

_MAX_LINK_LETTERS = 300  # of an answer in the list; the whole of it is marked in the text


class _Mark(NamedTuple):
    """A marked answer: the question's number, the answer's among its answers, both from 1."""

    question: int
    rank: int
    name: str
    answer: LocatedAnswer

    @property
    def place(self) -> str:
        return f"a{self.question}-{self.rank}"

    @property
    def title(self) -> str:
        return f"{self.name}: {percent(self.answer.score)}"


def document_page(document: DocumentText, answered: Sequence[Answered], *, model: str, up: str = "") -> str:
    """The whole page; answers of questions that count as not found are neither marked nor listed.

    up  the address of the index; "" for none
    """
    marks = [
        _Mark(number, rank, one.asked.name, answer)
        for number, one in enumerate(answered, start=1)
        if one.is_found
        for rank, answer in enumerate(one.answers, start=1)
    ]
    num_found = sum(one.is_found for one in answered)
    pages = f", {len(document.page_starts):,} pages" if document.page_starts else ""
    back = f'<p class="quiet"><a href="{written(up)}">All documents</a></p>\n' if up else ""
    remarks = "".join(f'<p class="quiet">{written(remark)}</p>\n' for remark in document.remarks)
    questions = "\n".join(_question(number, one, document) for number, one in enumerate(answered, start=1))
    body = (
        f'<header>\n{back}<h1>{written(document.source)}</h1>\n<p class="quiet">{num_found} of {len(answered)} '
        f"questions answered; {len(document.text):,} characters{pages}.</p>\n{remarks}</header>\n"
        f'<div class="columns">\n<nav aria-label="Questions">\n{questions}\n</nav>\n'
        f'<main class="text" dir="auto">{"".join(_text(document, marks))}</main>\n</div>'
    )
    return framed(title=document.source, model=model, body=body)


def _question(number: int, one: Answered, document: DocumentText) -> str:
    """One question of the list, with links to its marks."""
    asked = f'<p class="quiet">{written(one.asked.question)}</p>\n' if one.asked.question != one.asked.name else ""
    if one.is_found:
        items = "\n".join(_listed(number, rank, answer, document) for rank, answer in enumerate(one.answers, start=1))
        found = f'<ol>\n{items}\n</ol>\n<p class="quiet">No answer: {percent(one.no_answer)}</p>'
    else:
        found = f'<p class="quiet">No answer found ({percent(one.no_answer)})</p>'
    return f'<section id="q{number}">\n<h2>{written(one.asked.name)}</h2>\n{asked}{found}\n</section>'


def _listed(number: int, rank: int, answer: LocatedAnswer, document: DocumentText) -> str:
    words = " ".join(answer.text.split())
    words = f"{words[:_MAX_LINK_LETTERS]} …" if len(words) > _MAX_LINK_LETTERS else words
    page = f", page {answer.page}" if answer.page is not None else ""
    start, end = answer.evidence
    text = document.text
    evidence = (
        f"{written(text[start : answer.start])}<mark>{written(text[answer.start : answer.end])}</mark>"
        f"{written(text[answer.end : end])}"
    )
    return (
        f'<li><a href="#a{number}-{rank}">{written(words)}</a> <span class="score">{percent(answer.score)}{page}</span>'
        f'<blockquote dir="auto">{evidence}</blockquote></li>'
    )


def _text(document: DocumentText, marks: Sequence[_Mark]) -> Iterator[str]:
    """The document's text; where marks overlap, the piece they share is one mark of both."""
    spans = [Span(mark.answer.start, mark.answer.end) for mark in marks]
    page_of = {start: number for number, start in enumerate(document.page_starts, start=1)}
    for piece in pieces(len(document.text), spans, cuts=document.page_starts):
        if piece.start in page_of:
            yield f'<span class="page" id="page-{page_of[piece.start]}">page {page_of[piece.start]}</span>'
        yield _piece(document.text, piece, [marks[number] for number in piece.covered_by])


def _piece(text: str, piece: Piece, marks: Sequence[_Mark]) -> str:
    words = written(text[piece.start : piece.end])
    if not marks:
        return words
    places = "".join(f'<span class="place" id="{mark.place}"></span>' for mark in marks if _begins(mark, piece))
    title = written("; ".join(mark.title for mark in marks))
    chips = "".join(
        f'<a class="chip" href="#q{mark.question}">{written(mark.title)}</a>' for mark in marks if _ends(mark, piece)
    )
    kind = ' class="more"' if len(marks) > 1 else ""
    return f'{places}<mark{kind} title="{title}">{words}</mark>{chips}'


def _begins(mark: _Mark, piece: Piece) -> bool:
    return mark.answer.start == piece.start


def _ends(mark: _Mark, piece: Piece) -> bool:
    return mark.answer.end == piece.end
