"""TriviaQA's files (Joshi et al. 2017, arXiv 1705.03551): questions in qa/*.json, their documents in evidence/.

{"Data": [{"QuestionId": …, "Question": …,
           "Answer": {"Value": …, "Aliases": […], "NormalizedAliases": […], "HumanAnswers": […]},
           "EntityPages": [{"Filename": "Andrew_Lloyd_Webber.txt", "Title": …}, …],
           "SearchResults": [{"Filename": "35/35_995.txt", "Title": …}, …]}, …], "Domain": …, "VerifiedEval": …}

evidence/wikipedia/Andrew_Lloyd_Webber.txt
evidence/web/35/35_995.txt
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bigbird.data.alias_places import alias_places
from bigbird.data.answer_text import trivia_text
from bigbird.data.files import open_binary
from bigbird.data.json_entries import Entry
from bigbird.data.json_files import read_entries, top_value
from bigbird.data.questions import Question
from bigbird.errors import DataError

_FOLDERS = {"EntityPages": "wikipedia", "SearchResults": "web"}


class _Page(NamedTuple):
    name: str
    title: str
    path: Path


def read_triviaqa(path: Path, evidence: Path, *, per_page: bool = False, verified: bool = False) -> Iterator[Question]:
    """The questions of a file with the documents that lie in `evidence`, in its order; one in memory at a time.

    All pages of a question make one document, each its title on a line of its own, then its text, and an empty line
    between pages. Answers are noisy: every place that spells an alias, compared as TriviaQA compares. `accepted` are
    the normalised aliases and human answers.

    per_page  a question per page, named "QuestionId--Filename", as the official scorer asks for web questions
    verified  the verified subset alone: questions marked so, and of web files pages marked so
    """
    is_web = verified and top_value(path, "Domain") == "Web"
    for entry in read_entries(path, list_name="Data"):
        if verified and not entry.flag("QuestionPartOfVerifiedEval"):
            continue
        pages = list(_pages(entry, evidence, verified=is_web))
        accepted = tuple(_accepted(entry.entry("Answer"))) if entry.has("Answer") else ()
        if not pages:
            raise DataError(
                f"{entry.where}: question {entry.label('QuestionId')!r} has no pages, so it has no document"
            )
        for some in ([page] for page in pages) if per_page else (pages,):
            yield _question(entry, some, accepted, per_page=per_page)


def _question(entry: Entry, pages: list[_Page], accepted: tuple[str, ...], *, per_page: bool) -> Question:
    name = entry.label("QuestionId")
    document = "\n\n".join(_page_text(page, entry.where) for page in pages)
    return Question(
        name=f"{name}--{pages[0].name}" if per_page else name,
        question=entry.text("Question"),
        document=document,
        answers=tuple(alias_places(document, accepted)),
        accepted=accepted,
    )


def _pages(entry: Entry, evidence: Path, *, verified: bool) -> Iterator[_Page]:
    for kind, folder in _FOLDERS.items():
        for page in entry.entries(kind) if entry.has(kind) else ():
            if verified and not page.flag("DocPartOfVerifiedEval"):
                continue
            name = page.text("Filename")
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise DataError(f"{page.where}: {name!r} leads out of the evidence folder")
            yield _Page(name, page.text("Title", ""), evidence / folder / name)


def _page_text(page: _Page, where: str) -> str:
    if not page.path.is_file():
        raise DataError(
            f"{where}: there is no evidence file {page.path}; give the folder that holds wikipedia/ and web/, which "
            f"the archive calls evidence"
        )
    with open_binary(page.path) as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{page.path}: byte {error.start + 1} is not UTF-8 text") from None
    return f"{page.title}\n{text}" if page.title else text


def _accepted(answer: Entry) -> Iterator[str]:
    """Normalised; each once."""
    given = answer.texts("NormalizedAliases") if answer.has("NormalizedAliases") else answer.texts("Aliases")
    people = answer.texts("HumanAnswers") if answer.has("HumanAnswers") else ()
    normal = given if answer.has("NormalizedAliases") else tuple(map(trivia_text, given))
    yield from dict.fromkeys((*normal, *map(trivia_text, people)))
