"""SQuAD and CUAD on COVID-QA and contracts of CUAD."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path

from bigbird.data.question_lines import read_questions
from bigbird.data.questions import Question
from bigbird.data.squad_files import read_squad
from bigbird.tasks.answer_scores import answer_scores
from bigbird.tasks.clause_scores import clause_scores
from question_cases import official
from question_cases.answers import draw, found_texts, text_answer
from question_cases.official import Compared, write

CONTRACTS = 40  # of CUAD: the official script takes minutes for all


def squad_file(path: Path, questions: Iterable[Question]) -> Path:
    """In SQuAD's format; a document is a paragraph."""
    articles = []
    for (title, document), some in groupby(questions, key=lambda one: (one.title, one.document)):
        asked = [
            {
                "id": one.name,
                "question": one.question,
                "is_impossible": one.is_impossible,
                "answers": [{"text": text, "answer_start": document.find(text)} for text in one.accepted],
            }
            for one in some
        ]
        articles.append({"title": title, "paragraphs": [{"context": document, "qas": asked}]})
    return write(path, {"version": "any", "data": articles})


def squad_11(scripts: Path, questions: Path, work: Path, turn: int) -> Compared:
    """COVID-QA, whose questions all have an answer."""
    gold = squad_file(work / "gold.json", read_questions(questions / "covidqa.jsonl"))
    asked = list(read_squad(gold))
    answers = [text_answer(one, draw(one.name, turn)) for one in asked]
    theirs = official.squad_11(scripts, gold, write(work / "answers.json", by_name(asked, answers)))
    ours = answer_scores(asked, answers, rules="1.1")
    figures = {
        "exact": (ours.exact.value, theirs["exact_match"] / 100),
        "f1": (ours.f1.value, theirs["f1"] / 100),
    }
    return Compared(len(asked), figures, official.hashes(scripts, "evaluate-v1.1.py"))


def squad_20(scripts: Path, questions: Path, work: Path, turn: int) -> Compared:
    """COVID-QA and contracts of CUAD, where most questions have no answer."""
    every = [*read_questions(questions / "covidqa.jsonl"), *contracts(questions)]
    gold = squad_file(work / "gold.json", every)
    asked = list(read_squad(gold))
    answers, unlikely = [], []
    for one in asked:
        generator = draw(one.name, turn)
        is_left_empty = one.is_impossible and generator.random() < 0.7
        answers.append("" if is_left_empty else text_answer(one, generator))
        unlikely.append(
            round(generator.betavariate(3, 1) if one.is_impossible else generator.betavariate(1, 3), 2)
        )  # with ties
    theirs = official.squad_20(
        scripts,
        gold,
        write(work / "answers.json", by_name(asked, answers)),
        write(work / "unlikely.json", by_name(asked, unlikely)),
    )
    ours = answer_scores(asked, answers, no_answer=unlikely)
    assert ours.best_exact
    assert ours.best_f1
    figures = {
        "exact": (ours.exact.value, theirs["exact"] / 100),
        "f1": (ours.f1.value, theirs["f1"] / 100),
        "exact_answerable": (ours.exact_answerable.value, theirs["HasAns_exact"] / 100),
        "f1_answerable": (ours.f1_answerable.value, theirs["HasAns_f1"] / 100),
        "left_empty": (ours.left_empty.value, theirs["NoAns_exact"] / 100),
        "best_exact": (ours.best_exact.score.value, theirs["best_exact"] / 100),
        "best_exact_threshold": (ours.best_exact.threshold, theirs["best_exact_thresh"]),
        "best_f1": (ours.best_f1.score.value, theirs["best_f1"] / 100),
        "best_f1_threshold": (ours.best_f1.threshold, theirs["best_f1_thresh"]),
    }
    return Compared(len(asked), figures, official.hashes(scripts, "evaluate-v2.0.py"))


def cuad(scripts: Path, questions: Path, work: Path, turn: int) -> Compared:
    """Contracts, with up to ten clauses found for each question."""
    gold = squad_file(work / "gold.json", contracts(questions))
    asked = list(read_squad(gold))
    found = [found_texts(one, draw(one.name, turn)) for one in asked]
    tables = [[{"text": one.text, "probability": one.probability} for one in some] for some in found]
    write(work / "nbest_predictions_.json", by_name(asked, tables))
    theirs = official.cuad(scripts, gold, work)
    ours = clause_scores(asked, found)
    figures = {
        "aupr": (ours.aupr.value, theirs["aupr"]),
        "precision_at_80_recall": (ours.precision_at_80_recall.value, theirs["prec_at_80_recall"]),
        "precision_at_90_recall": (ours.precision_at_90_recall.value, theirs["prec_at_90_recall"]),
    }
    return Compared(len(asked), figures, official.hashes(scripts, "cuad/evaluate.py"))


def contracts(questions: Path) -> list[Question]:
    """The questions to the first contracts of CUAD."""
    documents = groupby(read_questions(questions / "cuad.jsonl"), key=lambda one: one.title)
    return [one for _, some in islice(documents, CONTRACTS) for one in some]


def by_name(asked: Sequence[Question], values: Sequence[object]) -> Mapping[str, object]:
    """As files of predictions have it."""
    return dict(zip((one.name for one in asked), values, strict=True))
