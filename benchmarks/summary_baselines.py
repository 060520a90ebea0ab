r"""What summaries score that took no training: the beginning, LexRank, the best sentences; what can be copied.

    python benchmarks/summary_data.py ../shared/data/nlp --out summaries
    python benchmarks/summary_baselines.py summaries --tokenizer ../shared/data/nlp/tokenizers/gpt2.model \
        --out benchmarks/results/summary_baselines.json

On the test part of each set, of its first --documents texts in the order of their hashes. k is the mean number of
sentences of a summary in the train part, rounded.

    lead-3, lead-k   the first sentences
    lexrank-k        the most central ones (threshold 0.1, damping 0.15), whatever a query asks
    oracle-k         at most k chosen greedily for the reference itself, ROUGE-1 and ROUGE-2: no baseline but a limit
    copyable         share of a reference's pairs of neighbouring words that stand in the first so many tokens

Figures are F1 of ROUGE from 0 to 1, stemmed; for ROUGE-Lsum every sentence of both sides is set on a line of its own
by the package's own sentence splitter. Intervals of 95 % are over texts. Of several references the best counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from rich.console import Console

from bigbird.bench.about import about
from bigbird.data.files import check_new_file, json_text, written_whole
from bigbird.data.sentences import Span, on_lines, sentence_spans
from bigbird.data.summaries import SummarizedDocument, text_numbers
from bigbird.data.summary_files import read_summaries
from bigbird.tasks.copying import copyable
from bigbird.tasks.extractive import lead, lex_rank
from bigbird.tasks.oracle_extract import oracle
from bigbird.tasks.scored_questions import mean
from bigbird.tasks.summary_scores import summary_scores
from bigbird.tokenizers import TextTokenizer
from kept_results import kept
from question_data import share

SETS = ("sumpubmed", "scisummnet", "peps", "qmsum", "squality")
TOKENS = (512, 1024, 2048, 4096, 8192)

Extract = Callable[[SummarizedDocument], tuple[Span, ...]]


def chosen(path: Path, num_documents: int) -> list[SummarizedDocument]:
    """All items about the texts whose hashes are lowest."""
    items = list(read_summaries(path))
    texts = sorted({one.document for one in items}, key=share)[:num_documents]
    return [one for one in items if one.document in set(texts)]


def usual_sentences(path: Path) -> int:
    """Of a summary in a part."""
    counts = [len(sentence_spans(text)) for one in read_summaries(path) for text in one.summaries]
    return max(1, round(float(np.mean(counts))))


def extracts(k: int) -> dict[str, Extract]:
    """Baselines by name."""
    central = lru_cache(maxsize=1)(lambda document: lex_rank(document, k))  # queries of a text follow each other
    return {
        "lead-3": lambda one: lead(one.document, 3),
        f"lead-{k}": lambda one: lead(one.document, k),
        f"lexrank-{k}": lambda one: central(one.document),
        f"oracle-{k}": lambda one: oracle(one.document, one.summaries, k),
    }


def copied(items: Sequence[SummarizedDocument], tokenizer: TextTokenizer) -> dict[str, object]:
    """By how many tokens of the document are seen."""

    @lru_cache(maxsize=1)
    def ends_in(document: str) -> list[int]:
        ends = tokenizer.encode_batch([document])[0].ends
        return [int(ends[min(count, len(ends)) - 1]) for count in TOKENS] + [len(document)]

    shares = np.array([copyable(one.document, one.summaries, ends_in(one.document)) for one in items])
    names = [*map(str, TOKENS), "all"]
    return {name: mean(column, text_numbers(items)) for name, column in zip(names, shares.T, strict=True)}


def measured(folder: Path, name: str, num_documents: int, tokenizer: TextTokenizer) -> dict[str, object]:
    """All of one set."""
    items = chosen(folder / f"{name}.test.jsonl", num_documents)
    scores = {}
    for label, extract in extracts(usual_sentences(folder / f"{name}.train.jsonl")).items():
        started = time.perf_counter()
        texts = [on_lines(one.document, extract(one)) for one in items]
        seconds = time.perf_counter() - started
        found = summary_scores(items, texts, split_sentences=True)
        words = float(np.mean([len(text.split()) for text in texts]))
        scores[label] = {**found._asdict(), "mean_words": words, "seconds": seconds}
    references = [text for one in items for text in one.summaries]
    return {
        "about": about(),
        "texts": len({one.document for one in items}),
        "summaries": len(items),
        "mean_words_of_references": float(np.mean([len(text.split()) for text in references])),
        "scores": scores,
        "copyable": copied(items, tokenizer),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("summaries", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True, help="gpt2.model, BigBird's own")
    parser.add_argument("--documents", type=int, default=1_000_000, help="texts of each set, at most")
    parser.add_argument("--only", nargs="*", choices=SETS, default=SETS)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    check_new_file(given.out)
    tokenizer = TextTokenizer.from_sentencepiece(given.tokenizer, family="bigbird")
    results = kept(given.out, "sets")
    for name in given.only:
        results[name] = measured(given.summaries, name, given.documents, tokenizer)
        Console(stderr=True).print(name, results[name]["texts"], results[name]["scores"])
        with written_whole(given.out) as path:
            path.write_text(json_text({"what": __doc__, "sets": results}))


if __name__ == "__main__":
    main()
