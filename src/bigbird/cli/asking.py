"""The command that puts questions to documents: ask."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bigbird.cli.arguments import watched
from bigbird.cli.batches import BatchWords, run_batch
from bigbird.cli.entry import app, say
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.reading.asking import AskConfig, AskedQuestion, AsksText

PACKAGED_READER = "reader"

_REVIEW_FOLDER = "review"


@app.command()
def ask(
    data: Annotated[
        Path,
        typer.Argument(
            help="A document: .txt, .md, .html, .docx or .pdf. Or a folder of them, or .jsonl with a name, a question "
            "and a text or file on each line.",
            readable=False,
        ),
    ],
    question: Annotated[str | None, typer.Argument(help="What to ask.")] = None,
    *,
    model: Annotated[
        str,
        typer.Option(
            help="A model that answers questions: a folder of ours or in the Hub's layout, OWNER/NAME of the Hub, or "
            "the one that comes with bigbird."
        ),
    ] = PACKAGED_READER,
    more: Annotated[
        list[str] | None, typer.Option("--question", help="Another question; may be given several times.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Questions of a file: .txt, .yaml or .json.", readable=False)
    ] = None,
    top_k: Annotated[int, typer.Option(help="Answers to each question, at most.")] = 3,
    threshold: Annotated[
        float, typer.Option(help='Probability of there being none from which "no answer found" is said.')
    ] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines for people.")] = False,
    out: Annotated[
        str | None,
        typer.Option(
            help="Of .jsonl: the file of answers, which a second run goes on with. Else: a folder for a review, JSON "
            f"and a page for each document. Default of a folder: {_REVIEW_FOLDER}.",
            metavar="<path>",
        ),
    ] = None,
) -> None:
    """Ask documents questions: the best answers with their scores, pages and the sentences that say so.

    A review that was stopped goes on when the same command is given again. Exit code 1: something could not be read.
    """
    from bigbird.reading.asking import AskConfig

    config = AskConfig(top_k=top_k, threshold=threshold)
    if data.suffix.lower() == ".jsonl" and not data.is_dir():
        if question is not None or more or questions is not None or as_json:
            raise InputError(f"{data} brings its own questions, and answers in JSON; leave out questions and --json")
        _ask_batch(data, out, config, model)
        return
    asked = _asked(question, more or [], questions)
    if not data.exists():
        raise InputError(f"there is no file or folder {data}")
    if data.is_dir() or out is not None:
        if as_json:
            raise InputError("--json prints the answers of one document; a review writes its JSON into --out")
        _review(data, Path(_REVIEW_FOLDER if out is None else out), asked, config, model)
        return
    _ask_document(data, asked, config, model, as_json=as_json)


def opened_reader(model: str) -> AsksText:
    """The model that answers."""
    from bigbird.reading.reader import Reader

    return Reader.load(model)


def _asked(question: str | None, more: Sequence[str], file: Path | None) -> list[AskedQuestion]:
    """The questions of the command line, then those of the file."""
    from bigbird.reading.question_files import named_questions, read_questions

    given = [" ".join(one.split()) for one in ([] if question is None else [question]) + list(more)]
    if "" in given:
        raise InputError('a question is empty; ask something, such as "When does it end?"')
    read = read_questions(file) if file else []
    if not given and not read:
        raise InputError("there is no question: write it behind the document, or give --questions with a file")
    return named_questions([(one, one) for one in given] + list(read), source="what is asked")


def _ask_document(data: Path, asked: Sequence[AskedQuestion], config: AskConfig, model: str, *, as_json: bool) -> None:
    from bigbird.cli.answers_shown import show_answers
    from bigbird.data.files import json_text
    from bigbird.documents.document_files import read_document
    from bigbird.reading import asking

    document = read_document(data)
    for remark in document.remarks:
        say(f"bigbird: {remark}")
    answered = asking.put_questions(opened_reader(model), document, asked, config)
    if not as_json:
        show_answers(answered, document, with_names=len(asked) > 1)
        return
    found = [asking.as_json(one, document) for one in watched(answered, len(asked), "questions")]
    sys.stdout.write(json_text({"document": document.source, "model": model, "questions": found}))


def _ask_batch(data: Path, out: str | None, config: AskConfig, model: str) -> None:
    """Answer the lines of a batch that have no answer yet."""
    from dataclasses import asdict

    from bigbird.documents.batch_lines import LineFields
    from bigbird.reading.batch import answer_batch

    form = '{"name": …, "question": …, "text": …}'
    run_batch(
        data,
        out,
        lambda lines: answer_batch(opened_reader(model), lines, data.parent, config),
        settings={"model": model, **asdict(config)},
        fields=LineFields(),
        words=BatchWords("answered", "ANSWERS.jsonl", "questions", form),
    )


def _review(data: Path, out: Path, asked: Sequence[AskedQuestion], config: AskConfig, model: str) -> None:
    """Put the questions to every document of a folder, or to one document."""
    from bigbird.cli.documents_found import documents_of
    from bigbird.cli.review_progress import review_progress
    from bigbird.data.files import check_new_folder
    from bigbird.reading.review import INDEX_FILE, Review, review_documents

    check_new_folder(out)
    documents = documents_of(data, out) if data.is_dir() else [data]
    review = Review(questions=tuple(asked), config=config, model=model)
    root = data if data.is_dir() else data.parent
    with review_progress(len(documents), len(asked)) as report:
        rows = review_documents(opened_reader(model), documents, out, review, root=root, report=report)
    faulty = [row for row in rows if row.error]
    for row in faulty:
        say(f"bigbird: {row.error}")
    some = f"{len(rows) - len(faulty):,} of {len(rows):,} documents" if faulty else f"{len(rows):,} documents"
    say(f"{some if len(rows) > 1 or faulty else '1 document'} reviewed; open {out / INDEX_FILE}")
    if faulty:
        raise typer.Exit(1)
