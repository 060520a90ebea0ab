"""All documents of a review on one page: a table of documents and questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from bigbird.reading.asking import AskedQuestion
from bigbird.reading.page_style import framed, percent, written


class IndexCell(NamedTuple):
    """Whether a question was found, and the probability of its best answer (of no answer where it was not)."""

    is_found: bool
    score: float


class IndexRow(NamedTuple):
    """One document.

    page   of the document, as a path seen from the index; "" where it could not be read
    cells  one per question; () where it could not be read
    error  why it could not be read
    """

    name: str
    page: str = ""
    cells: tuple[IndexCell, ...] = ()
    error: str = ""


def cells_of(record: Mapping[str, Any]) -> tuple[IndexCell, ...]:
    """The cells of a document, from its JSON."""
    return tuple(
        IndexCell(one["is_found"], one["answers"][0]["score"] if one["is_found"] else one["no_answer"])
        for one in record["questions"]
    )


def index_page(rows: Sequence[IndexRow], questions: Sequence[AskedQuestion], *, model: str) -> str:
    """The whole page; each cell leads to the question on the document's page."""
    head = "".join(f'<th title="{written(one.question)}"><span>{written(one.name)}</span></th>' for one in questions)
    counts = "".join(
        f"<td>{sum(row.cells[column].is_found for row in rows if row.cells)}</td>" for column in range(len(questions))
    )
    num_faulty = sum(bool(row.error) for row in rows)
    faulty = f"; {num_faulty} could not be read" if num_faulty else ""
    body = (
        f'<header>\n<h1>Review of {_number(len(rows), "document")}</h1>\n<p class="quiet">'
        f"{_number(len(questions), 'question')}{faulty}. A marked cell: found, with its score. Others: no answer "
        f"found, with the probability that there is none.</p>\n</header>\n"
        f'<div class="table">\n<table>\n<thead><tr><th>Document</th>{head}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(_row(row, len(questions)) for row in rows)}\n</tbody>\n"
        f"<tfoot><tr><th>Found in</th>{counts}</tr></tfoot>\n</table>\n</div>"
    )
    return framed(title=f"Review of {_number(len(rows), 'document')}", model=model, body=body)


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _row(row: IndexRow, num_questions: int) -> str:
    if row.error:
        return (
            f'<tr><th scope="row">{written(row.name)}</th><td class="fault" colspan="{num_questions}">'
            f"{written(row.error)}</td></tr>"
        )
    address = quote(row.page.encode(errors="surrogateescape"))
    cells = "".join(_cell(cell, f"{address}#q{number}") for number, cell in enumerate(row.cells, start=1))
    return f'<tr><th scope="row"><a href="{address}">{written(row.name)}</a></th>{cells}</tr>'


def _cell(cell: IndexCell, address: str) -> str:
    if cell.is_found:
        return f'<td class="found"><a href="{address}">✓ {percent(cell.score)}</a></td>'
    return f'<td><a class="quiet" href="{address}">– {percent(cell.score)}</a></td>'
