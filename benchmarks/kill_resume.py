"""Kill a training run at many moments, start it again each time, and compare what comes out with a run left alone.

    python benchmarks/kill_resume.py --kills 200 --inside 50 --stops 50 --out benchmarks/results/kill_resume.json

The run is masked language modelling of DNA on a CPU in float32, with dropout, through `bigbird.run.train`: what
`bigbird train` calls. It is killed with SIGKILL at random moments until there are `--kills`, of which `--inside` at
least came while a state was being written: a half-written state was left behind. `--stops` further times it is asked to
stop with SIGTERM, and must save and leave with 143. Each time a run has come to its end in spite of all that, its
losses, learning rates, evaluations, weights and optimizer are compared, bit for bit, with those of the run that nobody
disturbed; then another run begins.

Every process is forked from this one, which has imported PyTorch but computed nothing, so that a start takes a moment.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch._dynamo  # what a model needs when it is built, and takes longest to import
from rich.console import Console

from bigbird.attention import PatternSpec
from bigbird.bench.about import about
from bigbird.data.files import json_text
from bigbird.data.sources import FileData
from bigbird.model.encoder import EncoderConfig
from bigbird.run import RunConfig, Scratch, train
from bigbird.tasks import MaskedLM
from bigbird.training.settings import TrainingConfig

NUM_RECORDS, NUM_BASES = 48, 100
TIMINGS = ("seconds", "tokens_per_second")  # and memory: what a run may say differently each time
CAREFUL_SECONDS = 0.0003  # between two looks for a state being written


@dataclass
class Tally:
    """What was done to the runs, and what they made of it."""

    kills: int = 0
    inside: int = 0
    stops: int = 0
    runs: int = 0
    differences: list[str] = field(default_factory=list)
    stop_seconds: list[float] = field(default_factory=list)


def run_config(folder: Path, num_steps: int) -> RunConfig:
    """A small model with a long table of positions, so that its state takes some time to write."""
    encoder = EncoderConfig(
        vocab_size=1,
        hidden_size=64,
        num_layers=1,
        num_heads=2,
        inner_size=64,
        max_length=8192,
        positions="learned",
        dropout=0.1,
        pattern=PatternSpec(block_size=16),
    )
    return RunConfig(
        recipe="kill_resume",
        start=Scratch(tokenizer="single-base", encoder=encoder),
        task=MaskedLM(max_length=256, overlap=16),
        data=FileData(train=str(folder / "train.jsonl"), validation=str(folder / "dev.jsonl")),
        training=TrainingConfig(
            num_steps=num_steps, batch_size=4, micro_batch_size=2, evaluate_every=9, save_every=4, learning_rate=1e-3
        ),
    )


def write_records(folder: Path) -> None:
    """Random DNA to learn from."""
    letters = random.Random(0)  # noqa: S311  data, not secrets
    for name, count in (("train", NUM_RECORDS), ("dev", 2)):
        rows = ({"sequence": "".join(letters.choices("ACGT", k=NUM_BASES))} for _ in range(count))
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def started(config: RunConfig, folder: Path) -> int:
    """The process id of a run that begins or goes on in `folder`."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with (folder.parent / f"{folder.name}.log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            console = Console(file=log, width=200)
            try:
                train(config, folder, resume=(folder / "run.json").exists(), console=console)
                code = 0
            except BaseException as error:  # noqa: BLE001  told below, by the one who waits
                console.print(repr(error))
                code = getattr(error, "exit_code", 1)
    finally:
        os._exit(code)


def ended(process: int) -> int | None:
    """The exit code of a process, negative for a signal; None while it runs."""
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def is_writing(folder: Path) -> bool:
    """Whether a half-written state is there."""
    try:
        return any(name.endswith(".part") for name in os.listdir(folder / "state"))  # noqa: PTH208  faster
    except FileNotFoundError:
        return False


