"""Masked language models on the held-out documents of a corpus, at several row lengths, in bits per letter.

    python benchmarks/held_out.py --corpus corpus --model long=runs/4096/model --model short=runs/512/model \
        --row-length 512 --row-length 4096 --out benchmarks/results/held_out.json

Which tokens are hidden depends on the document and the place in it alone, so every model with the same tokenizer and
every row length is asked for the same tokens (but for words cut in two at the end of a row), and differences are taken
document by document: bits per letter of each scoring less that of the first, with a 95 % interval by drawing documents
again. A model whose tokenizer is not the corpus' is refused; a corpus can be prepared once for each.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import track

from bigbird import Predictor
from bigbird.bench.about import about
from bigbird.data.files import check_new_file, json_text, written_whole
from bigbird.data.held_out import held_out_for
from bigbird.data.prepared import PreparedCorpus
from bigbird.errors import ConfigError
from bigbird.tasks import MaskedLM
from bigbird.tasks.masked_scores import DocumentScores, by_document, difference, estimate

CONSOLE = Console(stderr=True)


class Scored(NamedTuple):
    """One model at one row length."""

    model: str
    row_length: int
    num_rows: int
    documents: DocumentScores


def scored(name: str, folder: str, corpus: Path, row_length: int) -> Scored:
    """Score all held-out documents; a model that reads fewer tokens at once is refused."""
    loaded = Predictor.load(folder).loaded
    if not isinstance(loaded.task, MaskedLM):
        raise ConfigError(f"{folder} is no masked language model")
    if row_length > loaded.encoder.max_length:
        raise ConfigError(f"{folder} reads {loaded.encoder.max_length} tokens; --row-length {row_length} is more")
    rows = held_out_for(
        corpus,
        loaded.tokenizer,
        row_length=row_length,
        block_size=loaded.encoder.pattern.block_size,
        source=f"model {folder}",
    )
    predictor = Predictor(replace(loaded, task=replace(loaded.task, max_length=row_length)))
    what = f"{name}, {row_length} tokens"
    predictions = list(track(predictor.predict(rows), description=what, total=len(rows), console=CONSOLE))
    return Scored(name, row_length, len(rows), by_document(predictions, rows))


def figures(one: Scored, first: Scored) -> dict[str, object]:
    """What the file says of a scoring; the difference to the first is paired by document."""
    _, names, nats, letters = one.documents
    return {
        "model": one.model,
        "row_length": one.row_length,
        "num_rows": one.num_rows,
        "num_documents": len(names),
        "hidden_letters": int(letters.sum()),
        "bits_per_letter": list(estimate(one.documents)),
        "minus_first": list(difference(one.documents, first.documents)),
        "by_document": {
            name: {"bits": float(some / math.log(2)), "letters": int(count)}
            for name, some, count in zip(names, nats, letters, strict=True)
        },
    }


def named(text: str) -> tuple[str, str]:
    """NAME=FOLDER, or a folder that is its own name."""
    name, equals, folder = text.partition("=")
    return (name, folder) if equals else (text, text)


def main() -> None:
    """Score and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", type=named, action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--row-length", type=int, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    check_new_file(options.out)
    scorings = [
        scored(name, folder, options.corpus, length) for name, folder in options.model for length in options.row_length
    ]
    results = [figures(one, scorings[0]) for one in scorings]
    for one, result in zip(scorings, results, strict=True):
        CONSOLE.print(f"{one.model} {one.row_length}: {estimate(one.documents)} ({result['num_documents']} documents)")
    corpus = PreparedCorpus.open(options.corpus)
    with written_whole(options.out) as path:
        path.write_text(
            json_text({"about": about(), "what": __doc__, "corpus_sha256": corpus.sha256, "results": results})
        )


if __name__ == "__main__":
    main()
