"""The command that sums documents up: summarize."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from bigbird.cli.arguments import new_file, watched
from bigbird.cli.batches import BatchWords, run_batch
from bigbird.cli.entry import app, say
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.documents.document_text import DocumentText
    from bigbird.summarizing.lengths import Length
    from bigbird.summarizing.summarizer import Summarizer
    from bigbird.summarizing.summary import Summary
    from bigbird.summarizing.writing import SupportBy

_METHOD = "lexrank"


class _Wish(NamedTuple):
    """What every document is asked for."""

    model: str
    length: Length
    query: str
    support: SupportBy | None


@app.command()
def summarize(
    documents: Annotated[
        list[Path],
        typer.Argument(
            help="Documents: .txt, .md, .html, .docx or .pdf; folders of them. Or one .jsonl with a name and a text or "
            "file on each line.",
            readable=False,
        ),
    ],
    *,
    model: Annotated[
        str,
        typer.Option(
            help="A model that writes summaries: a folder of ours or in the Hub's layout, OWNER/NAME of the Hub. Or "
            "lexrank or lead, which choose sentences of the document."
        ),
    ] = _METHOD,
    length: Annotated[str, typer.Option(help="short, medium or long.")] = "medium",
    query: Annotated[str, typer.Option(help="What the summary is to answer, for models that have learned to.")] = "",
    support: Annotated[
        str | None,
        typer.Option(help="How the sources of a written sentence are found: overlap (of words) or attention."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of lines for people.")] = False,
    out: Annotated[
        str | None,
        typer.Option(
            help="Of one document: a file. Of several: a folder, with a file for each. Of .jsonl: the file of "
            "summaries, which a second run goes on with.",
            metavar="<path>",
        ),
    ] = None,
) -> None:
    """Sum documents up, and say for each sentence of a summary which of the document it leans on.

    A batch that was stopped goes on when the same command is given again. Exit code 1: something could not be read.
    """
    from bigbird.summarizing.lengths import check_length

    check_length(length)
    wish = _Wish(model, length, " ".join(query.split()), support)  # type: ignore[arg-type]  # Summarizer checks support
    if any(path.suffix.lower() == ".jsonl" and not path.is_dir() for path in documents):
        _summarize_batch(documents, out, wish, as_json=as_json)
    elif len(documents) == 1 and not documents[0].is_dir():
        _summarize_one(documents[0], new_file(out, documents[0]), wish, as_json=as_json)
    else:
        _summarize_several(documents, out, wish, as_json=as_json)


def opened_summarizer(model: str, support: SupportBy | None) -> Summarizer:
    """What sums up; tells in a line when it only copies."""
    from bigbird.summarizing.extracts import EXTRACTS
    from bigbird.summarizing.summarizer import Summarizer

    summarizer = Summarizer.load(model, support=support)
    if model in EXTRACTS:
        say(
            f"bigbird: {model} chooses sentences of the document itself; --model FOLDER takes a model that has learned "
            f"to write summaries"
        )
    return summarizer


def _summarize_one(path: Path, file: Path | None, wish: _Wish, *, as_json: bool) -> None:
    from bigbird.documents.document_files import read_document

    document = read_document(path)
    summary = _summary(opened_summarizer(wish.model, wish.support), document, wish)
    if file is None:
        _print(summary, document, wish, as_json=as_json)
    else:
        _write(file, summary, document, wish, as_json=as_json)
        say(f"the summary is in {file}")


def _summarize_several(given: Sequence[Path], out: str | None, wish: _Wish, *, as_json: bool) -> None:
    """One after the other; one that cannot be read is told and loses no other."""
    from bigbird.documents.document_files import read_document
    from bigbird.errors import DataError

    folder = None if out is None else Path(out)
    files = _files(given, folder, ending=".json" if as_json else ".txt")
    summarizer = opened_summarizer(wish.model, wish.support)
    rows: list[dict[str, Any]] = []
    num_faulty = 0
    for path, file in files if folder is None else watched(files, len(files), "documents"):
        try:
            document = read_document(path)
            summary = _summary(summarizer, document, wish)
        except (DataError, OSError) as error:
            say(f"bigbird: {error}")
            rows.append({"document": str(path), "error": str(error)})
            num_faulty += 1
            continue
        if file is not None:
            _write(file, summary, document, wish, as_json=as_json)
        elif as_json:
            rows.append(_row(summary, document, wish))
        else:
            _print(summary, document, wish, as_json=False, heading=str(path))
    if folder is None and as_json:
        _print_json(rows)
    if folder is not None:
        some = f"{len(files) - num_faulty:,} of {len(files):,}" if num_faulty else f"{len(files):,}"
        say(f"the summaries of {some} documents are in {folder}")
    if num_faulty:
        raise typer.Exit(1)


def _files(given: Sequence[Path], folder: Path | None, *, ending: str) -> list[tuple[Path, Path | None]]:
    """Each document with the file of its summary, if there is a folder for them; checked before any work is done."""
    from bigbird.cli.documents_found import documents_of
    from bigbird.data.files import check_new_folder

    if folder is not None:
        check_new_folder(folder)
    named = [
        (path, path.relative_to(one) if one.is_dir() else Path(path.name))
        for one in given
        for path in (documents_of(one, folder) if one.is_dir() else [one])
    ]
    if folder is None:
        return [(path, None) for path, _ in named]
    files: dict[Path, Path] = {}
    for path, name in named:
        file = folder / f"{name}{ending}"
        if file in files:
            raise InputError(f"{files[file]} and {path} would both be summed up in {file}; give them an --out each")
        files[file] = path
    _check_files(files, folder)
    return [(path, file) for file, path in files.items()]


def _check_files(files: Mapping[Path, Path], folder: Path) -> None:
    """Raise where the files of summaries, each with its document, could not all be written beside what is read."""
    from bigbird.data.files import check_new_file

    read = {path.resolve() for path in files.values()}
    replaced = next((file for file in files if file.resolve() in read), None)
    if replaced is not None:
        raise InputError(f"--out {folder} would replace {replaced}, which is read; name another folder")
    for file, path in files.items():
        check_new_file(file, option=f"--out {folder}: the file of a summary")
        if above := next((files[one] for one in file.parents if one in files), None):
            raise InputError(
                f"the summary of {above} would be a file where that of {path} needs a folder; give them an --out each"
            )


def _summary(summarizer: Summarizer, document: DocumentText, wish: _Wish) -> Summary:
    """The summary; what there is to remark on it is said."""
    from bigbird.summarizing.summary import remarks

    summary = summarizer.summarize(document, wish.length, query=wish.query)
    for remark in remarks(summary, document):
        say(f"bigbird: {remark}")
    return summary


def _row(summary: Summary, document: DocumentText, wish: _Wish) -> dict[str, Any]:
    from bigbird.summarizing import summary as summaries

    query = {"query": wish.query} if wish.query else {}
    asked = {"document": document.source, "model": wish.model, "length": wish.length, **query}
    return asked | summaries.as_json(summary, document)


def _print(summary: Summary, document: DocumentText, wish: _Wish, *, as_json: bool, heading: str = "") -> None:
    from bigbird.cli.summaries_shown import show_summary

    if as_json:
        _print_json(_row(summary, document, wish))
    else:
        show_summary(summary, document, heading=heading)


def _print_json(value: object) -> None:
    from bigbird.data.files import json_text

    sys.stdout.write(json_text(value))


def _write(file: Path, summary: Summary, document: DocumentText, wish: _Wish, *, as_json: bool) -> None:
    from bigbird.cli.summaries_shown import show_summary
    from bigbird.data.files import json_text, written_whole

    with written_whole(file) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as opened:
        if as_json:
            opened.write(json_text(_row(summary, document, wish)))
        else:
            show_summary(summary, document, file=opened)


def _summarize_batch(given: Sequence[Path], out: str | None, wish: _Wish, *, as_json: bool) -> None:
    """Sum up the lines of a batch that have no summary yet."""
    from bigbird.summarizing.batch import FIELDS, summarize_batch

    data = next(path for path in given if path.suffix.lower() == ".jsonl")
    if len(given) > 1:
        raise InputError(f"{data} is a batch of its own; give it alone")
    if wish.query or as_json:
        raise InputError(f"{data} brings its own queries, and is summed up in JSON; leave out --query and --json")
    run_batch(
        data,
        out,
        lambda lines: summarize_batch(opened_summarizer(wish.model, wish.support), lines, data.parent, wish.length),
        settings={"model": wish.model, "length": wish.length, "support": wish.support},
        fields=FIELDS,
        words=BatchWords("summed up", "SUMMARIES.jsonl", "documents", '{"name": …, "text": …}'),
    )
