"""Files in SQuAD's format, versions 1.1 and 2.0; CUAD_v1.json and COVID-QA.json are such files.

    {"data": [{"title": …, "paragraphs": [{"context": …, "qas": [
        {"id": …, "question": …, "is_impossible": …, "answers": [{"text": …, "answer_start": …}, …]}, …]}, …]}, …]}

Rajpurkar et al. 2016 (arXiv 1606.05250), 2018 (1806.03822); Hendrycks et al. 2021 (2103.06268); Möller et al. 2020.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bigbird.data.json_entries import Entry
from bigbird.data.json_files import read_entries
from bigbird.data.questions import AnswerSpan, Question
from bigbird.data.text_places import nearest_place
from bigbird.errors import DataError

log = logging.getLogger(__name__)


@dataclass
class _Repairs:
    """Answers whose place did not spell them, by question."""

    moved: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def read_squad(path: Path, *, repair: bool = False) -> Iterator[Question]:
    """The questions of a file, in its order; .json or one article a line in .jsonl, plain or gzip.

    An answer whose place does not spell its text is an error. With `repair` it is moved to the nearest place that does
    (white space aside where nothing spells it exactly); one the document holds nowhere stays among the `accepted`
    answers without a place. Both are counted and logged.

    `accepted` has a text for each answer of the file, in its order, equal ones too: CUAD counts each.

    A question of a file without `answers`, such as a hidden test set, has none. A document without a title is named
    after its `document_id`, else its number in the file.
    """
    repairs = _Repairs()
    number = 0
    for article in read_entries(path, list_name="data"):
        for paragraph in article.entries("paragraphs"):
            number += 1
            title = article.text("title", "") or _own_name(paragraph) or f"{path.name} {number}"
            for asked in paragraph.entries("qas"):
                yield _question(asked, paragraph.text("context"), title, repairs if repair else None)
    if repairs.moved:
        log.warning(
            "%s: %d answers did not stand where the file says and were moved to the nearest place that spells them; "
            "the first is of question %s",
            path,
            len(repairs.moved),
            repairs.moved[0],
        )
    if repairs.lost:
        log.warning(
            "%s: %d answers stand nowhere in their document, so nothing is learned from them; the first is of question "
            "%s",
            path,
            len(repairs.lost),
            repairs.lost[0],
        )


def _own_name(paragraph: Entry) -> str:
    return paragraph.label("document_id") if paragraph.has("document_id") else ""


def _question(asked: Entry, document: str, title: str, repairs: _Repairs | None) -> Question:
    name = asked.label("id")
    is_impossible = asked.flag("is_impossible")
    answers = list(asked.entries("answers")) if asked.has("answers") else []
    if is_impossible and answers:
        raise DataError(
            f"{asked.where}: question {name!r} is marked impossible and has {len(answers)} answers; give it one or the "
            f"other"
        )
    spans = [_span(answer, document, name, repairs) for answer in answers]
    return Question(
        name=name,
        title=title,
        question=asked.text("question"),
        document=document,
        answers=tuple(dict.fromkeys(span for span in spans if span)),
        accepted=tuple(answer.text("text") for answer in answers),
        is_impossible=is_impossible,
    )


def _span(answer: Entry, document: str, name: str, repairs: _Repairs | None) -> AnswerSpan | None:
    text, start = answer.text("text"), answer.number("answer_start")
    if not text:
        raise DataError(
            f'{answer.where}: an answer of question {name!r} is empty; where nothing answers, give "answers": []'
        )
    if start >= 0 and document.startswith(text, start):
        return AnswerSpan(start, start + len(text))
    if repairs is None:
        there = document[start : start + len(text)] if start >= 0 else ""
        raise DataError(
            f"{answer.where}: question {name!r}: the document reads {there!r:.40} at character {start}, not "
            f"{text!r:.40}. Correct the answer_start, or read the file with repair, which takes the nearest place that "
            f"reads so."
        )
    found = nearest_place(document, text, start)
    (repairs.moved if found else repairs.lost).append(name)
    return found
