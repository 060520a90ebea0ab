"""The summary sets of a data folder in the package's own lines, in parts by document.

    python benchmarks/summary_data.py ../shared/data/nlp --out summaries

    sumpubmed.train.jsonl, sumpubmed.validation.jsonl, sumpubmed.test.jsonl     and likewise

    sumpubmed   medical papers and their abstracts; the set is in small letters, so the letters that begin sentences are
                made capitals, by which sentences are told apart (ROUGE knows no capitals)
    scisummnet  papers of computational linguistics and their abstracts, of at most 500 words: in those beyond, up to
                3,363, the set has taken the paper's body for its abstract
    peps        Python's enhancement proposals and their abstracts, at least 200 words long
    qmsum       meetings, a line a turn, and summaries of the whole and of what a query asks
    squality    stories, and four people's summaries of the plot and of four questions each

The part is that of the document's hash, 70 % train, 10 % validation, 20 % test, the set's own parts taken together;
what lacks a text or a summary is left out.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from bigbird.data.summaries import SummarizedDocument
from bigbird.data.summary_files import write_summaries
from question_data import Row, rows, share

PARTS = (("train", 0.7), ("validation", 0.8), ("test", 1.0))  # of documents, up to this hash
MOST_WORDS = 500  # of an abstract
LEAST_WORDS = 200  # of a proposal; shorter ones were withdrawn before they said anything

_BEGINNING = re.compile(r"(?:^|(?<=\n)|(?<=[.!?] ))[a-z]")


def capitals(text: str) -> str:
    """With capitals where sentences begin."""
    return _BEGINNING.sub(lambda match: match[0].upper(), text)


def sumpubmed(folder: Path) -> Iterator[SummarizedDocument]:
    """Each with its full abstract, headings included."""
    for part in ("train", "val"):
        for row in rows(folder / f"sumpubmed/{part}.jsonl.gz"):
            yield SummarizedDocument(
                name=row["id"], document=capitals(row["text"]), summaries=(capitals(row["abstract"]),)
            )


def scisummnet(folder: Path) -> Iterator[SummarizedDocument]:
    """The sections, without the abstract."""
    for row in rows(folder / "scisummnet/scisummnet.jsonl.gz"):
        text = "\n\n".join(f"{one['title']}\n\n{one['text']}" for one in row["sections"])
        if text.strip() and row["abstract"] and len(row["abstract"].split()) <= MOST_WORDS:
            yield SummarizedDocument(name=row["id"], document=text, summaries=(row["abstract"],))


def peps(folder: Path) -> Iterator[SummarizedDocument]:
    """The body, from which the set has taken the abstract."""
    for row in rows(folder / "peps/peps.jsonl.gz"):
        if row["abstract"] and len(row["text"].split()) >= LEAST_WORDS:
            yield SummarizedDocument(name=str(row["pep"]), document=row["text"], summaries=(row["abstract"],))


def qmsum(folder: Path) -> Iterator[SummarizedDocument]:
    """A meeting's queries stand one after the other; that for the whole is a query too."""
    number = 0
    for part in ("train", "val"):
        for row in rows(folder / f"qmsum/{part}.jsonl.gz"):
            text = "\n".join(f"{turn['speaker']}: {turn['content']}" for turn in row["meeting_transcripts"])
            number += 1
            for place, asked in enumerate((*row["general_query_list"], *row["specific_query_list"])):
                if asked["answer"].strip():
                    yield SummarizedDocument(
                        name=f"{number}-{place}", document=text, summaries=(asked["answer"],), query=asked["query"]
                    )


def squality(folder: Path) -> Iterator[SummarizedDocument]:
    """A story's questions stand one after the other."""
    for part in ("train", "dev"):
        for row in rows(folder / f"squality/{part}.jsonl.gz"):
            for asked in row["questions"]:
                yield SummarizedDocument(
                    name=f"{row['metadata']['passage_id']}-{asked['question_number']}",
                    document=row["document"],
                    summaries=_responses(asked),
                    query=asked["question_text"],
                )


def _responses(asked: Row) -> tuple[str, ...]:
    return tuple(one["response_text"] for one in asked["responses"] if one["response_text"].strip())


SETS: dict[str, Callable[[Path], Iterator[SummarizedDocument]]] = {
    "sumpubmed": sumpubmed,
    "scisummnet": scisummnet,
    "peps": peps,
    "qmsum": qmsum,
    "squality": squality,
}


def part_of(one: SummarizedDocument) -> str:
    """The part its text belongs to."""
    place = share(one.document)
    return next(name for name, end in PARTS if place < end)


def main() -> None:
    """Write all sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for name, read in SETS.items():
        documents = list(read(given.data))
        for part, _ in PARTS:
            write_summaries(given.out / f"{name}.{part}.jsonl", (one for one in documents if part_of(one) == part))


if __name__ == "__main__":
    main()
