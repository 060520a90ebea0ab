"""Many documents: a line with a summary for each line of the input, in the same order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bigbird.documents.batch_lines import BatchLine, LineDocuments, LineFields
from bigbird.errors import InputError
from bigbird.summarizing.lengths import Length
from bigbird.summarizing.summarizer import Summarizer
from bigbird.summarizing.summary import as_json

# The text goes by either name, so that files for training can be summarized; their summaries are left alone.
FIELDS = LineFields(question="query", needs_question=False, texts=("text", "document"))


def summarize_batch(
    summarizer: Summarizer, lines: Iterable[BatchLine], folder: Path, length: Length
) -> Iterator[dict[str, Any]]:
    """A JSON object for each line: {"name", "summary", "sentences", …} or {"name", "error"}; "query" if there is one.

    folder  that the lines' files are seen from

    Raises MissingDependency, which concerns more than one line; other faults are told in their line.
    """
    documents = LineDocuments(folder)
    for line in lines:
        named = {"name": line.name} | ({"query": line.question} if line.question else {})
        if line.error:
            yield named | {"error": line.error}
            continue
        try:
            document = documents.of(line)
            yield named | as_json(summarizer.summarize(document, length, query=line.question), document)
        except (InputError, OSError) as error:
            yield named | {"error": str(error)}
