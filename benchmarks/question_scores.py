"""The scores of question answering beside those of the official scripts, on thousands of made-up answers.

    python benchmarks/question_data.py ../shared/data/nlp --out questions
    python benchmarks/question_scores.py SCRIPTS --questions questions --out benchmarks/results/question_scores.json

SCRIPTS holds what is no part of this package and is run as it is:

    evaluate-v1.1.py  evaluate-v2.0.py        SQuAD
    cuad/evaluate.py, category_descriptions.csv               TheAtticusProject/cuad
    hotpot/hotpot_evaluate_v1.py                              hotpotqa/hotpot
    triviaqa/evaluation/triviaqa_evaluation.py, utils/        mandarjoshi90/triviaqa
    natural-questions/nq_eval.py, eval_utils.py               google-research-datasets/natural-questions

They need pandas, scikit-learn, ujson, absl-py and six. Questions are real where the data folder has them (CUAD,
COVID-QA, HotpotQA, 2WikiMultihopQA); TriviaQA's and Natural Questions' files are made of real texts of the others in
the official form, and both sides read them. WikiHop has no official script.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bigbird.bench.about import about
from bigbird.data.files import check_new_file, json_text, written_whole
from bigbird.tasks import metrics
from question_cases import hotpotqa, natural_questions, squad, triviaqa
from question_cases.official import Compared

ROUNDS = 3
TOLERANCE = 1e-12  # of shares; both sides add the same numbers, in another order

CASES: dict[str, Callable[[Path, Path, Path, int], Compared]] = {
    "squad 1.1": squad.squad_11,
    "squad 2.0": squad.squad_20,
    "cuad": squad.cuad,
    "hotpotqa": hotpotqa.hotpotqa,
    "triviaqa": triviaqa.triviaqa,
    "triviaqa web": triviaqa.triviaqa_web,
    "triviaqa verified": triviaqa.triviaqa_verified,
    "natural questions": natural_questions.natural_questions,
}


def result(name: str, rounds: list[Compared]) -> dict[str, object]:
    """What the file says of a task."""
    largest = max(abs(ours - theirs) for one in rounds for ours, theirs in one.figures.values())
    return {
        "task": name,
        "num_questions": rounds[0].num_answers,
        "num_answers": sum(one.num_answers for one in rounds),
        "num_figures": sum(len(one.figures) for one in rounds),
        "largest_difference": largest,
        "equal": largest <= TOLERANCE,
        "scripts_sha256": rounds[0].hashes,
        "rounds": [
            {figure: {"ours": ours, "official": theirs} for figure, (ours, theirs) in one.figures.items()}
            for one in rounds
        ],
    }


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scripts", type=Path)
    parser.add_argument("--questions", type=Path, required=True, help="what question_data.py wrote")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of answers to every question")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    check_new_file(given.out)
    metrics.NUM_RESAMPLES = 2  # intervals are not compared
    results = []
    for name, case in CASES.items():
        rounds = []
        for turn in range(given.rounds):
            with tempfile.TemporaryDirectory() as work:
                rounds.append(case(given.scripts.resolve(), given.questions, Path(work), turn))
        results.append(result(name, rounds))
        Console(stderr=True).print(f"{name}: {results[-1]['num_answers']} answers, {results[-1]['largest_difference']}")
    with written_whole(given.out) as path:
        path.write_text(json_text({"about": about(), "what": __doc__, "results": results}))
    if not all(one["equal"] for one in results):
        raise SystemExit("scores differ from the official ones")


if __name__ == "__main__":
    main()
