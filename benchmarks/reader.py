"""The small reader's answers beside those of readers that see less, and of what has learned nothing.

    python benchmarks/question_data.py ../shared/data/nlp --out questions --squad dev-v2.0.json
    python benchmarks/reader.py MODEL --questions questions --out benchmarks/results/reader.json

CUAD is scored as its script does (area under precision and recall, precision at 80 % recall; up to ten clauses found
for each question), COVID-QA by exact match and F1 of the best answer, there being one always; both on documents the
reader has not learned from, intervals over documents. "reader" reads in the windows it was made for; "windows of 4096"
and "windows of 512" are the same weights with others, 256 and 128 tokens shared, the best answers of all windows;
"first 512" sees the first window alone. Documents longer than --letters are left out: they take most of the time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

import reader_baselines
from bigbird import Predictor
from bigbird.bench.about import about
from bigbird.checkpoint import LoadedModel, load_model
from bigbird.data.files import json_text
from bigbird.data.question_lines import read_questions
from bigbird.data.questions import Question
from bigbird.tasks import SpanAnswers, SpanQA
from bigbird.tasks.answer_scores import answer_scores
from bigbird.tasks.clause_scores import FoundText, clause_scores

Reads = Callable[[Sequence[Question]], list[SpanAnswers]]

CLAUSES = 10  # found for each question, at most
SHORT = 512
WINDOWS = {4096: 256, SHORT: 128}  # tokens that neighbours share


def reading(loaded: LoadedModel, what: str, *, precision: str = "bfloat16", **settings: Any) -> Reads:
    """The reader with some settings of its task changed; with "bfloat16" layers that may compute in it do."""

    def read(questions: Sequence[Question]) -> list[SpanAnswers]:
        assert isinstance(loaded.task, SpanQA)
        predictor = Predictor(replace(loaded, task=replace(loaded.task, top_k=CLAUSES, **settings)))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            answers = predictor.predict(questions)
            return list(track(answers, what, len(questions), console=Console(stderr=True)))

    return read


def beginnings(read: Reads, loaded: LoadedModel) -> Reads:
    """The same on what a first window holds of each document."""

    def read_beginnings(questions: Sequence[Question]) -> list[SpanAnswers]:
        return read([_beginning(one, loaded) for one in questions])

    return read_beginnings


def _beginning(question: Question, loaded: LoadedModel) -> Question:
    tokens = loaded.tokenizer.encode_batch([question.question, question.document[: SHORT * 40]])
    room = SHORT - 3 - len(tokens[0].ids)
    ends = tokens[1].ends[:room]
    return replace(question, document=question.document[: int(ends.max())], answers=(), is_impossible=False)


def clauses(questions: Sequence[Question], answers: Sequence[SpanAnswers]) -> dict[str, Any]:
    """CUAD's figures."""
    found = [
        [FoundText(question.document[one.start : one.end], one.score) for one in some.answers]
        for question, some in zip(questions, answers, strict=True)
    ]
    scores = clause_scores(questions, found)
    return {"aupr": scores.aupr, "precision_at_80_recall": scores.precision_at_80_recall}


def spans(questions: Sequence[Question], answers: Sequence[SpanAnswers]) -> dict[str, Any]:
    """SQuAD's figures of the best answers."""
    told = [
        question.document[some.answers[0].start : some.answers[0].end] if some.answers else ""
        for question, some in zip(questions, answers, strict=True)
    ]
    scores = answer_scores(questions, told, rules="1.1")
    return {"exact": scores.exact, "f1": scores.f1}


def first_documents(path: Path, most: int, letters: int) -> list[Question]:
    """The questions to the first `most` documents of a file that are no longer."""
    short = (one for one in read_questions(path) if len(one.document) <= letters)
    documents: Iterator[Any] = groupby(short, key=lambda one: one.document)
    return [one for _, some in islice(documents, most) for one in some]


def main() -> None:
    """Score everything on both sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=1000, help="of each set, at most")
    parser.add_argument("--letters", type=int, default=10**9, help="of a document, at most")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    loaded = load_model(given.model)
    assert isinstance(loaded.task, SpanQA)
    results: dict[str, Any] = {}
    for name, score in (("covidqa", spans), ("cuad", clauses)):
        train = list(read_questions(given.questions / f"{name}.train.jsonl"))
        questions = first_documents(given.questions / f"{name}.test.jsonl", given.documents, given.letters)
        always = {"none_allowed": False} if name == "covidqa" else {}
        own = loaded.task.max_length
        settings = {length: {"max_length": length, "overlap": shared, **always} for length, shared in WINDOWS.items()}
        readers: dict[str, Reads] = {
            "first sentence": reader_baselines.first_sentence,
            "usual place": reader_baselines.Place(train),
            "tf-idf sentence": reader_baselines.tfidf_sentence,
            "tf-idf phrase": reader_baselines.tfidf_phrase,
            "first 512": beginnings(reading(loaded, f"{name}, first 512", **settings[SHORT]), loaded),
            "reader": reading(loaded, f"{name}, {own}", **always),
            **{
                f"windows of {length}": reading(loaded, f"{name}, {length}", **some)
                for length, some in settings.items()
                if length != own
            },
        }
        results[name] = {
            "num_documents": len({one.document for one in questions}),
            "num_questions": len(questions),
            "most_letters": max(len(one.document) for one in questions),
            "num_answered": sum(bool(one.answers) for one in questions),
            "readers": {},
        }
        for reader, read in readers.items():
            begun = time.perf_counter()
            figures = score(questions, read(questions))
            results[name]["readers"][reader] = {**figures, "seconds": round(time.perf_counter() - begun, 1)}
            print(name, reader, *(f"{key} {value}" for key, value in figures.items()), sep="\t", flush=True)
        report = {"about": about(), "what": __doc__, "model": loaded.notes, **results}
        given.out.write_text(json_text(report))


if __name__ == "__main__":
    main()
