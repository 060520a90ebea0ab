"""Whether a sentence's source can be told by shared words: summaries held against their own document and another's.

    python benchmarks/summary_support.py sumpubmed.jsonl squality.jsonl peps.jsonl --out results/summary_support.json

The first reference of each document is split into sentences. `own` is the share of them that lean on some sentence of
their document at a threshold, `other` the share that lean on one of the next document in the file, where none can say
so but by chance; `area` the chance that a sentence has more weight in its own document.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from sklearn.metrics import roc_auc_score

from bigbird.bench.about import about
from bigbird.data.files import json_text, written_whole
from bigbird.data.sentences import sentence_spans
from bigbird.data.summaries import SummarizedDocument
from bigbird.data.summary_files import read_summaries
from bigbird.summarizing.overlap import THRESHOLD, Overlaps

THRESHOLDS = (0.1, 0.15, THRESHOLD, 0.25, 0.3)
MOST_SENTENCES = 8  # of a summary, so that long ones do not count for more
LEAST_WORDS = 5  # of a sentence; shorter ones are mostly headings, which all abstracts share


def best_weights(summary: str, overlaps: Overlaps) -> list[float]:
    """For each sentence the weight of the source it leans on most."""
    sentences = [summary[start:end] for start, end in sentence_spans(summary)]
    long_enough = [sentence for sentence in sentences if len(sentence.split()) >= LEAST_WORDS]
    return [max(weight for _, weight in overlaps.weights(sentence)) for sentence in long_enough[:MOST_SENTENCES]]


def measured(documents: Sequence[SummarizedDocument]) -> dict[str, object]:
    """Shares at each threshold, and the area."""
    own: list[float] = []
    other: list[float] = []
    for number, document in enumerate(track(documents, console=Console(stderr=True))):
        overlaps = Overlaps(document.document)
        own += best_weights(document.summaries[0], overlaps)
        other += best_weights(documents[number - 1].summaries[0], overlaps)
    truth = [1] * len(own) + [0] * len(other)
    return {
        "num_documents": len(documents),
        "num_sentences": len(own),
        "area": float(roc_auc_score(truth, own + other)),
        "at": {
            f"{threshold:.2f}": {
                name: float((np.array(weights) >= threshold).mean())
                for name, weights in (("own", own), ("other", other))
            }
            for threshold in THRESHOLDS
        },
    }


def main() -> None:
    """Measure each file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--documents", type=int, default=100, help="Of each file, at most.")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    found = {}
    for path in options.data:
        texts: dict[str, SummarizedDocument] = {}
        for one in read_summaries(path):  # one summary for each text
            texts.setdefault(one.document, one)
        found[path.stem] = measured(list(islice(texts.values(), options.documents)))
    with written_whole(options.out) as temporary:
        temporary.write_text(json_text({"about": about(), "threshold": THRESHOLD, "sets": found}), encoding="utf-8")


if __name__ == "__main__":
    main()
