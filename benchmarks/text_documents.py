"""The books, PEPs and papers of a data folder as one JSONL of names and texts: what the text encoder is pretrained on.

python benchmarks/text_documents.py ../shared/data/nlp --out documents.jsonl
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from bigbird.data.files import written_whole

SOURCES = {  # file -> (field that names a document, field with its text or with parts that have one)
    "books/books.jsonl.gz": ("repo", "chapters"),
    "peps/peps.jsonl.gz": ("pep", "text"),
    "scisummnet/scisummnet.jsonl.gz": ("id", "sections"),
    "sumpubmed/train.jsonl.gz": ("id", "text"),
}


def documents(folder: Path) -> Iterator[dict[str, str]]:
    """Every document with text, as {"name": ..., "text": ...}; names begin with that of the set."""
    for file, (name, field) in SOURCES.items():
        with gzip.open(folder / file, "rt") as lines:
            for row in map(json.loads, lines):
                parts = row[field] if isinstance(row[field], list) else [{"text": row[field]}]
                text = "\n\n".join(part["text"] for part in parts if part["text"])
                if text.strip():
                    yield {"name": f"{Path(file).parent.name}/{row[name]}", "text": text}


def main() -> None:
    """Write the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with written_whole(given.out) as path, path.open("w") as file:
        for document in documents(given.data):
            file.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
