"""Kill a training run at many moments, start it again each time, and compare what comes out with a run left alone.

    python benchmarks/kill_resume.py --kills 200 --inside 50 --stops 50 --out benchmarks/results/kill_resume.json

The run is masked language modelling of DNA on a CPU, with dropout, through `bigbird.run.train`: what
`bigbird train` calls. It is killed with SIGKILL at random moments until there are `--kills`, of which `--inside` at
least came while a state was being written: a half-written state was left behind. `--stops` further times it is asked to
stop with SIGTERM, and must save and leave with 143. Each time a run has come to its end in spite of all that, its
losses, learning rates, evaluations, weights and optimizer are compared, bit for bit, with those of the run that nobody
disturbed; then another run begins.

Every process is forked from this one, which has imported PyTorch but computed nothing, so that a start takes a moment.

With --processes 2 the run is divided by DDP. Half of the kills then hit all of its processes at once, as a power cut
does, and half one of them, after which the others are ended as the launcher ends them: SIGTERM, and SIGKILL when they
have not left 20 seconds later. Each kind of run is a series of its own in --out, which keeps those it has.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import socket
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
from bigbird.data.files import json_text, written_whole
from bigbird.data.sources import FileData
from bigbird.model.encoder import EncoderConfig
from bigbird.run import RunConfig, train
from bigbird.run_start import Scratch
from bigbird.tasks import MaskedLM
from bigbird.training.settings import TrainingConfig
from kept_results import kept

NUM_RECORDS, NUM_BASES = 48, 100
TIMINGS = ("seconds", "tokens_per_second")  # and memory: what a run may say differently each time
CAREFUL_SECONDS = 0.0003  # between two looks for a state being written
GRACE_SECONDS, PATIENCE_SECONDS = 1, 20  # for processes that outlive another: before SIGTERM, and before SIGKILL


@dataclass
class Tally:
    """What was done to the runs, and what they made of it."""

    kills: int = 0
    inside: int = 0
    of_one: int = 0  # of the processes of a run, where it has several
    stops: int = 0
    runs: int = 0
    differences: list[str] = field(default_factory=list)
    stop_seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Of run."""

    processes: int
    precision: str

    @property
    def name(self) -> str:
        """As the results are named."""
        return f"{self.processes} {'process' if self.processes == 1 else 'processes'}, {self.precision}"


class Running:
    """The processes of a run that begins or goes on in `folder`."""

    def __init__(self, config: RunConfig, folder: Path, kind: Kind) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        self._codes: dict[int, int | None] = {
            _started(config, folder, rank=rank, count=kind.processes, port=port): None for rank in range(kind.processes)
        }

    def has_ended(self) -> bool:
        """Whether all have; those that outlive one that failed are ended."""
        self._look()
        if any(self._codes.values()) and None in self._codes.values():
            self._end()
        return None not in self._codes.values()

    def wait(self) -> int:
        """The exit code of the run."""
        while not self.has_ended():
            time.sleep(0.005)
        return self.code

    def send(self, number: int, *, to_one: random.Random | None = None) -> int:
        """Send the signal to all, or to one by chance; the exit code of the run."""
        self._look()
        alive = [process for process, code in self._codes.items() if code is None]
        for process in alive if to_one is None else [to_one.choice(alive)]:
            os.kill(process, number)
        return self.wait()

    @property
    def code(self) -> int:
        """Of a run that has ended: 0, or that of the process that failed first, as far as this can be told."""
        codes = [code or 0 for code in self._codes.values()]
        return min(codes, key=lambda code: (code == 0, code == 1, code > 0, code))

    def _look(self) -> None:
        for process in [process for process, code in self._codes.items() if code is None]:
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                self._codes[process] = os.waitstatus_to_exitcode(status)

    def _end(self) -> None:
        """End those that are left."""
        for number, patience in ((None, GRACE_SECONDS), (signal.SIGTERM, PATIENCE_SECONDS), (signal.SIGKILL, 60)):
            for process in [process for process, code in self._codes.items() if code is None]:
                if number is not None:
                    os.kill(process, number)
            until = time.monotonic() + patience
            while None in self._codes.values() and time.monotonic() < until:
                time.sleep(0.005)
                self._look()


