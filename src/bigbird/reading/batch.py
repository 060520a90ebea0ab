"""Many questions to many texts: a line of answers for each line of the input, in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bigbird.documents.batch_lines import BatchLine, LineDocuments
from bigbird.documents.document_text import DocumentText
from bigbird.errors import InputError
from bigbird.reading.asking import AskConfig, AskedQuestion, AsksText, as_json, put_questions


def answer_batch(reader: AsksText, lines: Iterable[BatchLine], folder: Path, config: AskConfig) -> Iterator[Any]:
    """A JSON object for each line: {"name", "question", "is_found", "no_answer", "answers"} or {"name", "error"}.

    folder  that the lines' files are seen from

    Raises MissingDependency, which concerns more than one line; other faults are told in their line.
    """
    documents = LineDocuments(folder)
    for line in lines:
        if line.error:
            yield {"name": line.name, "error": line.error}
            continue
        try:
            yield _answers(reader, line, documents.of(line), config)
        except (InputError, OSError) as error:
            yield {"name": line.name, "question": line.question, "error": str(error)}


def _answers(reader: AsksText, line: BatchLine, document: DocumentText, config: AskConfig) -> dict[str, Any]:
    (answered,) = put_questions(reader, document, [AskedQuestion(line.name, line.question)], config)
    remarks = {"remarks": list(document.remarks)} if document.remarks else {}
    return as_json(answered, document) | remarks
