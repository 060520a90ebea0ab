"""The text of an HTML page as a reader sees it: no markup, no scripts, a line per block."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from bigbird.documents.document_text import DocumentText, document_text
from bigbird.documents.text_bytes import decoded

_UNSEEN = frozenset({"script", "style", "template", "title", "svg", "ix:header"})  # the last hides data in filings
# Elements that stand on lines of their own, and those among them with an empty line around.
_BLOCKS = """address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer
form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table tbody tfoot thead tr ul"""
_PARAGRAPHS = "p h1 h2 h3 h4 h5 h6 blockquote table pre ul ol dl hr section article"
_GAPS = dict.fromkeys(_BLOCKS.split(), "\n") | dict.fromkeys(_PARAGRAPHS.split(), "\n\n")
_CELLS = frozenset({"td", "th"})
_DECLARED = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_HEAD_BYTES = 4096  # where browsers look for the declaration; they stop at 1,024
_BLANKS = re.compile(r"[ \t\r\n\f\v]+")  # not the no-break space, which is a letter to HTML


def html_text(data: bytes, source: str) -> DocumentText:
    r"""Extract an HTML page; entities are resolved, blanks run together as a browser shows them.

        <p>Ends&nbsp;in <b>May</b>.</p><ul><li>One<li>Two</ul>   →   "Ends\xa0in May.\n\nOne\nTwo"

    Raises DataError for bytes that are no text and for pages without any.
    """
    declared = _DECLARED.search(data[:_HEAD_BYTES])
    text, remarks = decoded(data, source, declared=declared[1].decode("ascii", "replace") if declared else "")
    page = _Page()
    page.feed(text)
    page.close()
    return document_text(source, page.text(), remarks=remarks)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._break = ""  # owed before the next word: a blank, a tab, one line end or two
        self._unseen, self._depth = "", 0  # the tag that hides what follows, and how often it stands open
        self._preformatted = 0

    def text(self) -> str:
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in _UNSEEN and (not self._depth or tag == self._unseen):
            self._unseen = tag
            self._depth += 1
        elif tag == "br":
            self._owe("\n" if self._break != "\n" else "\n\n")
        elif tag in _CELLS:
            self._owe("\t")
        self._end_block(tag)
        self._preformatted += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _UNSEEN:  # closed at once, it hides nothing
            self.handle_starttag(tag, attrs)
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._depth and tag == self._unseen:
            self._depth -= 1
        self._end_block(tag)
        if tag == "pre" and self._preformatted:
            self._preformatted -= 1

    def handle_data(self, data: str) -> None:
        if self._depth:
            return
        if self._preformatted:
            self._pay()
            self._parts.append(data.replace("\r\n", "\n"))
            return
        words = _BLANKS.sub(" ", data)
        if words.startswith(" "):
            self._owe(" ")
        if words.strip(" "):
            self._pay()
            self._parts.append(words.strip(" "))
            if words.endswith(" "):
                self._owe(" ")

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """What begins with <![ is a comment to browsers; the parser by itself stops at words it does not know."""
        return self.parse_bogus_comment(i, report)

    def _end_block(self, tag: str) -> None:
        if tag in _GAPS:
            self._owe(_GAPS[tag])

    def _owe(self, gap: str) -> None:
        """Remember the widest gap before the next word."""
        widths = ("", " ", "\t", "\n", "\n\n")
        self._break = max(self._break, gap, key=widths.index)

    def _pay(self) -> None:
        if self._parts:
            self._parts.append(self._break)
        self._break = ""
