"""The memory foretold for a run against the peak of real runs, each in a process of its own.

python benchmarks/memory_model.py --out benchmarks/results/memory_model.json
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bigbird import randomness
from bigbird.attention import PatternSpec
from bigbird.bench.about import about
from bigbird.data.files import written_whole
from bigbird.data.sources import FileData
from bigbird.machine import keep_freed_memory
from bigbird.model.encoder import EncoderConfig
from bigbird.run import RunConfig, train
from bigbird.run_start import Scratch
from bigbird.tasks import Classification, MaskedLM
from bigbird.training import room
from bigbird.training.settings import TrainingConfig

# Sizes of the runs. Those named "fit" gave the shares of gaps in training.memory_model; the others are foretold.
CASES = {
    "fit: 6 layers, 2 x 1536": {"hidden": 384, "layers": 6, "length": 1536, "micro": 2},
    "fit: bfloat16, 4 x 3072 twice": {
        "hidden": 192, "layers": 4, "length": 3072, "micro": 4, "batch": 8, "precision": "bfloat16",
    },
    "fit: 1 x 2048 three times": {"hidden": 512, "layers": 3, "length": 2048, "micro": 1, "batch": 3},
    "fit: classification, 3 x 2048": {"hidden": 320, "layers": 5, "length": 2048, "micro": 3, "task": "classification"},
    "fit: checkpointed, 2 x 2048 twice": {
        "hidden": 384, "layers": 6, "length": 2048, "micro": 2, "batch": 4, "checkpoint": True,
    },
    "fit: width 1024, 2 x 256": {"hidden": 1024, "layers": 2, "length": 256, "micro": 2},
    "fit: adafactor, 2 x 512": {"hidden": 512, "layers": 4, "length": 512, "micro": 2, "optimizer": "adafactor"},
    "4 x 1024": {"hidden": 256, "layers": 4, "length": 1024, "micro": 4},
    "8 x 512 twice": {"hidden": 256, "layers": 4, "length": 512, "micro": 8, "batch": 16},
    "2 x 4096 twice": {"hidden": 256, "layers": 4, "length": 4096, "micro": 2, "batch": 4},
    "deep and narrow": {"hidden": 128, "layers": 10, "length": 2048, "micro": 2},
    "wide and shallow": {"hidden": 768, "layers": 2, "length": 1024, "micro": 2},
    "base width, 1 x 512": {"hidden": 768, "layers": 6, "length": 512, "micro": 1},
    "bfloat16, 1 x 4096": {"hidden": 512, "layers": 4, "length": 4096, "micro": 1, "precision": "bfloat16"},
    "fit: checkpointed, 1 x 4096": {"hidden": 256, "layers": 8, "length": 4096, "micro": 1, "checkpoint": True},
    "checkpointed, 1 x 3072": {"hidden": 320, "layers": 6, "length": 3072, "micro": 1, "checkpoint": True},
}  # fmt: skip
NUM_STEPS = 4


def main() -> None:
    """Measure all cases, or carry one out and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="file for the figures")
    parser.add_argument("--one", metavar="CASE", help="carry out one case, in JSON, and print what it took")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(json.loads(given.one))))
        return
    if given.out is None:
        parser.error("say where the figures shall be written, with --out FILE")
    results = []
    for name, case in CASES.items():
        started = time.perf_counter()
        found = subprocess.run(
            [sys.executable, __file__, "--one", json.dumps(case)], capture_output=True, text=True, check=False
        )
        if found.returncode:
            print(name, "failed:", found.stderr[-2000:])
            continue
        result = {"name": name, "case": case, **json.loads(found.stdout.splitlines()[-1])}
        results.append(result)
        parts = {part: f"{value / 2**20:.0f}" for part, value in result["foretold"].items()}
        print(f"{name:24} {result['error']:+.1%}  peak {result['peak'] / 2**20:.0f} MiB  {parts}", end="  ", flush=True)
        print(f"{time.perf_counter() - started:.0f} s", flush=True)
    worst = max((abs(result["error"]) for result in results), default=None)
    with written_whole(given.out) as path:
        path.write_text(json.dumps({"about": about(), "worst_error": worst, "results": results}, indent=1) + "\n")


def one(case: dict) -> dict:
    """Train as `bigbird train` does; what was foretold and the peak of this process."""
    keep_freed_memory()
    foretold = {}
    tell = room.told

    def listening(model, *rest, **named):
        need = model.need()
        parts = {name: getattr(need, name) for name in ("process", "state", "saved", "activations", "gaps", "total")}
        foretold.update(parts)
        return tell(model, *rest, **named)

    room.told = listening
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        train(run_config(case, Path(folder)), Path(folder) / "run")
        seconds = time.perf_counter() - started
    peak = status("VmHWM")
    return {"foretold": foretold, "peak": peak, "error": foretold["total"] / peak - 1, "seconds": round(seconds, 1)}


def run_config(case: dict, folder: Path):
    """A run on random DNA."""
    for name, number in (("train", 24), ("dev", 4)):
        rows = [{"sequence": dna(number, i, case["length"] - 2), "label": ["a", "b"][i % 2]} for i in range(number)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    encoder = EncoderConfig(
        vocab_size=1, hidden_size=case["hidden"], num_layers=case["layers"], num_heads=case["hidden"] // 64,
        inner_size=4 * case["hidden"], max_length=4096, positions="rotary", norm="pre",
        pattern=PatternSpec(block_size=64),
    )  # fmt: skip
    is_masked = case.get("task") != "classification"
    return RunConfig(
        recipe="benchmark",
        start=Scratch(tokenizer="single-base", encoder=encoder),
        task=MaskedLM(max_length=4096) if is_masked else Classification(labels=(), max_length=4096),
        data=FileData(train=str(folder / "train.jsonl"), validation=str(folder / "dev.jsonl")),
        training=TrainingConfig(
            num_steps=NUM_STEPS, batch_size=case.get("batch", case["micro"]), micro_batch_size=case["micro"],
            precision=case.get("precision", "float32"), evaluate_every=4, save_every=2,
            checkpoint_activations=case.get("checkpoint", False), optimizer=case.get("optimizer", "adamw"),
        ),
    )  # fmt: skip


def dna(*key_and_length: int) -> str:
    """Random bases."""
    *key, length = key_and_length
    return "".join(np.array(list("ACGT"))[randomness.integers(0, 4, *key, np.arange(length))])


def status(name: str) -> int:
    """A value of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
