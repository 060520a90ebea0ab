"""Official scripts, run as they are, and the figures they print."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Figures = Mapping[str, float]

_CUAD = (
    "import json, sys, evaluate as e; gold = e.get_answers(e.load_json(sys.argv[1])); "
    "print(json.dumps(e.get_results(sys.argv[2], gold)))"
)


@dataclass(frozen=True)
class Compared:
    """Ours beside theirs.

    figures  by name: ours and theirs, as shares
    hashes   of the scripts that ran
    """

    num_answers: int
    figures: dict[str, tuple[float, float]]
    hashes: dict[str, str]


def run(*command: str | Path, folder: Path) -> str:
    """What a Python program prints, run in its folder."""
    done = subprocess.run([sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} in {folder} failed:\n{done.stderr}")
    return done.stdout


def write(path: Path, value: object) -> Path:
    """As JSON."""
    path.write_text(json.dumps(value))
    return path


def squad_11(scripts: Path, gold: Path, answers: Path) -> dict[str, float]:
    """In percent."""
    return dict(json.loads(run("evaluate-v1.1.py", gold, answers, folder=scripts).splitlines()[-1]))


def squad_20(scripts: Path, gold: Path, answers: Path, no_answer: Path) -> dict[str, float]:
    """In percent, thresholds aside."""
    return dict(json.loads(run("evaluate-v2.0.py", gold, answers, "--na-prob-file", no_answer, folder=scripts)))


def cuad(scripts: Path, gold: Path, folder: Path) -> dict[str, Any]:
    """Of the file nbest_predictions_.json in `folder`."""
    return dict(json.loads(run("-c", _CUAD, gold, folder, folder=scripts / "cuad")))


def hotpotqa(scripts: Path, gold: Path, answers: Path) -> dict[str, float]:
    """As shares."""
    return dict(
        ast.literal_eval(run("hotpot_evaluate_v1.py", answers, gold, folder=scripts / "hotpot").splitlines()[-1])
    )


def triviaqa(scripts: Path, gold: Path, answers: Path) -> dict[str, float]:
    """In percent."""
    command = ("-m", "evaluation.triviaqa_evaluation", "--dataset_file", gold, "--prediction_file", answers)
    return dict(ast.literal_eval(run(*command, folder=scripts / "triviaqa").splitlines()[-1]))


def natural_questions(scripts: Path, gold: Path, answers: Path) -> dict[str, float]:
    """As shares."""
    command = ("nq_eval.py", f"--gold_path={gold}", f"--predictions_path={answers}", "--num_threads=1")
    return dict(json.loads(run(*command, folder=scripts / "natural-questions").splitlines()[-1]))


def hashes(scripts: Path, *names: str) -> dict[str, str]:
    """SHA-256 of each."""
    return {name: hashlib.sha256((scripts / name).read_bytes()).hexdigest() for name in names}
