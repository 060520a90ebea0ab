"""HotpotQA's own questions and those of 2WikiMultihopQA."""

from __future__ import annotations

import json
from pathlib import Path

from bigbird.data.hotpotqa_files import read_hotpotqa
from bigbird.tasks.multi_hop_scores import multi_hop_scores
from question_cases import official
from question_cases.answers import draw, multi_hop_answer
from question_cases.official import Compared, write


def hotpotqa(scripts: Path, questions: Path, work: Path, turn: int) -> Compared:
    """HotpotQA with supporting sentences and by paragraph, and 2WikiMultihopQA."""
    rows = []
    for name in ("hotpotqa", "hotpotqa_dev", "2wiki"):
        lines = map(json.loads, (questions / f"{name}.jsonl").read_text().splitlines())
        rows += [{**row, "_id": f"{name} {row['_id']}", "answer_aliases": []} for row in lines]
    gold = write(work / "gold.json", rows)
    asked = list(read_hotpotqa(gold))
    answers = [multi_hop_answer(one, draw(one.asked.name, turn)) for one in asked]
    names = [one.asked.name for one in asked]
    table = {
        "answer": dict(zip(names, (one.answer for one in answers), strict=True)),
        "sp": dict(zip(names, (one.facts for one in answers), strict=True)),
    }
    theirs = official.hotpotqa(scripts, gold, write(work / "answers.json", table))
    ours = multi_hop_scores(asked, answers)
    figures = {
        f"{part}_{name}": (getattr(some, name).value, theirs[prefix + key])
        for part, prefix, some in (
            ("answer", "", ours.answer),
            ("support", "sp_", ours.support),
            ("joint", "joint_", ours.joint),
        )
        for name, key in (("exact", "em"), ("f1", "f1"), ("precision", "prec"), ("recall", "recall"))
    }
    return Compared(len(asked), figures, official.hashes(scripts, "hotpot/hotpot_evaluate_v1.py"))
