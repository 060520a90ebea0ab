"""Does context pay? The same small reader with windows of several lengths and several patterns, on several hops.

    python benchmarks/question_data.py ../shared/data/nlp --out questions --squad dev-v2.0.json
    python benchmarks/context_pays.py START --questions questions --work cells --out context_pays.json

Questions of HotpotQA, MuSiQue and 2WikiMultihopQA among distractors, 3,500 tokens each (multihop.train.jsonl and
.test.jsonl), answered with supporting paragraphs. Every reader begins from START, learns from the same questions in the
same order for as many updates, three seeds (of the order, the dropout and the new heads), and is scored on the same
questions; figures are HotpotQA's own, with 95 % intervals over questions for the mean of the seeds.

    first 512          sees the beginning of each document alone
    512, 1024          overlapping windows, their answers put together
    4096               one window: all of the document
    4096 full          every block sees every block
    4096 no global     no block is global, the question neither; two more in the window instead
    4096 no random     no random blocks; three more in the window instead

A cell that stands in --work is not computed again, and one that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bigbird import Predictor
from bigbird.bench.about import about
from bigbird.checkpoint import load_model, save_model
from bigbird.data.files import json_text, written_whole
from bigbird.data.multi_hop_files import read_multi_hop
from bigbird.data.multi_hop_questions import MultiHopQuestion
from bigbird.recipes import multi_hop
from bigbird.run import train
from bigbird.tasks import metrics
from bigbird.tasks.multi_hop_scores import multi_hop_scores

SHORT = 512
FIGURES = ("answer_exact", "answer_f1", "support_f1", "joint_exact", "joint_f1")


class Cell(NamedTuple):
    """How a reader sees a document."""

    max_length: int
    overlap: int = 128
    pattern: tuple[tuple[str, int], ...] = ()
    first_window: bool = False


CELLS = {
    "first 512": Cell(SHORT, first_window=True),
    "512": Cell(SHORT),
    "1024": Cell(1024),
    "4096": Cell(4096),
    "4096 full": Cell(4096, pattern=(("window_blocks", 129),)),
    "4096 no global": Cell(4096, pattern=(("global_blocks", 0), ("window_blocks", 5))),
    "4096 no random": Cell(4096, pattern=(("random_blocks", 0), ("window_blocks", 6))),
}


def start_of(name: str, cell: Cell, start: str, work: Path) -> str:
    """START with the cell's pattern, as a folder."""
    folder = work / "starts" / name.replace(" ", "_")
    if not folder.exists():
        loaded = load_model(start)
        pattern = replace(loaded.encoder.pattern, **dict(cell.pattern))
        save_model(folder, replace(loaded, encoder=replace(loaded.encoder, pattern=pattern)))
    return str(folder)


def beginnings(questions: Path, cell: Cell, start: str, work: Path) -> Path:
    """A file of questions whose documents end where a first window does."""
    target = work / f"first_{questions.name}"
    tokenizer = load_model(start).tokenizer
    with written_whole(target) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        for line in questions.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            room = cell.max_length - 3 - len(tokenizer.encode_batch([row["question"]])[0].ids)
            file.write(json.dumps({**row, "context": _cut(row["context"], room, tokenizer)}) + "\n")
    return target


def _cut(context: Sequence[Any], room: int, tokenizer: Any) -> list[Any]:
    """The paragraphs that fit, the last of them in part."""
    kept = []
    for title, sentences in context:
        text = "".join(sentences)
        used = len(tokenizer.encode_batch([title])[0].ids)
        encoding = tokenizer.encode_batch([text])[0]
        if used + len(encoding.ids) <= room:
            kept.append([title, sentences])
            room -= used + len(encoding.ids)
            continue
        if room > used:
            kept.append([title, [text[: int(encoding.ends[room - used - 1])]]])
        break
    return kept or [[context[0][0], [""]]]


def carry_out(name: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train and score one cell; per-question figures, so that seeds can be averaged question by question."""
    cell, work = CELLS[name], options.work
    result = work / f"{name.replace(' ', '_')}-{seed}.json"
    if result.exists():
        found: dict[str, Any] = json.loads(result.read_text())
        return found
    files = [options.questions / f"multihop.{part}.jsonl" for part in ("train", "test")]
    if cell.first_window:
        files = [beginnings(file, cell, options.start, work) for file in files]
    usual = multi_hop.small()
    config = replace(
        usual,
        start=start_of(name, cell, options.start, work),
        task=replace(usual.task, max_length=cell.max_length, overlap=cell.overlap),
        data=replace(usual.data, train=str(files[0]), validation=str(_few(files[0], work)), seed=seed),
        training=replace(
            usual.training,
            num_steps=options.steps,
            warmup_steps=options.steps // 10,
            learning_rate=options.learning_rate,
            evaluate_every=options.steps,
            watch="loss",
            save_every=max(options.steps // 4, 1),
            seed=seed,
        ),
    )
    folder = work / f"run-{result.stem}"
    loaded = train(config, folder, auto_resume=True)
    seconds = _seconds(folder)
    questions = read_multi_hop(options.questions / "multihop.test.jsonl")
    asked = read_multi_hop(files[1])
    readings = list(Predictor(loaded).predict(asked))
    values = [
        _figures(one, found.answer_to(other)) for one, other, found in zip(questions, asked, readings, strict=True)
    ]
    found = {"name": name, "seed": seed, "seconds": seconds, "figures": np.array(values).T.tolist()}
    result.write_text(json_text(found))
    return found


def _few(file: Path, work: Path) -> Path:
    """Some training questions: a run must be watched by something, and nothing is chosen by it."""
    few = work / f"few_{file.name}"
    few.write_text("".join(file.read_text(encoding="utf-8").splitlines(keepends=True)[:16]), encoding="utf-8")
    return few


def _seconds(folder: Path) -> float:
    """Of all steps."""
    events = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return sum(event["seconds"] for event in events if event["event"] == "step")


def _figures(question: MultiHopQuestion, answer: Any) -> list[float]:
    scores = multi_hop_scores([question], [answer])
    return [
        scores.answer.exact.value,
        scores.answer.f1.value,
        scores.support.f1.value,
        scores.joint.exact.value,
        scores.joint.f1.value,
    ]


def main() -> None:
    """All cells, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", help="a model folder of ours: a reader or an encoder")
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=150, help="updates of eight questions")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cells", nargs="+", choices=CELLS, default=list(CELLS))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for name in options.cells:
            carry_out(name, seed, options)
            options.out.write_text(json_text(report(options)))
            print(name, seed, flush=True)


def report(options: argparse.Namespace) -> dict[str, Any]:
    """What stands so far."""
    cells: dict[str, Any] = {}
    for name in CELLS:
        stems = [f"{name.replace(' ', '_')}-{seed}" for seed in range(options.seeds)]
        found = [json.loads(path.read_text()) for stem in stems if (path := options.work / f"{stem}.json").exists()]
        if found:
            values = np.array([one["figures"] for one in found])  # [seeds, figures, questions]
            cells[name] = {
                "seeds": len(found),
                "seconds": [round(one["seconds"]) for one in found],
                **{f: metrics.bootstrap(_mean, row) for f, row in zip(FIGURES, values.mean(0), strict=True)},
                "joint_f1_of_seeds": values[:, FIGURES.index("joint_f1")].mean(1).tolist(),
            }
    return {"about": about(), "what": __doc__, "steps": options.steps, "cells": cells}


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return float(values.mean())


if __name__ == "__main__":
    main()
