"""Answers on a terminal, and as plain lines where nobody looks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from bigbird.documents.document_text import DocumentText
    from bigbird.reading.asking import Answered, LocatedAnswer

_MAX_LETTERS = 240  # of the sentence on either side of an answer, and of the answer in its line


def show_answers(answered: Iterable[Answered], document: DocumentText, *, with_names: bool) -> None:
    """Print each question's answers as they come; a terminal marks them by colour, a file by >> and <<."""
    console = Console(soft_wrap=True, highlight=False)
    for one in answered:
        if with_names:
            console.print(Text(shown(one.asked.name), style="bold"))
        if one.is_found:
            for answer in one.answers:
                console.print(_headline(answer), _excerpt(answer, document, console.is_terminal), sep="\n")
            console.print(Text(f"  no answer: {_percent(one.no_answer)}", style="dim"))
        else:
            console.print(Text(f"  no answer found ({_percent(one.no_answer)})"))


def shown(text: str) -> str:
    """Text in one line, without characters that steer a terminal or turn its writing round."""
    line = " ".join(text.split())
    return "".join(
        "\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") or _turns(letter) else letter for letter in line
    )


def _turns(letter: str) -> bool:
    return "\u202a" <= letter <= "\u202e" or "\u2066" <= letter <= "\u2069"


def _headline(answer: LocatedAnswer) -> Text:
    page = f"page {answer.page}  " if answer.page is not None else ""
    words = shown(answer.text)
    words = f"{words[:_MAX_LETTERS]} …" if len(words) > _MAX_LETTERS else words
    return Text.assemble((f"  {_percent(answer.score):>5}  ", "bold"), (page, "dim"), words)


def _excerpt(answer: LocatedAnswer, document: DocumentText, is_terminal: bool) -> Text:
    """The sentence around an answer, its ends left out where it is long."""
    start, end = answer.evidence
    before, after = document.text[start : answer.start], document.text[answer.end : end]
    left, right = shown(before), shown(after)
    left = f"… {left[-_MAX_LETTERS:]}" if len(left) > _MAX_LETTERS else left
    right = f"{right[:_MAX_LETTERS]} …" if len(right) > _MAX_LETTERS else right
    words = shown(answer.text)
    if len(words) > 3 * _MAX_LETTERS:
        words = f"{words[:_MAX_LETTERS]} … {words[-_MAX_LETTERS:]}"
    marked = (words, "black on yellow") if is_terminal else f">>{words}<<"
    gaps = [" " if part and part != part.strip() else "" for part in (before, after)]
    return Text.assemble("         ", left, gaps[0], marked, gaps[1], right)


def _percent(probability: float) -> str:
    from bigbird.reading.page_style import percent

    return percent(probability)