def disturbed(process: int, folder: Path, number: int, *, wait: float, aims_inside: bool, extra: float) -> int:
    """Send the signal `wait` seconds from now, or `extra` seconds after the next state begins; the exit code."""
    until = time.monotonic() + wait
    while time.monotonic() < until:
        if (code := ended(process)) is not None:
            return code
        time.sleep(min(0.005, max(0.0, until - time.monotonic())))
    while aims_inside and not is_writing(folder):
        if (code := ended(process)) is not None:
            return code
        time.sleep(CAREFUL_SECONDS)
    time.sleep(extra if aims_inside else 0)
    os.kill(process, number)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def outcome(folder: Path) -> dict[str, object]:
    """All that must not depend on how often a run was killed."""
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    (last,) = sorted((folder / "state").glob("step-*"))[-1:]
    listed = json.loads((last / "manifest.json").read_text())["files"]
    manifest = {name: note["sha256"] for name, note in listed.items() if name.endswith(".safetensors")}
    best = (folder / "model" / "model.safetensors").read_bytes()
    return {
        "events": [
            {name: value for name, value in event.items() if name not in TIMINGS and "memory" not in name}
            for event in events
            if event["event"] in ("step", "evaluation")  # others tell when and where it went on
        ],
        "progress": json.loads((last / "state.json").read_text())["progress"],
        "state": manifest,
        "model": best,
    }


def measure(place: Path, *, kills: int, inside: int, stops: int, num_steps: int, seed: int) -> tuple[Tally, float]:
    """Disturb runs until all that is wanted was done; the tally, and the seconds of a run left alone."""
    write_records(place)
    config, dice, tally = run_config(place, num_steps), random.Random(seed), Tally()  # noqa: S311  moments, not secrets
    started_at = time.monotonic()
    code = os.waitstatus_to_exitcode(os.waitpid(started(config, place / "alone"), 0)[1])
    assert code == 0, (place / "alone.log").read_text()
    seconds = time.monotonic() - started_at
    expected, folder, misses = outcome(place / "alone"), place / "run-0", 0
    while tally.kills < kills or tally.inside < inside or tally.stops < stops:
        is_stop = tally.stops < stops and (tally.kills >= kills or dice.random() < stops / (kills + stops))
        aims = not is_stop and tally.inside < inside
        number = signal.SIGTERM if is_stop else signal.SIGKILL
        sent_after = dice.uniform(0, 0.5 * seconds)
        began = time.monotonic()
        process = started(config, folder)
        code = disturbed(process, folder, number, wait=sent_after, aims_inside=aims, extra=dice.uniform(0, 0.006))
        if code == 0:
            compare(folder, expected, tally)
            folder = place / f"run-{tally.runs}"
            misses += 1
            assert misses < 10 * (kills + stops) + 100, "runs end before they can be disturbed"
            continue
        if is_stop and code in (143, -signal.SIGTERM):  # the latter before the run had taken the signal over
            tally.stops += 1
            tally.stop_seconds.append(time.monotonic() - began - sent_after)
        else:
            assert code == -number, f"{code}: {(place / f'{folder.name}.log').read_text()[-2000:]}"
            tally.kills += 1
            tally.inside += is_writing(folder)
        print(f"{tally.kills} kills, {tally.inside} inside a write, {tally.stops} stops", end="\r", file=sys.stderr)
    finish(config, folder, expected, tally)
    return tally, seconds


def finish(config: RunConfig, folder: Path, expected: dict[str, object], tally: Tally) -> None:
    """Let the last run come to its end too."""
    code = os.waitstatus_to_exitcode(os.waitpid(started(config, folder), 0)[1])
    assert code == 0, (folder.parent / f"{folder.name}.log").read_text()
    compare(folder, expected, tally)


def compare(folder: Path, expected: dict[str, object], tally: Tally) -> None:
    """Note what differs in a run that has come to its end, and remove it."""
    found = outcome(folder)
    tally.differences += [f"{folder.name}: {name}" for name, value in expected.items() if found[name] != value]
    tally.runs += 1
    shutil.rmtree(folder)


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--inside", type=int, default=50)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--num-steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)  # a fork has the thread that forked, and no other
    began = time.monotonic()
    wanted = {name: getattr(options, name) for name in ("kills", "inside", "stops", "num_steps", "seed")}
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tally, seconds = measure(place, **wanted)
    result = {
        "about": about(),
        "what": __doc__,
        "wanted": wanted,
        "kills": tally.kills,
        "kills_inside_a_write": tally.inside,
        "stops": tally.stops,
        "stop_seconds_median": statistics.median(tally.stop_seconds) if tally.stop_seconds else None,
        "stop_seconds_longest": max(tally.stop_seconds, default=None),
        "runs_compared": tally.runs,
        "differences": tally.differences,
        "seconds_of_a_run_left_alone": round(seconds, 3),
        "seconds": round(time.monotonic() - began, 1),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text(result))
    print(json_text({name: value for name, value in result.items() if name != "what"}))
    sys.exit(bool(tally.differences))


if __name__ == "__main__":
    main()
