"""Summaries on a terminal, and as plain lines where nobody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from bigbird.cli.answers_shown import shown

if TYPE_CHECKING:
    from typing import TextIO

    from bigbird.documents.document_text import DocumentText
    from bigbird.summarizing.summary import Source, Summary

_WIDTH = 100  # letters of a line in a file
_MAX_LETTERS = 60  # of the beginning of a source
_UNFOUND = "no sentence of the document says so in its words"  # by overlap
_UNSEEN = "the model looked at no sentence of the document in particular"  # by attention


def show_summary(summary: Summary, document: DocumentText, *, heading: str = "", file: TextIO | None = None) -> None:
    """Print each sentence, and under it where the document says so; `file` None: on the terminal."""
    console = Console(file=file, highlight=False, width=_WIDTH if file is not None else None)
    if not console.is_terminal and file is None:
        console = Console(highlight=False, width=_WIDTH)
    if heading:
        console.print(Text(shown(heading), style="bold"))
    for sentence in summary.sentences:
        _print(console, Text(shown(sentence.text)), indent=2)
        for line in _sources(summary, sentence.sources, document):
            _print(console, line, indent=6)
    if not summary.sentences:
        console.print(Text("  nothing was written", style="dim"))


def _print(console: Console, text: Text, *, indent: int) -> None:
    for line in text.wrap(console, max(20, console.width - indent)):
        line.rstrip()
        console.print(Text.assemble(" " * indent, line), soft_wrap=True)


def _sources(summary: Summary, sources: tuple[Source, ...], document: DocumentText) -> list[Text]:
    if not sources:
        return [Text(_UNSEEN if summary.support == "attention" else _UNFOUND, style="yellow")]
    return [Text(_place(summary, source, document), style="dim") for source in sources]


def _place(summary: Summary, source: Source, document: DocumentText) -> str:
    """As in "page 3, characters 1204 to 1310, 85%: The fee rises …"."""
    page = f"page {source.page}, " if source.page is not None else ""
    place = f"{page}characters {source.start} to {source.end}"
    if summary.support == "copied":  # its words are those above
        return place
    words = shown(document.text[source.start : source.end])
    begun = words if len(words) <= _MAX_LETTERS else f"{words[:_MAX_LETTERS]} …"
    return f"{place}, {source.weight:.0%}: {begun}"
