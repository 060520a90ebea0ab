"""A run that is killed again and again comes to what it would have come to alone: the driver in its short form."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def driven(script, *options, out):
    """What a script of benchmarks/ measured."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), *options, "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(out.read_text())


def test_killed_and_stopped_runs_end_bit_for_bit_as_one_left_alone(tmp_path):
    found = driven(
        "kill_resume.py", "--kills", "5", "--inside", "1", "--stops", "1", "--num-steps", "24", out=tmp_path / "k.json"
    )
    (found,) = found["series"].values()
    assert found["kills"] >= 5 and found["kills_inside_a_write"] >= 1 and found["stops"] >= 1
    assert found["differences"] == [] and found["runs_compared"] >= 1


def test_every_damage_to_every_file_of_a_state_is_told_and_the_state_before_is_used(tmp_path):
    found = driven("damage.py", "--flips", "5", out=tmp_path / "d.json")
    assert found["cases"] == 4 * (9 + 5) + 2
    assert found["troubles"] == []
