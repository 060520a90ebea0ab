"""Damage each file of a run's newest state in many ways, and see what a run that goes on makes of it.

    python benchmarks/damage.py --flips 200 --out benchmarks/results/damage.json

Ways: cut off to nothing, to half, by one byte; something appended; one bit flipped, at `--flips` random places each; a
page of 4 KiB of zeros or of ones; the file missing, exchanged for the older state's, exchanged for an empty folder; and
of the folder: another file in it, the older state under its name. Each time the damage must be told with the file's
name, nothing of it may be loaded, and the weights, optimizer and counters must be those of the state before, bit for
bit. Where both states are damaged, the run must refuse to go on.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from bigbird.bench.about import about
from bigbird.data.files import json_text
from bigbird.errors import CheckpointError
from bigbird.training.distributed import ALONE
from bigbird.training.state import Progress
from bigbird.training.state_keeper import StateKeeper
from bigbird.training.state_manifest import MANIFEST_FILE
from bigbird.training.state_store import StateStore

PAGE = 4096
OLDER, NEWER = 50, 100
Damage = Callable[[Path], bool]  # False where this file cannot be damaged so: nothing has changed


class Tensors:
    """The weights and the optimizer of a run, as the keeper of its states sees them."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.kept = [
            {f"layer {place}": torch.randn(97, 31, generator=generator) for place in range(3)},
            {f"layer {place}/exp_avg": torch.randn(97, 31, generator=generator) for place in range(3)},
        ]

    def weights(self) -> dict[str, torch.Tensor]:
        """See `Layout`."""
        return dict(self.kept[0])

    def optimizer_tensors(self) -> dict[str, torch.Tensor]:
        """See `Layout`."""
        return dict(self.kept[1])

    def put_back(self, *, weights: dict[str, torch.Tensor], optimizer_tensors: dict[str, torch.Tensor]) -> None:
        """See `Layout`."""
        self.kept = [weights, optimizer_tensors]

    def equal(self, other: Tensors) -> bool:
        """Bit for bit."""
        return all(
            mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
            for mine, theirs in zip(self.kept, other.kept, strict=True)
        )


def keeper(run: Path, tensors: Tensors) -> StateKeeper:
    """Of the states of a run."""
    return StateKeeper(StateStore(run / "state", keep=2), tensors, ALONE, metrics=run / "metrics.jsonl")


def made_run(run: Path) -> Path:
    """A run with two states; the newer one's folder."""
    for step in (OLDER, NEWER):
        with keeper(run, Tensors(step)) as states:
            states.save(Progress(step=step, best=1 / step))
    return StateStore(run / "state", keep=2).of_step(NEWER)


def older_than(newer: Path) -> Path:
    """The folder of the state before."""
    return StateStore(newer.parent, keep=2).of_step(OLDER)


def ways(older: Path, *, flips: int, dice: random.Random) -> Iterator[tuple[str, Damage]]:
    """Every way to damage a file, by name; `older` is the folder of the state before."""
    yield "cut off to nothing", lambda path: _cut(path, 0)
    yield "cut off to half", lambda path: _cut(path, path.stat().st_size // 2)
    yield "cut off by a byte", lambda path: _cut(path, path.stat().st_size - 1)
    yield "appended to", lambda path: _replace(path, path.read_bytes() + b"\n")
    for _ in range(flips):
        yield "a bit flipped", lambda path: _flip(path, dice)
    yield "a page of zeros", lambda path: _page(path, b"\x00", dice)
    yield "a page of ones", lambda path: _page(path, b"\xff", dice)
    yield "missing", _remove
    yield "the older state's", lambda path: _replace(path, (older / path.name).read_bytes())
    yield "an empty folder", _fold


def _cut(path: Path, num_bytes: int) -> bool:
    return _replace(path, path.read_bytes()[:num_bytes])


def _flip(path: Path, dice: random.Random) -> bool:
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    return _replace(path, bytes(content))


def _page(path: Path, byte: bytes, dice: random.Random) -> bool:
    content = bytearray(path.read_bytes())
    start = dice.randrange(max(1, len(content) - PAGE))
    length = min(PAGE, len(content) - start)
    content[start : start + length] = byte * length
    return _replace(path, bytes(content))


def _remove(path: Path) -> bool:
    path.unlink()
    return True


def _fold(path: Path) -> bool:
    path.unlink()
    path.mkdir()
    return True


def _replace(path: Path, content: bytes) -> bool:
    is_other = content != path.read_bytes()
    path.write_bytes(content)
    return is_other


def cases(newer: Path, *, flips: int, seed: int) -> Iterator[tuple[str, str, Callable[[Path], bool]]]:
    """File, way and what does the damage to the folder of a state."""
    dice = random.Random(seed)  # noqa: S311  places, not secrets
    older = older_than(newer)
    for name in sorted(path.name for path in newer.iterdir()):
        for way, damage in ways(older, flips=flips, dice=dice):
            yield name, way, lambda folder, name=name, damage=damage: damage(folder / name)
    yield "stranger.txt", "another file", lambda folder: bool((folder / "stranger.txt").write_text("?"))
    yield MANIFEST_FILE, "the older state under its name", lambda folder: _exchange(folder, older)


def _exchange(folder: Path, other: Path) -> bool:
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    return True


def trouble(run: Path, name: str) -> str | None:
    """What is wrong with how a run that goes on takes the damage to a file; None when nothing is."""
    found = Tensors(seed=0)
    try:
        resumed = keeper(run, found).resume()
    except CheckpointError as error:
        return f"not passed over: {error}"
    if resumed.progress.step != OLDER or not found.equal(Tensors(OLDER)):
        return f"the state of step {resumed.progress.step} was used"
    told = " ".join(resumed.told)
    return None if name in told and f"{NEWER}" in told else f"not told: {told!r}"


def measure(place: Path, *, flips: int, seed: int) -> dict[str, object]:
    """Try every case on a copy of one run."""
    newer = made_run(place / "run")
    counts: Counter[str] = Counter()
    troubles = []
    for number, (name, way, damage) in enumerate(cases(newer, flips=flips, seed=seed)):
        run = place / f"run-{number}"
        shutil.copytree(place / "run", run)
        folder = run / "state" / newer.name
        if not damage(folder):
            continue
        counts[f"{name}: {way}"] += 1
        if wrong := trouble(run, name):
            troubles.append(f"{name}: {way}: {wrong}")
        _cut(older_than(folder) / "weights.safetensors", 0)  # and now both are damaged
        try:
            keeper(run, Tensors(0)).resume()
            troubles.append(f"{name}: {way}: used although no state was sound")
        except CheckpointError:
            pass
        shutil.rmtree(run)
    return {"cases": sum(counts.values()), "per_way": dict(counts), "troubles": troubles}


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        found = measure(Path(place), flips=options.flips, seed=options.seed)
    result = {
        "about": about(),
        "what": __doc__,
        "flips": options.flips,
        "seed": options.seed,
        **found,
        "seconds": round(time.monotonic() - began, 1),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json_text(result))
    print(f"{found['cases']} cases, {len(found['troubles'])} taken wrongly; see {options.out}")
    sys.exit(bool(found["troubles"]))


if __name__ == "__main__":
    main()
