"""This package's own plain form of questions: JSON lines, a document a line with what is asked of it.

    {"title": …, "document": …, "questions": [{"name": …, "question": …, "answers": …, "is_impossible": …}, …]}
    {"title": …, "document": …, "name": …, "question": …, "answers": …, "is_impossible": …}    a single one

    answers        [[start, end], …] in characters of the document, or texts: each place that spells one as whole words
    accepted       texts that scorers compare with; without them those at the answers
    is_impossible  true where the document holds no answer
    name           without it the file's name and the place in it

Needed are `document` and `question`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from bigbird.data.files import written_whole
from bigbird.data.json_entries import Entry
from bigbird.data.json_files import read_entries
from bigbird.data.questions import AnswerSpan, Question
from bigbird.data.text_places import word_places
from bigbird.errors import DataError

_ASKED = ("name", "question", "answers", "accepted", "is_impossible")


def read_questions(path: Path) -> Iterator[Question]:
    """The questions of a file, in its order; plain or gzip. Faults name the line."""
    document = ""
    for number, line in enumerate(read_entries(path), start=1):
        if line.text("document") != document:  # neighbours that share one share its memory
            document = line.text("document")
        title = line.text("title", "")
        line.only("title", "document", *(["questions"] if line.has("questions") else _ASKED))
        asked = line.entries("questions") if line.has("questions") else iter((line,))
        for place, one in enumerate(asked, start=1):
            if line.has("questions"):
                one.only(*_ASKED)
            own = f"{path.name}:{number}" + (f":{place}" if line.has("questions") else "")
            yield _question(one, document, title, one.label("name") if one.has("name") else own)


def write_questions(path: Path, questions: Iterable[Question]) -> None:
    """Write questions so that `read_questions` gives them back; neighbours that share a document share a line."""
    with written_whole(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="\n") as file:
        for (title, document), some in groupby(questions, key=lambda one: (one.title, one.document)):
            line = {"title": title, "document": document, "questions": [_row(one) for one in some]}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _row(question: Question) -> dict[str, object]:
    return {
        "name": question.name,
        "question": question.question,
        "answers": [list(span) for span in question.answers],
        "accepted": list(question.accepted),
        "is_impossible": question.is_impossible,
    }


def _question(asked: Entry, document: str, title: str, name: str) -> Question:
    answers = _answers(asked, document)
    accepted = asked.texts("accepted") if asked.has("accepted") else ()
    try:
        return Question(
            name=name,
            title=title,
            question=asked.text("question"),
            document=document,
            answers=answers,
            accepted=accepted or tuple(document[start:end] for start, end in answers),
            is_impossible=asked.flag("is_impossible"),
        )
    except DataError as error:
        raise error if asked.where in str(error) else DataError(f"{asked.where}: {error}") from None


def _answers(asked: Entry, document: str) -> tuple[AnswerSpan, ...]:
    items = asked.items("answers") if asked.has("answers") else []
    found = [span for item in items for span in _spans(item, asked, document)]
    return tuple(dict.fromkeys(found))


def _spans(item: object, asked: Entry, document: str) -> Iterator[AnswerSpan]:
    if isinstance(item, str):
        spans = list(word_places(document, item))
        if not spans:
            raise DataError(
                f"{asked.where}: the document does not hold the answer {item!r:.60}. Correct it, or give it under "
                f"'accepted', where it is compared with and not learned from."
            )
        yield from spans
    elif isinstance(item, list) and len(item) == 2 and all(type(place) is int for place in item):
        yield AnswerSpan(*item)
    else:
        raise asked.wrong("answers", "[[start, end], …] or texts")
