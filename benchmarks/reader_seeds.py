"""A small reader before and after a short training, three times, beside what finds answers without learning.

    python benchmarks/question_data.py ../shared/data/nlp --out questions --squad dev-v2.0.json
    bigbird convert MINILM base --max-length 4096
    python benchmarks/reader_seeds.py base --questions questions --work seeds --out benchmarks/results/reader_seeds.json

Each seed has its own head to begin with, order of questions and dropout. Scored as benchmarks/reader.py does, with 95 %
intervals over documents, on documents that no seed has learned from and of up to --letters letters: "untrained" with
the head it began with, "first 512" in the first window alone, "reader" in windows of 512 tokens. A seed that stands in
--work is not computed again, and one that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import reader_baselines
from bigbird.bench.about import about
from bigbird.checkpoint import LoadedModel
from bigbird.data.files import json_text
from bigbird.data.question_lines import read_questions
from bigbird.data.questions import Question
from bigbird.recipes import question_answering
from bigbird.run import RunConfig, train
from bigbird.run_start import starting_point
from bigbird.tasks import SpanAnswers
from reader import SHORT, WINDOWS, beginnings, clauses, first_documents, reading, spans

Score = Callable[[Sequence[Question], Sequence[SpanAnswers]], dict[str, Any]]

SETS: dict[str, tuple[Score, dict[str, Any]]] = {"covidqa": (spans, {"none_allowed": False}), "cuad": (clauses, {})}


def run_config(seed: int, options: argparse.Namespace) -> RunConfig:
    """What the reader that ships began with (its card), shorter."""
    usual = question_answering.spans()
    questions = options.questions
    few = options.work / "few.jsonl"
    few.write_text("".join((questions / "covidqa.validation.jsonl").open(encoding="utf-8").readlines()[:1]), "utf-8")
    return replace(
        usual,
        start=options.start,
        task=replace(usual.task, max_length=SHORT, overlap=WINDOWS[SHORT], max_answer_windows=1, max_empty_windows=0),
        data=replace(
            usual.data,
            train=str(questions / "reader.train.jsonl"),
            validation=str(few),  # a run must be watched by something, and nothing is chosen by it
            impossible_share=0.25,
            seed=seed,
        ),
        training=replace(
            usual.training,
            num_steps=options.steps,
            batch_size=16,
            micro_batch_size=8,
            learning_rate=1.5e-4,
            warmup_steps=options.steps // 10,
            precision=options.precision,
            evaluate_every=options.steps,
            watch="loss",
            save_every=20,
            seed=seed,
        ),
    )


def sets(options: argparse.Namespace) -> dict[str, list[Question]]:
    """The questions that are asked."""
    return {
        name: first_documents(options.questions / f"{name}.test.jsonl", options.documents, options.letters)
        for name in SETS
    }


def scored(loaded: LoadedModel, what: str, asked: dict[str, list[Question]], precision: str) -> dict[str, Any]:
    """Of one model, on both sets."""
    found = {}
    for name, (score, settings) in SETS.items():
        read = reading(loaded, f"{what}, {name}", precision=precision, overlap=WINDOWS[SHORT], **settings)
        found[name] = {what: score(asked[name], read(asked[name]))}
        if what == "reader":
            found[name]["first 512"] = score(asked[name], beginnings(read, loaded)(asked[name]))
        print(what, name, found[name], flush=True)
    return found


def carry_out(seed: int, asked: dict[str, list[Question]], options: argparse.Namespace) -> dict[str, Any]:
    """Train and score one seed; each set's figures by the name of who read."""
    result = options.work / f"seed-{seed}.json"
    if result.exists():
        known: dict[str, Any] = json.loads(result.read_text())
        return known
    config = run_config(seed, options)
    begun = starting_point(config.start, config.task, config.data.open(), seed=seed, device=torch.device("cpu"))
    found = scored(replace(begun, model=begun.model.eval()), "untrained", asked, options.precision)
    trained = train(config, options.work / f"run-{seed}", auto_resume=True)
    for name, figures in scored(trained, "reader", asked, options.precision).items():
        found[name] |= figures
    result.write_text(json_text(found))
    return found


def baselines(asked: dict[str, list[Question]], options: argparse.Namespace) -> dict[str, Any]:
    """Of what learns nothing, or places alone."""
    found: dict[str, Any] = {}
    for name, (score, _) in SETS.items():
        readers: dict[str, reader_baselines.Baseline] = {
            "first sentence": reader_baselines.first_sentence,
            "usual place": reader_baselines.Place(list(read_questions(options.questions / f"{name}.train.jsonl"))),
            "tf-idf sentence": reader_baselines.tfidf_sentence,
            "tf-idf phrase": reader_baselines.tfidf_phrase,
        }
        found[name] = {reader: score(asked[name], read(asked[name])) for reader, read in readers.items()}
    return found


def main() -> None:
    """Seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", help="a model of text: a folder, or OWNER/NAME of the Hub")
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=160, help="updates of 16 windows of 512 tokens")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--documents", type=int, default=10, help="of each set, at most")
    parser.add_argument("--letters", type=int, default=30_000, help="of a document, at most")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    asked = sets(options)
    report: dict[str, Any] = {
        "about": about(),
        "what": __doc__,
        "steps": options.steps,
        "precision": options.precision,
        **{
            name: {
                "num_documents": len({one.document for one in questions}),
                "num_questions": len(questions),
                "num_answered": sum(bool(one.answers) for one in questions),
            }
            for name, questions in asked.items()
        },
        "baselines": baselines(asked, options),
        "seeds": [],
    }
    for seed in range(options.seeds):
        report["seeds"].append(carry_out(seed, asked, options))
        options.out.write_text(json_text(report))


if __name__ == "__main__":
    main()
