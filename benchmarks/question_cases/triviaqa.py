"""TriviaQA's files made of questions of HotpotQA, MuSiQue and 2WikiMultihopQA, whose paragraphs are the evidence."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bigbird.data.answer_text import trivia_text
from bigbird.data.triviaqa_files import read_triviaqa
from bigbird.tasks.trivia_scores import trivia_scores
from question_cases import official
from question_cases.answers import draw, text_answer
from question_cases.official import Compared, write

SETS = ("hotpotqa_dev", "musique", "2wiki", "hotpotqa")


def triviaqa(scripts: Path, questions: Path, work: Path, turn: int) -> Compared:
    """The Wikipedia domain: pages of a question are one document."""
    return compared(scripts, questions, work, turn, domain="Wikipedia", is_verified=False)


def triviaqa_web(scripts: Path, questions: Path, work: Path, turn: int) -> Compared:
    """The web domain: an answer per page."""
    return compared(scripts, questions, work, turn, domain="Web", is_verified=False)


def triviaqa_verified(scripts: Path, questions: Path, work: Path, turn: int) -> Compared:
    """The verified questions and pages of the web domain."""
    return compared(scripts, questions, work, turn, domain="Web", is_verified=True)


def compared(scripts: Path, questions: Path, work: Path, turn: int, *, domain: str, is_verified: bool) -> Compared:
    """Both read the same file."""
    data = list(entries(questions, work / "evidence", domain))
    table = {"Data": data, "Domain": domain, "VerifiedEval": is_verified, "Version": 1.0}
    gold = write(work / "qa.json", table)
    asked = list(read_triviaqa(gold, work / "evidence", per_page=domain == "Web", verified=is_verified))
    answers = [text_answer(one, draw(one.name, turn)) for one in asked]
    names = (one.name for one in asked)
    theirs = official.triviaqa(scripts, gold, write(work / "answers.json", dict(zip(names, answers, strict=True))))
    ours = trivia_scores(asked, answers)
    figures = {
        "exact": (ours.exact.value, theirs["exact_match"] / 100),
        "f1": (ours.f1.value, theirs["f1"] / 100),
        "denominator": (len(asked), theirs["denominator"]),
    }
    names_of_scripts = ("triviaqa/evaluation/triviaqa_evaluation.py", "triviaqa/utils/dataset_utils.py")
    return Compared(len(asked), figures, official.hashes(scripts, *names_of_scripts))


def entries(questions: Path, evidence: Path, domain: str) -> Iterator[Mapping[str, Any]]:
    """Questions with aliases, some of them unlike; evidence files are written on the way."""
    for name in SETS:
        for line in (questions / f"{name}.jsonl").read_text().splitlines():
            row = json.loads(line)
            key = f"{name}_{row['_id']}"
            generator = draw(key, 0)
            answer = row["answer"]
            aliases = [answer, *row.get("answer_aliases", []), f"The {answer}", answer.replace(" ", "_"), f"{answer}’s"]
            pages = [
                page(evidence, key, number, title, "".join(sentences), domain, generator)
                for number, (title, sentences) in enumerate(row["context"][:4])
            ]
            is_verified = generator.random() < 0.8
            pages[0]["DocPartOfVerifiedEval"] = True
            yield {
                "QuestionId": key,
                "Question": row["question"],
                "QuestionPartOfVerifiedEval": is_verified,
                "Answer": {
                    "Value": answer,
                    "Aliases": aliases,
                    "NormalizedAliases": sorted({trivia_text(alias) for alias in aliases}),
                    "HumanAnswers": [f"{answer}, I think"] if is_verified else [],
                },
                "EntityPages": pages if domain == "Wikipedia" else pages[:1],
                "SearchResults": [] if domain == "Wikipedia" else pages[1:],
            }


def page(
    evidence: Path, key: str, number: int, title: str, text: str, domain: str, generator: random.Random
) -> dict[str, Any]:
    """An entry, its file written where the reader looks."""
    name = f"{key}/{number}.txt"
    folder = "web" if domain == "Web" and number else "wikipedia"
    path = evidence / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return {"Filename": name, "Title": title, "DocPartOfVerifiedEval": generator.random() < 0.5}