def _started(config: RunConfig, folder: Path, *, rank: int, count: int, port: int) -> int:
    """The process id of one process of a run."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        os.environ |= {name: str(value) for name, value in names.items()}
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


def run_config(folder: Path, num_steps: int, kind: Kind) -> RunConfig:
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
            num_steps=num_steps,
            batch_size=4,
            micro_batch_size=2,
            evaluate_every=9,
            save_every=4,
            learning_rate=1e-3,
            precision=kind.precision,
        ),
    )


def write_records(folder: Path) -> None:
    """Random DNA to learn from."""
    letters = random.Random(0)  # noqa: S311  data, not secrets
    for name, count in (("train", NUM_RECORDS), ("dev", 2)):
        rows = ({"sequence": "".join(letters.choices("ACGT", k=NUM_BASES))} for _ in range(count))
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def is_writing(folder: Path) -> bool:
    """Whether a half-written state is there."""
    try:
        return any(name.endswith(".part") for name in os.listdir(folder / "state"))  # noqa: PTH208  faster
    except FileNotFoundError:
        return False


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """A signal, `wait` seconds from now, or `extra` seconds after the next state begins to be written.

    to_one  chooses the one process that gets it; None: all do
    """

    number: int
    wait: float
    aims_inside: bool
    extra: float
    to_one: random.Random | None

    @classmethod
    def drawn(cls, dice: random.Random, kind: Kind, *, is_stop: bool, aims_inside: bool, seconds: float) -> Disturbance:
        """By chance, within half of the seconds that a run takes."""
        is_for_one = kind.processes > 1 and not is_stop and dice.random() < 0.5
        return cls(
            number=signal.SIGTERM if is_stop else signal.SIGKILL,
            wait=dice.uniform(0, 0.5 * seconds),
            aims_inside=aims_inside,
            extra=dice.uniform(0, 0.006),
            to_one=dice if is_for_one else None,
        )

    def strike(self, running: Running, folder: Path) -> int:
        """The exit code of the run: 0 when it came to its end before."""
        until = time.monotonic() + self.wait
        while time.monotonic() < until:
            if running.has_ended():
                return running.code
            time.sleep(min(0.005, max(0.0, until - time.monotonic())))
        while self.aims_inside and not is_writing(folder):
            if running.has_ended():
                return running.code
            time.sleep(CAREFUL_SECONDS)
        time.sleep(self.extra if self.aims_inside else 0)
        return running.send(self.number, to_one=self.to_one)


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


def measure(
    place: Path, kind: Kind, *, kills: int, inside: int, stops: int, num_steps: int, seed: int
) -> tuple[Tally, float]:
    """Disturb runs until all that is wanted was done; the tally, and the seconds of a run left alone."""
    write_records(place)
    config, tally = run_config(place, num_steps, kind), Tally()
    dice = random.Random(seed)  # noqa: S311  moments, not secrets
    started_at = time.monotonic()
    code = Running(config, place / "alone", kind).wait()
    assert code == 0, (place / "alone.log").read_text()
    seconds = time.monotonic() - started_at
    expected, folder, misses = outcome(place / "alone"), place / "run-0", 0
    while tally.kills < kills or tally.inside < inside or tally.stops < stops:
        is_stop = tally.stops < stops and (tally.kills >= kills or dice.random() < stops / (kills + stops))
        aims = not is_stop and tally.inside < inside
        plan = Disturbance.drawn(dice, kind, is_stop=is_stop, aims_inside=aims, seconds=seconds)
        began = time.monotonic()
        code = plan.strike(Running(config, folder, kind), folder)
        if code == 0:
            compare(folder, expected, tally)
            folder = place / f"run-{tally.runs}"
            misses += 1
            assert misses < 10 * (kills + stops) + 100, "runs end before they can be disturbed"
            continue
        if is_stop and code in (143, -signal.SIGTERM):  # the latter before the run had taken the signal over
            tally.stops += 1
            tally.stop_seconds.append(time.monotonic() - began - plan.wait)
        else:
            assert code == -plan.number, f"{code}: {(place / f'{folder.name}.log').read_text()[-2000:]}"
            tally.kills += 1
            tally.of_one += plan.to_one is not None
            tally.inside += is_writing(folder)
        print(f"{tally.kills} kills, {tally.inside} inside a write, {tally.stops} stops", end="\r", file=sys.stderr)
    code = Running(config, folder, kind).wait()  # the last run comes to its end too
    assert code == 0, (folder.parent / f"{folder.name}.log").read_text()
    compare(folder, expected, tally)
    return tally, seconds


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
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)  # a fork has the thread that forked, and no other
    began, kind = time.monotonic(), Kind(processes=options.processes, precision=options.precision)
    wanted = {name: getattr(options, name) for name in ("kills", "inside", "stops", "num_steps", "seed")}
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tally, seconds = measure(place, kind, **wanted)
    result = {
        "about": about(),
        "wanted": wanted,
        "kills": tally.kills,
        "kills_inside_a_write": tally.inside,
        "kills_of_one_process": tally.of_one,
        "stops": tally.stops,
        "stop_seconds_median": statistics.median(tally.stop_seconds) if tally.stop_seconds else None,
        "stop_seconds_longest": max(tally.stop_seconds, default=None),
        "runs_compared": tally.runs,
        "differences": tally.differences,
        "seconds_of_a_run_left_alone": round(seconds, 3),
        "seconds": round(time.monotonic() - began, 1),
    }
    series = {**kept(options.out, "series"), kind.name: result}
    with written_whole(options.out) as path:
        path.write_text(json_text({"what": __doc__, "series": series}))
    print(json_text(result))
    sys.exit(bool(tally.differences))


if __name__ == "__main__":
    main()
