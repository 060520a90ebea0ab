"""What evaluate and predict do with a model that answers with supporting sentences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bigbird.cli.arguments import watched
from bigbird.cli.entry import say
from bigbird.errors import InputError

if TYPE_CHECKING:
    from bigbird.data.multi_hop_questions import MultiHopQuestion
    from bigbird.predictor import Predictor
    from bigbird.tasks import MultiHopReading


def answers_with_support(predictor: Predictor) -> bool:
    """Whether this is such a model."""
    from bigbird.tasks import MultiHopQA

    return isinstance(predictor.loaded.task, MultiHopQA)


def predict_support(predictor: Predictor, questions: Sequence[MultiHopQuestion], file: Path | None) -> None:
    """Write answers: HotpotQA's file of predictions when its name ends in .json, else a table, a line per question."""
    from bigbird.data.files import written_whole

    if file is None:
        _write(sys.stdout, predictor, questions, is_official=False)
        return
    is_official = file.suffix.lower() == ".json"
    if is_official and len({question.name for question in questions}) < len(questions):
        raise InputError(
            f"--out {file} asks for HotpotQA's file of predictions, in which each question is known by its name, and "
            f"some of these have the same; correct their _id, or name a .tsv file"
        )
    with written_whole(file) as path, path.open("w", encoding="utf-8", errors="backslashreplace") as out:
        _write(out, predictor, questions, is_official=is_official)
    say(f"{len(questions)} answers are in {file}")


def _write(out: TextIO, predictor: Predictor, questions: Sequence[MultiHopQuestion], *, is_official: bool) -> None:
    from bigbird.data.files import json_text

    answers = watched(predictor.predict(questions), len(questions), "questions")
    if is_official:
        out.write(json_text(_official(questions, answers)))
        return
    for line in _lines(questions, answers):
        print(*line, sep="\t", file=out)


def _official(questions: Sequence[MultiHopQuestion], answers: Iterable[MultiHopReading]) -> dict[str, object]:
    """As hotpot_evaluate_v1.py takes predictions."""
    told = {one.name: said.answer_to(one) for one, said in zip(questions, answers, strict=True)}
    return {
        "answer": {name: answer.answer for name, answer in told.items()},
        "sp": {name: [list(fact) for fact in answer.facts] for name, answer in told.items()},
    }


def _lines(questions: Sequence[MultiHopQuestion], answers: Iterable[MultiHopReading]) -> Iterator[list[object]]:
    yield ["name", "answer", "score", "start", "end", "supporting sentences"]
    for question, said in zip(questions, answers, strict=True):
        text = " ".join(said.answer_to(question).answer.split())
        place = said.span[:2] if said.span else ("", "")
        facts = [[*fact, round(score, 6)] for fact, score in said.facts(question).items()]
        yield [question.name, text, f"{said.score:.6f}", *place, json.dumps(facts, ensure_ascii=False)]
