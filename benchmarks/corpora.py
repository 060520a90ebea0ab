"""How full rows are, and how fast texts and genomes become tokens and rows: real corpora, measured.

    python benchmarks/corpora.py --data ../shared/data --out benchmarks/results/corpora.json

Prepares the novels, Python's enhancement proposals, the papers and human chromosome 16, each with a tokenizer trained
on it, and lays epoch 0 out for several row lengths. "wasted" is the share of places that hold neither a token of a
document nor a special token. With --only the results of the other corpora that --out holds are kept.
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bigbird.bench.about import about
from bigbird.data.corpus_plan import plan_epoch
from bigbird.data.files import json_text, written_whole
from bigbird.data.packing import RowShape
from bigbird.data.prepare_config import PrepareConfig
from bigbird.data.prepared import PreparedCorpus, packed_rows
from bigbird.data.preparing import prepare
from kept_results import kept

CORPORA = {
    "books": (["nlp/books/books.jsonl.gz"], "text-bpe:16000", "chapters.text"),
    "peps": (["nlp/peps/peps.jsonl.gz"], "text-bpe:16000", "text"),
    "papers": (["nlp/scisummnet/scisummnet.jsonl.gz"], "text-bpe:16000", "sections.text"),
    "medical papers": (["nlp/sumpubmed/train.jsonl.gz"], "text-bpe:16000", "text"),
    "chr16": (["genomics/human_grch38_chr16/chr16.fa.gz"], "dna-bpe:4096", "text"),
}
SHAPES = [*product((512, 4096), (32, 64))]
ROWS_READ = 500


def measured(data: Path, name: str, folder: Path, workers: int) -> dict[str, object]:
    """Prepare a corpus and lay it out."""
    files, tokenizer, text_field = CORPORA[name]
    sources = tuple(data / file for file in files)
    config = PrepareConfig(sources=sources, tokenizer=tokenizer, text_field=text_field, held_out=0.0)
    started = time.perf_counter()
    prepare(config, folder, workers=workers)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    corpus = PreparedCorpus.open(folder)
    opened = time.perf_counter() - started
    manifest = corpus.manifest
    return {
        "about": about(),
        "workers": workers,
        "tokenizer": tokenizer,
        "documents": manifest.num_documents,
        "letters": manifest.num_letters,
        "tokens": manifest.num_tokens,
        "median_tokens_of_a_document": float(np.median(corpus.num_tokens)),
        "prepare_seconds": seconds,
        "letters_per_second": manifest.num_letters / seconds,
        "open_seconds": opened,
        "rows": [rows(corpus, row_length, block_size) for row_length, block_size in SHAPES],
    }


def rows(corpus: PreparedCorpus, row_length: int, block_size: int) -> dict[str, object]:
    """An epoch laid out, and some of its rows read."""
    source = packed_rows(corpus, corpus.train_documents, row_length=row_length, block_size=block_size, seed=0)
    lengths = corpus.num_tokens[corpus.train_documents]
    knows_words = getattr(corpus.load_tokenizer(), "word_starts", None) is not None
    shape = RowShape(row_length=row_length, block_size=block_size, whole_words=knows_words)
    started = time.perf_counter()
    plan = plan_epoch(lengths, shape, seed=0, epoch=0)
    planned = time.perf_counter() - started
    count = min(ROWS_READ, len(source))
    for index in range(count):
        source.record(index, epoch=0)  # maps and checks the shards
    started = time.perf_counter()
    tokens = sum(len(piece.token_ids) for index in range(count) for piece in source.record(index, epoch=0).pieces)
    return {
        "row_length": row_length,
        "block_size": block_size,
        "cut_at_words": knows_words,
        "rows": plan.num_rows,
        "pieces": len(plan.starts),
        "wasted": plan.wasted(shape),
        "plan_seconds": planned,
        "tokens_read_per_second": tokens / (time.perf_counter() - started),
    }


def main() -> None:
    """Measure all corpora, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=CORPORA, default=list(CORPORA))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found = kept(options.out, "corpora")
    for name in options.only:
        with TemporaryDirectory(prefix="bigbird-corpus-") as folder:
            found[name] = measured(options.data, name, Path(folder), options.workers)
        print(name, {f"{row['row_length']}/{row['block_size']}": f"{row['wasted']:.2%}" for row in found[name]["rows"]})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(options.out) as path:
        path.write_text(json_text({"what": __doc__, "corpora": found}))


if __name__ == "__main__":
    main()
